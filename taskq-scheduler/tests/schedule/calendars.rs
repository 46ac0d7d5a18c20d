//! Every so many days, weeks, months and years.

use taskq_scheduler::{Period, calendar};

use crate::instants::{local, next, next_utc, utc};

#[test]
fn weeks_keep_the_day_of_the_week_and_the_wall_time() {
    let schedule =
        calendar(Period::Weeks(2), "2026-01-05 07:30").and_then(|schedule| schedule.timezone("Europe/Paris"));
    let schedule = schedule.expect("valid");
    let found = next(&schedule, "Europe/Paris", "2026-03-10T00:00:00Z", 3);
    assert_eq!(found, ["2026-03-16 07:30 +01", "2026-03-30 07:30 +02", "2026-04-13 07:30 +02"]);
}

#[test]
fn the_first_fire_time_is_the_first_date() {
    for period in [Period::Days(3), Period::Weeks(1), Period::Months(1), Period::Years(1)] {
        let schedule = calendar(period, "2026-01-31 07:30:15").expect("valid");
        assert_eq!(next_utc(&schedule, "2000-01-01T00:00:00Z", 1), ["2026-01-31 07:30:15"]);
        assert_eq!(schedule.last_between(utc("2000-01-01T00:00:00Z"), utc("2026-01-31T07:30:14Z")), None);
    }
}

#[test]
fn a_month_that_is_too_short_fires_on_its_last_day() {
    let schedule = calendar(Period::Months(1), "2026-01-31 12:00").expect("valid");
    let found = next_utc(&schedule, "2026-01-31T12:00:00Z", 4);
    assert_eq!(found, ["2026-02-28 12:00", "2026-03-31 12:00", "2026-04-30 12:00", "2026-05-31 12:00"]);
    let leap = next_utc(&schedule, "2028-02-01T00:00:00Z", 1);
    assert_eq!(leap, ["2028-02-29 12:00"]);
    let quarters = calendar(Period::Months(3), "2025-11-30 00:00").expect("valid");
    assert_eq!(
        next_utc(&quarters, "2026-01-01T00:00:00Z", 3),
        ["2026-02-28 00:00", "2026-05-30 00:00", "2026-08-30 00:00"]
    );
}

#[test]
fn a_leap_day_is_the_day_before_in_other_years() {
    let schedule = calendar(Period::Years(1), "2024-02-29 06:00").expect("valid");
    let found = next_utc(&schedule, "2026-01-01T00:00:00Z", 3);
    assert_eq!(found, ["2026-02-28 06:00", "2027-02-28 06:00", "2028-02-29 06:00"]);
}

#[test]
fn the_last_one_is_found_backwards_as_forwards() {
    for (period, first) in [
        (Period::Days(1), "2026-01-01 00:00"),
        (Period::Days(5), "2025-12-31 23:59"),
        (Period::Weeks(3), "2026-02-28 02:30"),
        (Period::Months(1), "2026-01-31 02:30"),
        (Period::Months(5), "2025-08-31 23:59:59"),
        (Period::Years(2), "2024-02-29 00:00"),
    ] {
        let schedule = calendar(period, first).and_then(|schedule| schedule.timezone("Europe/Paris")).expect("valid");
        let (from, to) = (utc("2025-01-01T00:00:00Z"), utc("2032-01-01T00:00:00Z"));
        let all: Vec<_> = schedule.between(from, to, usize::MAX).collect();
        assert!(all.len() > 2 && all.is_sorted_by(|one, other| one < other), "{schedule}");
        for pair in all.windows(2) {
            assert_eq!(schedule.last_between(from, pair[1]), Some(pair[1]), "{schedule}");
            let just_before = taskq_core::Timestamp::from_millis(pair[1].as_millis() - 1);
            assert_eq!(schedule.last_between(from, just_before), Some(pair[0]), "{schedule}");
        }
    }
}

#[test]
fn a_skipped_wall_time_fires_right_after_the_change_and_a_repeated_one_once() {
    let schedule = calendar(Period::Days(1), "2026-01-01 02:30").and_then(|schedule| schedule.timezone("Europe/Paris"));
    let schedule = schedule.expect("valid");
    let spring = schedule.next_after(utc("2026-03-28T12:00:00Z")).expect("fires");
    assert_eq!(local("Europe/Paris", spring), "2026-03-29 03:00 +02");
    let autumn = next(&schedule, "Europe/Paris", "2026-10-24T12:00:00Z", 2);
    assert_eq!(autumn, ["2026-10-25 02:30 +02", "2026-10-26 02:30 +01"]);
}
