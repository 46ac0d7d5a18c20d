//! What cron texts mean, in UTC.

use taskq_core::Timestamp;
use taskq_scheduler::cron;

use crate::instants::{next_utc, utc};

/// The Monday after is 2026-11-30.
const FRIDAY: &str = "2026-11-27T10:00:00Z";

#[track_caller]
fn fires(text: &str, expected: &[&str]) {
    let schedule = cron(text).expect(text);
    assert_eq!(next_utc(&schedule, FRIDAY, expected.len()), expected, "{text}");
}

#[test]
fn five_fields_begin_with_the_minute_and_six_with_the_second() {
    fires("30 7 * * *", &["2026-11-28 07:30", "2026-11-29 07:30"]);
    fires("15 30 7 * * *", &["2026-11-28 07:30:15", "2026-11-29 07:30:15"]);
    fires("15 30 7 1 1 ? 2030,2032", &["2030-01-01 07:30:15", "2032-01-01 07:30:15"]);
    fires("  0\t0  *   * * ", &["2026-11-28 00:00"]);
}

#[test]
fn steps_ranges_and_lists_choose_values() {
    fires("*/15 * * * *", &["2026-11-27 10:15", "2026-11-27 10:30", "2026-11-27 10:45", "2026-11-27 11:00"]);
    fires("5/15 * * * *", &["2026-11-27 10:05", "2026-11-27 10:20", "2026-11-27 10:35", "2026-11-27 10:50"]);
    fires("10-30/10,59 10 * * *", &["2026-11-27 10:10", "2026-11-27 10:20", "2026-11-27 10:30", "2026-11-27 10:59"]);
    fires("0 9-17/4 * * *", &["2026-11-27 13:00", "2026-11-27 17:00", "2026-11-28 09:00"]);
    fires("0 */24 * * *", &["2026-11-28 00:00", "2026-11-29 00:00"]);
    fires("0 0 1 */5 *", &["2027-01-01 00:00", "2027-06-01 00:00", "2027-11-01 00:00"]);
    fires("0,0,0 05 * * *", &["2026-11-28 05:00", "2026-11-29 05:00"]);
}

#[test]
fn months_and_days_have_names_and_sunday_is_zero_and_seven() {
    let sundays = ["2026-11-29 00:00", "2026-12-06 00:00"];
    for day in ["0", "7", "Sun", "sunday", "SUNDAY", "7-7", "0,7"] {
        fires(&format!("0 0 * * {day}"), &sundays);
    }
    let weekend = ["2026-11-28 00:00", "2026-11-29 00:00", "2026-12-05 00:00"];
    for days in ["6,0", "6-7", "sat-sun", "Saturday-7", "6,7"] {
        fires(&format!("0 0 * * {days}"), &weekend);
    }
    fires("0 0 * * 5-7", &["2026-11-28 00:00", "2026-11-29 00:00", "2026-12-04 00:00", "2026-12-05 00:00"]);
    fires("0 0 * * Mon-Fri/2", &["2026-11-30 00:00", "2026-12-02 00:00", "2026-12-04 00:00", "2026-12-07 00:00"]);
    let odd_days = ["2026-11-28 00:00", "2026-11-29 00:00", "2026-12-01 00:00", "2026-12-03 00:00", "2026-12-05 00:00"];
    for days in ["7/2", "0/2", "Sun/2", "sun-sat/2", "0-7/2"] {
        fires(&format!("0 0 * * {days}"), &odd_days);
    }
    fires("0 0 * * 1-7/3", &["2026-11-29 00:00", "2026-11-30 00:00", "2026-12-03 00:00", "2026-12-06 00:00"]);
    fires("0 0 * * */2", &["2026-11-28 00:00", "2026-11-29 00:00", "2026-12-01 00:00", "2026-12-03 00:00"]);
    fires("0 0 1 jan,JUN *", &["2027-01-01 00:00", "2027-06-01 00:00"]);
    fires("0 0 1 February-apr *", &["2027-02-01 00:00", "2027-03-01 00:00", "2027-04-01 00:00", "2028-02-01 00:00"]);
}

#[test]
fn days_of_month_and_of_week_that_are_both_restricted_mean_either() {
    fires("0 0 1,15 * Mon", &["2026-11-30 00:00", "2026-12-01 00:00", "2026-12-07 00:00", "2026-12-14 00:00"]);
    fires("0 0 1 * *", &["2026-12-01 00:00", "2027-01-01 00:00"]);
    fires("0 0 ? * Mon", &["2026-11-30 00:00", "2026-12-07 00:00"]);
    fires("0 0 1 * 0-6", &["2026-11-28 00:00", "2026-11-29 00:00"]);
}

#[test]
fn a_field_of_days_that_begins_with_a_star_is_no_restriction() {
    // Both match: Mondays on odd days.
    fires("0 0 */2 * Mon", &["2026-12-07 00:00", "2026-12-21 00:00", "2027-01-11 00:00"]);
    fires("0 0 13 * */5", &["2026-12-13 00:00", "2027-06-13 00:00", "2027-08-13 00:00"]);
}

#[test]
fn names_stand_for_the_obvious() {
    for (name, text) in [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@Midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
    ] {
        let (named, spelled_out) = (cron(name).expect(name), cron(text).expect(text));
        assert_eq!(next_utc(&named, FRIDAY, 10), next_utc(&spelled_out, FRIDAY, 10), "{name}");
    }
}

#[test]
fn rare_dates_come_in_their_years() {
    fires("0 0 29 2 *", &["2028-02-29 00:00", "2032-02-29 00:00", "2036-02-29 00:00"]);
    fires("0 0 31 * *", &["2026-12-31 00:00", "2027-01-31 00:00", "2027-03-31 00:00", "2027-05-31 00:00"]);
    fires("59 59 23 31 12 ? 2100", &["2100-12-31 23:59:59"]);
    fires("0 0 0 29 2 ? 2027-2028", &["2028-02-29 00:00"]);
    assert_eq!(cron("0 0 0 1 1 ? 1999").expect("a year of the past").next_after(utc(FRIDAY)), None);
}

#[test]
fn a_fire_time_is_later_than_the_instant_asked_about_even_by_a_millisecond() {
    let schedule = cron("30 7 * * *").expect("valid");
    let half_past = utc("2026-11-28T07:30:00Z");
    let millis = |by: i64| Timestamp::from_millis(half_past.as_millis() + by);
    assert_eq!(schedule.next_after(millis(-1)), Some(half_past));
    assert_eq!(schedule.next_after(millis(0)), Some(utc("2026-11-29T07:30:00Z")));
    assert_eq!(schedule.last_between(millis(-1), millis(0)), Some(half_past));
    assert_eq!(schedule.last_between(millis(-86_400_000), millis(-1)), None);
    assert_eq!(schedule.last_between(millis(0), millis(86_399_999)), None);
}

#[test]
fn nothing_fires_outside_of_the_calendar_of_schedules() {
    let schedule = cron("* * * * *").expect("valid");
    let (first, last) = (Timestamp::from_millis(i64::MIN), Timestamp::from_millis(i64::MAX));
    assert_eq!(schedule.next_after(first), Some(Timestamp::from_millis(0)));
    assert_eq!(schedule.next_after(last), None);
    assert_eq!(schedule.last_between(first, last), Some(utc("2100-12-31T23:59:00Z")));
    assert_eq!(schedule.last_between(last, first), None);
    assert_eq!(schedule.last_between(first, Timestamp::from_millis(-1)), None);
    assert_eq!(schedule.next_after(utc("2100-12-31T23:59:00Z")), None);
}
