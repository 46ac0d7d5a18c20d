//! How schedules are kept and shown: what is written here must be readable for ever.

use std::time::Duration;

use taskq_scheduler::{Period, Schedule, at, calendar, cron, every};

use crate::instants::utc;

/// Schedules of all kinds with their form and their words.
fn all() -> Vec<(Schedule, &'static str, &'static str)> {
    let valid = |schedule: taskq_core::Result<Schedule>| schedule.expect("valid");
    let minutes = |count: u64| every(Duration::from_secs(count * 60));
    let (start, end) = (utc("2026-11-27T10:07:00.250Z"), utc("2027-01-01T00:00:00Z"));
    vec![
        (valid(minutes(5)), r#"{"every":"5m"}"#, "every 5m"),
        (valid(every(Duration::from_millis(90_500))), r#"{"every":"1m 30s 500ms"}"#, "every 1m 30s 500ms"),
        (
            valid(minutes(90).and_then(|schedule| schedule.from_start()?.start(start))),
            r#"{"every":"1h 30m","from_start":true,"start":"2026-11-27T10:07:00.25Z"}"#,
            "every 1h 30m from its start, not before 2026-11-27T10:07:00.25Z",
        ),
        (valid(cron(" 30  7 * * Mon ")), r#"{"cron":"30 7 * * Mon"}"#, "cron \"30 7 * * Mon\""),
        (
            valid(cron("@daily").and_then(|schedule| {
                schedule.timezone("europe/paris")?.start(start)?.end(end)?.jitter(Duration::from_secs(30))
            })),
            concat!(
                r#"{"cron":"@daily","timezone":"Europe/Paris","start":"2026-11-27T10:07:00.25Z","#,
                r#""end":"2027-01-01T00:00:00Z","jitter":"30s"}"#
            ),
            "cron \"@daily\" in Europe/Paris, not before 2026-11-27T10:07:00.25Z, not after 2027-01-01T00:00:00Z, up to 30s \
             late",
        ),
        (valid(at(end)), r#"{"at":"2027-01-01T00:00:00Z"}"#, "once at 2027-01-01T00:00:00Z"),
        (
            valid(calendar(Period::Weeks(2), "2026-01-05T07:30").and_then(|schedule| schedule.timezone("Asia/Tokyo"))),
            r#"{"calendar":{"every":"2 weeks","from":"2026-01-05 07:30"},"timezone":"Asia/Tokyo"}"#,
            "every 2 weeks on Monday at 07:30, from 2026-01-05, in Asia/Tokyo",
        ),
        (
            valid(calendar(Period::Days(1), "2026-01-05 00:00:00")),
            r#"{"calendar":{"every":"1 day","from":"2026-01-05 00:00"}}"#,
            "every day at 00:00, from 2026-01-05",
        ),
        (
            valid(calendar(Period::Months(1), "2026-01-31 07:30:15")),
            r#"{"calendar":{"every":"1 month","from":"2026-01-31 07:30:15"}}"#,
            "every month on day 31 at 07:30:15, from 2026-01-31",
        ),
        (
            valid(calendar(Period::Years(4), "2024-02-29 12:00")),
            r#"{"calendar":{"every":"4 years","from":"2024-02-29 12:00"}}"#,
            "every 4 years on 29 February at 12:00, from 2024-02-29",
        ),
    ]
}

#[test]
fn every_kind_is_written_so_and_reads_back_as_itself() {
    for (schedule, form, words) in all() {
        assert_eq!(serde_json::to_string(&schedule).expect("encodes"), form);
        assert_eq!(serde_json::from_str::<Schedule>(form).expect(form), schedule);
        assert_eq!(schedule.to_string(), words);
        assert_eq!(format!("{schedule:?}"), format!("Schedule({words})"));
    }
}

#[test]
fn schedules_are_equal_if_and_only_if_they_are_written_alike() {
    for (number, (one, ..)) in all().iter().enumerate() {
        for (other_number, (other, ..)) in all().iter().enumerate() {
            assert_eq!(one == other, number == other_number, "{one} {other}");
        }
    }
}

#[test]
fn a_form_that_is_no_schedule_is_refused_in_a_sentence() {
    for (form, told) in [
        ("{}", "schedule: invalid input: give it one of every, cron, at and calendar"),
        (r#"{"every":"5m","cron":"@daily"}"#, "schedule: invalid input: give it one of every, cron, at and calendar"),
        (
            r#"{"every":"soon"}"#,
            "interval \"soon\": invalid input: write for example \"90s\", \"15m\", \"1h 30m\" or \"2d\"",
        ),
        (r#"{"every":"5ms"}"#, "interval 5ms: invalid input: use at least 1s"),
        (r#"{"cron":"61 * * * *"}"#, "minute 61 in \"61 * * * *\": invalid input: use 0 to 59"),
        (
            r#"{"at":"noon"}"#,
            "at \"noon\": invalid input: write a date, a time and Z or an offset: 2026-11-27T10:00:00Z",
        ),
        (
            r#"{"at":"2026-11-27T10:00:00.0001Z"}"#,
            "at \"2026-11-27T10:00:00.0001Z\": invalid input: use whole milliseconds",
        ),
        (
            r#"{"calendar":{"every":"2 moons","from":"2026-01-05 07:30"}}"#,
            "calendar every \"2 moons\": invalid input: write for example \"1 day\", \"2 weeks\", \"3 months\" or \"1 year\"",
        ),
        (r#"{"cron":"@daily","zone":"UTC"}"#, "unknown field `zone`"),
        (r#"{"cron":"@daily","from_start":true}"#, "from_start cron \"@daily\": invalid input: use it with every"),
        (r#"{"cron":5}"#, "invalid type: integer `5`, expected a string"),
    ] {
        let error = serde_json::from_str::<Schedule>(form).expect_err(form).to_string();
        assert!(error.starts_with(told), "{error}");
    }
}
