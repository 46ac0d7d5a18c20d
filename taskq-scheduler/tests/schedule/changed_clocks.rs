//! What happens when clocks are put forward or back.

use std::collections::BTreeMap;

use taskq_scheduler::{Period, Schedule, calendar, cron};

use crate::instants::{local, next, utc};

fn in_zone(text: &str, zone: &str) -> Schedule {
    cron(text).expect(text).timezone(zone).expect(zone)
}

/// Each local date of two years and how often the schedule fires on it, where that is not once.
fn dates_not_fired_once(schedule: &Schedule, zone: &str) -> Vec<(String, usize)> {
    let mut fired: BTreeMap<String, usize> = BTreeMap::new();
    let (from, to) = (utc("2025-12-30T00:00:00Z"), utc("2028-01-02T12:00:00Z"));
    for fire_time in schedule.between(from, to, usize::MAX) {
        *fired.entry(local(zone, fire_time)[..10].to_owned()).or_default() += 1;
    }
    let first: jiff::civil::Date = "2026-01-01".parse().expect("valid");
    let dates = (0..730).map(|day| first.checked_add(jiff::Span::new().days(day)).expect("in range").to_string());
    dates.map(|date| (date.clone(), fired.get(&date).copied().unwrap_or(0))).filter(|(_, times)| *times != 1).collect()
}

#[test]
fn what_is_daily_fires_once_on_every_local_date() {
    let zones = [
        "Europe/Paris",
        "America/New_York",
        "Australia/Lord_Howe",
        "Africa/Casablanca",
        "Africa/Cairo",
        "America/Havana",
        "America/Santiago",
        "Asia/Beirut",
        "Asia/Kolkata",
        "Pacific/Chatham",
        "America/Nuuk",
    ];
    let times =
        ["0 0 * * *", "30 0 * * *", "30 1 * * *", "45 1 * * *", "0 2 * * *", "15 2 * * *", "30 2 * * *", "0 3 * * *"];
    for zone in zones {
        for time in times {
            assert_eq!(dates_not_fired_once(&in_zone(time, zone), zone), [], "{time} in {zone}");
            let (minute, hour) = time.split_once(' ').map(|(minute, rest)| (minute, &rest[..1])).expect("has hours");
            let first = format!("2020-01-01 {hour:0>2}:{minute:0>2}");
            let daily = calendar(Period::Days(1), &first).expect("valid").timezone(zone).expect("known");
            assert_eq!(dates_not_fired_once(&daily, zone), [], "{daily}");
        }
    }
}

#[test]
fn named_hours_that_are_skipped_fire_once_right_after_the_change() {
    let cases = [
        ("Europe/Paris", "2026-03-28T12:00:00Z", "2026-03-29 03:00 +02", "2026-03-30 02:30 +02"),
        ("America/New_York", "2026-03-07T12:00:00Z", "2026-03-08 03:00 -04", "2026-03-09 02:30 -04"),
    ];
    for (zone, after, at_the_change, next_day) in cases {
        assert_eq!(next(&in_zone("30 2 * * *", zone), zone, after, 2), [at_the_change, next_day]);
        // Six skipped times are one fire time, and so is one that is due then anyway.
        assert_eq!(
            next(&in_zone("*/10 2 * * *", zone), zone, after, 2),
            [at_the_change, &next_day.replace("30", "00")[..]].map(|told| told.replace("2026-03-00", "2026-03-30"))
        );
        assert_eq!(next(&in_zone("0 2,3 * * *", zone), zone, after, 2)[0], at_the_change);
    }
    // Lord Howe skips half an hour only.
    let zone = "Australia/Lord_Howe";
    let after = "2026-10-03T00:00:00Z";
    assert_eq!(next(&in_zone("15 2 * * *", zone), zone, after, 2), ["2026-10-04 02:30 +11", "2026-10-05 02:15 +11"]);
    assert_eq!(next(&in_zone("30 2 * * *", zone), zone, after, 2), ["2026-10-04 02:30 +11", "2026-10-05 02:30 +11"]);
    assert_eq!(next(&in_zone("45 1 * * *", zone), zone, after, 2), ["2026-10-04 01:45 +10:30", "2026-10-05 01:45 +11"]);
}

#[test]
fn every_hour_goes_on_without_what_is_skipped() {
    let quarters = next(&in_zone("*/30 * * * *", "Europe/Paris"), "Europe/Paris", "2026-03-29T00:00:00Z", 4);
    assert_eq!(
        quarters,
        ["2026-03-29 01:30 +01", "2026-03-29 03:00 +02", "2026-03-29 03:30 +02", "2026-03-29 04:00 +02"]
    );
    let hours = next(&in_zone("15 * * * *", "Europe/Paris"), "Europe/Paris", "2026-03-29T00:00:00Z", 3);
    assert_eq!(hours, ["2026-03-29 01:15 +01", "2026-03-29 03:15 +02", "2026-03-29 04:15 +02"]);
}

#[test]
fn named_hours_that_are_shown_twice_fire_the_first_time_only() {
    let paris = next(&in_zone("0,30 2 * * *", "Europe/Paris"), "Europe/Paris", "2026-10-24T12:00:00Z", 4);
    assert_eq!(paris, ["2026-10-25 02:00 +02", "2026-10-25 02:30 +02", "2026-10-26 02:00 +01", "2026-10-26 02:30 +01"]);
    let lord_howe =
        next(&in_zone("45 1 * * *", "Australia/Lord_Howe"), "Australia/Lord_Howe", "2026-04-04T00:00:00Z", 2);
    assert_eq!(lord_howe, ["2026-04-05 01:45 +11", "2026-04-06 01:45 +10:30"]);
}

#[test]
fn every_hour_fires_both_times_when_it_is_shown_twice() {
    let paris = next(&in_zone("30 * * * *", "Europe/Paris"), "Europe/Paris", "2026-10-24T23:00:00Z", 4);
    assert_eq!(paris, ["2026-10-25 01:30 +02", "2026-10-25 02:30 +02", "2026-10-25 02:30 +01", "2026-10-25 03:30 +01"]);
    let lord_howe =
        next(&in_zone("*/20 * * * *", "Australia/Lord_Howe"), "Australia/Lord_Howe", "2026-04-04T14:30:00Z", 4);
    let expected =
        ["2026-04-05 01:40 +11", "2026-04-05 01:40 +10:30", "2026-04-05 02:00 +10:30", "2026-04-05 02:20 +10:30"];
    assert_eq!(lord_howe, expected);
    // The last hour that the text allows at all is shown twice.
    let last_day = in_zone("0 0 * 24 10 ? 2026", "Asia/Beirut");
    let beirut = next(&last_day, "Asia/Beirut", "2026-10-24T19:00:00Z", 9);
    assert_eq!(beirut, ["2026-10-24 23:00 +03", "2026-10-24 23:00 +02"]);
}

#[test]
fn a_search_that_begins_within_a_change_goes_on_as_if_it_had_never_ended() {
    for (zone, from, to) in [
        ("Europe/Paris", "2026-03-28T22:00:00Z", "2026-03-29T06:00:00Z"),
        ("Europe/Paris", "2026-10-24T22:00:00Z", "2026-10-25T06:00:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T12:00:00Z", "2026-04-04T20:00:00Z"),
        ("Australia/Lord_Howe", "2026-10-03T12:00:00Z", "2026-10-03T20:00:00Z"),
    ] {
        for text in ["30 2 * * *", "*/7 * * * *", "*/7 1-3 * * *", "0 2,3 * * *"] {
            let schedule = in_zone(text, zone);
            let (from, to) = (utc(from), utc(to));
            let all: Vec<_> = schedule.between(from, to, usize::MAX).collect();
            for millis in (from.as_millis()..to.as_millis()).step_by(97_531) {
                let instant = taskq_core::Timestamp::from_millis(millis);
                let later = all.iter().copied().find(|fire_time| *fire_time > instant);
                assert_eq!(
                    schedule.next_after(instant).filter(|next| *next <= to),
                    later,
                    "{schedule} after {instant:?}"
                );
                let before = all.iter().copied().rfind(|fire_time| *fire_time <= instant);
                assert_eq!(schedule.last_between(from, instant), before, "{schedule} until {instant:?}");
            }
        }
    }
}

#[test]
fn a_date_that_a_zone_left_out_fires_at_its_end() {
    // Samoa went from the 29th to the 31st of December 2011.
    let after = "2011-12-29T12:00:00Z";
    let apia = next(&in_zone("0 10 * * *", "Pacific/Apia"), "Pacific/Apia", after, 3);
    assert_eq!(apia, ["2011-12-29 10:00 -10", "2011-12-31 00:00 +14", "2011-12-31 10:00 +14"]);
    let every_hour = next(&in_zone("0 */1 30 12 *", "Pacific/Apia"), "Pacific/Apia", after, 1);
    assert_eq!(every_hour, ["2012-12-30 00:00 +14"]);
    let schedule = in_zone("0 10 30 12 *", "Pacific/Apia");
    let gone = schedule.last_between(utc(after), utc("2012-06-01T00:00:00Z")).expect("fires");
    assert_eq!(local("Pacific/Apia", gone), "2011-12-31 00:00 +14");
}

#[test]
fn offsets_with_seconds_are_exact() {
    // Liberia was 44 minutes and 30 seconds behind until 1972.
    let monrovia = next(&in_zone("0 12 * * *", "Africa/Monrovia"), "UTC", "1971-06-01T00:00:00Z", 1);
    assert_eq!(monrovia, ["1971-06-01 12:44:30 +00"]);
}

/// What docs/schedules.md shows of daily 02:30: every day of two years on which the clocks of a zone are changed.
#[test]
fn the_documented_table_is_what_happens() {
    let mut table = Vec::new();
    for zone in ["Europe/Paris", "America/New_York", "Australia/Lord_Howe"] {
        let schedule = in_zone("30 2 * * *", zone);
        let fires: Vec<_> = schedule
            .between(utc("2025-12-31T12:00:00Z"), utc("2028-01-01T12:00:00Z"), 1_000)
            .map(|at| local(zone, at))
            .collect();
        let fires: Vec<_> = fires.into_iter().filter(|at| at.starts_with("2026") || at.starts_with("2027")).collect();
        assert_eq!(fires.len(), 730, "one a day in {zone}");
        let offset = |at: &str| at.rsplit_once(' ').map(|(_, offset)| offset.to_owned());
        let (mut before, mut was_fold) = (offset(&fires[0]), false);
        for (index, at) in fires.iter().enumerate() {
            // The offset of a day's fire shows that the clock was changed before it; at a fold the first 02:30 is before.
            let next = fires.get(index + 1).and_then(|next| offset(next));
            let is_after_change = offset(at) != before && !was_fold;
            let is_fold = !is_after_change && next.is_some() && next != offset(at) && is_told_twice(zone, at);
            if is_after_change || is_fold {
                let (day, time) = at.split_at(10);
                let what = match (is_fold, time.starts_with(" 02:30 ")) {
                    (true, _) => "02:30 comes twice",
                    (_, false) => "02:30 is skipped",
                    (false, true) => "",
                };
                table.push(format!("| {zone} | {day} |{time} | {what} |").replace("|  |", "| |"));
            }
            (before, was_fold) = (offset(at), is_fold);
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/schedules.md");
    let document = std::fs::read_to_string(path).expect("the document is there");
    let documented: Vec<_> = document.lines().filter(|line| line.contains("/") && line.contains("| 202")).collect();
    assert_eq!(documented, table, "the table reads\n{}", table.join("\n"));
}

/// Whether the wall time of a fire comes once more within two hours.
fn is_told_twice(zone: &str, at: &str) -> bool {
    let wall = &at[..16];
    let every_half_hour = taskq_scheduler::every(std::time::Duration::from_secs(1_800)).expect("valid");
    let day = &at[..10];
    let from = utc(&format!("{day}T00:00:00Z"));
    let from = taskq_core::Timestamp::from_millis(from.as_millis() - 24 * 3_600_000);
    let until = taskq_core::Timestamp::from_millis(from.as_millis() + 72 * 3_600_000);
    every_half_hour.between(from, until, 1_000).filter(|instant| local(zone, *instant).starts_with(wall)).count() > 1
}
