//! Every refusal, with the field, the value and the cure.

use std::time::Duration;

use taskq_core::{ErrorKind, Result, Timestamp};
use taskq_scheduler::{Period, Schedule, at, calendar, cron, every};

use crate::instants::utc;

#[track_caller]
fn refused(result: Result<Schedule>, told: &str) {
    let error = result.expect_err(told);
    assert_eq!((error.to_string().as_str(), error.kind()), (told, ErrorKind::InvalidInput));
}

#[track_caller]
fn cron_refused(text: &str, told: &str) {
    refused(cron(text), told);
}

#[test]
fn values_outside_of_their_field() {
    cron_refused("61 * * * *", "minute 61 in \"61 * * * *\": invalid input: use 0 to 59");
    cron_refused("60 0 0 * * *", "second 60 in \"60 0 0 * * *\": invalid input: use 0 to 59");
    cron_refused("0 24 * * *", "hour 24 in \"0 24 * * *\": invalid input: use 0 to 23");
    cron_refused("0 0 0 * *", "day of month 0 in \"0 0 0 * *\": invalid input: use 1 to 31");
    cron_refused("0 0 32 * *", "day of month 32 in \"0 0 32 * *\": invalid input: use 1 to 31");
    cron_refused("0 0 * 13 *", "month 13 in \"0 0 * 13 *\": invalid input: use 1 to 12 or jan to dec");
    cron_refused("0 0 * Foo *", "month Foo in \"0 0 * Foo *\": invalid input: use 1 to 12 or jan to dec");
    cron_refused("0 0 * * 8", "day of week 8 in \"0 0 * * 8\": invalid input: use 0 to 7 or sun to sat");
    cron_refused("0 0 * * Mo", "day of week Mo in \"0 0 * * Mo\": invalid input: use 0 to 7 or sun to sat");
    cron_refused("0 0 0 1 1 ? 1969", "year 1969 in \"0 0 0 1 1 ? 1969\": invalid input: use 1970 to 2100");
    cron_refused("0 0 0 1 1 ? 2101", "year 2101 in \"0 0 0 1 1 ? 2101\": invalid input: use 1970 to 2100");
    cron_refused("99999999999 * * * *", "minute 99999999999 in \"99999999999 * * * *\": invalid input: use 0 to 59");
}

#[test]
fn what_is_no_value() {
    cron_refused("1,,2 * * * *", "minute \"\" in \"1,,2 * * * *\": invalid input: use 0 to 59");
    cron_refused("x * * * *", "minute x in \"x * * * *\": invalid input: use 0 to 59");
    cron_refused("-1 * * * *", "minute \"\" in \"-1 * * * *\": invalid input: use 0 to 59");
    cron_refused("+1 * * * *", "minute +1 in \"+1 * * * *\": invalid input: use 0 to 59");
    cron_refused("1-2-3 * * * *", "minute 2-3 in \"1-2-3 * * * *\": invalid input: use 0 to 59");
    cron_refused("** * * * *", "minute ** in \"** * * * *\": invalid input: use 0 to 59");
    cron_refused(
        "? * * * *",
        "minute ? in \"? * * * *\": invalid input: a ? stands for a day of month or week only: use *",
    );
}

#[test]
fn ranges_and_steps_that_go_wrong() {
    cron_refused("0 22-2 * * *", "hour 22-2 in \"0 22-2 * * *\": invalid input: a range runs upwards: use 22-23,0-2");
    cron_refused(
        "0 0 * * Fri-Mon",
        "day of week Fri-Mon in \"0 0 * * Fri-Mon\": invalid input: a range runs upwards: use Fri-6,0-Mon",
    );
    assert!(cron("0 0 * * Fri-6,0-Mon").is_ok(), "the cure is one");
    let cure = "use a step of 1 to 60, or every for longer times";
    for step in ["0", "61", "90", "", "-1", "+5", "x", "5/5"] {
        let text = format!("*/{step} * * * *");
        cron_refused(&text, &format!("minute /{step} in \"{text}\": invalid input: {cure}"));
    }
}

#[test]
fn the_number_of_fields() {
    let cure = "use 5 fields (minute, hour, day of month, month, day of week), 6 with the second first, or 7 with the year \
                last";
    for (text, count) in [("", 0), ("*", 1), ("* * * *", 4), ("* * * * * * * *", 8)] {
        cron_refused(text, &format!("cron with {count} fields in \"{text}\": invalid input: {cure}"));
    }
}

#[test]
fn dates_that_never_come() {
    cron_refused(
        "0 0 31 2 *",
        "day of month 31 in \"0 0 31 2 *\": invalid input: no month of these has this day: use 1 to 29",
    );
    cron_refused(
        "0 0 30,31 Feb Mon",
        "day of month 30 in \"0 0 30,31 Feb Mon\": invalid input: no month of these has this day: use 1 to 29",
    );
    cron_refused(
        "0 0 31 4,6,9,11 *",
        "day of month 31 in \"0 0 31 4,6,9,11 *\": invalid input: no month of these has this day: use 1 to 30",
    );
    let cure = "no year of these has such a date, so it would never fire: use other years or days";
    cron_refused("0 0 0 29 2 ? 2027", &format!("cron \"0 0 0 29 2 ? 2027\": invalid input: {cure}"));
}

#[test]
fn what_only_other_crons_can_read() {
    cron_refused("@every 5m", "cron \"@every 5m\": invalid input: use every, with a length of time");
    cron_refused("@reboot", "cron \"@reboot\": invalid input: nothing boots here: enqueue it when your program starts");
    let names = "use @hourly, @daily, @midnight, @weekly, @monthly, @yearly or @annually";
    cron_refused("@fortnightly", &format!("cron \"@fortnightly\": invalid input: {names}"));
    cron_refused("@daily 5", &format!("cron \"@daily 5\": invalid input: {names}"));
    cron_refused("@", &format!("cron \"@\": invalid input: {names}"));
    cron_refused(
        "CRON_TZ=Europe/Paris 0 0 * * *",
        "cron \"CRON_TZ=Europe/Paris 0 0 * * *\": invalid input: leave out the zone here, and use timezone",
    );
    cron_refused(
        "0 0 L * *",
        "day of month L in \"0 0 L * *\": invalid input: L is not supported: use a calendar of months from a day 31",
    );
    cron_refused("0 0 Jul * *", "day of month Jul in \"0 0 Jul * *\": invalid input: use 1 to 31");
    let cure = "L is not supported: use a calendar of months from a day 31";
    cron_refused("0 0 L-3 * *", &format!("day of month L in \"0 0 L-3 * *\": invalid input: {cure}"));
    cron_refused(
        "0 0 LW * *",
        "day of month LW in \"0 0 LW * *\": invalid input: W is not supported: use days of month, and a check in the task",
    );
    cron_refused(
        "0 0 15W * *",
        "day of month 15W in \"0 0 15W * *\": invalid input: W is not supported: use days of month, and a check in the task",
    );
    cron_refused(
        "0 0 * * 5L",
        "day of week 5L in \"0 0 * * 5L\": invalid input: L is not supported: use a calendar, and a check in the task",
    );
    cron_refused(
        "0 0 * * Mon#2",
        "day of week Mon#2 in \"0 0 * * Mon#2\": invalid input: # is not supported: use a calendar, or days of month such as \
         1-7 and a check in the task",
    );
}

#[test]
fn a_text_that_is_too_long_or_has_odd_characters() {
    cron_refused(&"1,".repeat(200), "cron text of 400 bytes: invalid input: use at most 256 bytes");
    cron_refused("\u{1b}[31m * * * *", "minute \\u{1b}[31m in \"\\u{1b}[31m * * * *\": invalid input: use 0 to 59");
}

#[test]
fn intervals_that_are_no_use() {
    let millis = Duration::from_millis;
    refused(every(Duration::ZERO), "interval 0s: invalid input: use at least 1s");
    refused(every(millis(999)), "interval 999ms: invalid input: use at least 1s");
    refused(every(Duration::from_secs(11 * 365 * 86_400)), "interval 4015d: invalid input: use at most 3650d");
    refused(every(Duration::new(1, 1)), "interval 1s 1ns: invalid input: use whole milliseconds");
    assert!(every(Duration::MAX).is_err());
    let other = cron("@daily").expect("valid").from_start();
    refused(other, "from_start cron \"@daily\": invalid input: use it with every, and start alone with all others");
}

#[test]
fn calendars_that_are_no_use() {
    let first = "2026-01-31 07:30";
    refused(calendar(Period::Days(0), first), "calendar every 0 days: invalid input: use 1 to 3650 days");
    refused(calendar(Period::Weeks(999), first), "calendar every 999 weeks: invalid input: use 1 to 520 weeks");
    refused(calendar(Period::Months(121), first), "calendar every 121 months: invalid input: use 1 to 120 months");
    refused(
        calendar(Period::Years(u32::MAX), first),
        "calendar every 4294967295 years: invalid input: use 1 to 10 years",
    );
    let cure = "write a date and a time such as \"2026-01-31 07:30\"";
    for first in [
        "",
        "2026-01-31",
        "2026-02-30 07:30",
        "2026-01-31 07:30Z",
        "2026-01-31T07:30+01:00",
        "2026-01-31 07:30-05:00",
        "-002026-01-31 07:30",
        "tomorrow",
        "2026-01-31 25:00",
    ] {
        let told = format!("calendar from \"{first}\": invalid input: {cure}");
        refused(calendar(Period::Days(1), first), &told);
    }
    let told = "calendar from \"2026-01-31 07:30:00.5\": invalid input: use whole seconds";
    refused(calendar(Period::Days(1), "2026-01-31 07:30:00.5"), told);
    let told = "calendar from \"1969-01-31 07:30\": invalid input: use a year from 1970 to 2100";
    refused(calendar(Period::Days(1), "1969-01-31 07:30"), told);
}

#[test]
fn zones_that_nobody_knows() {
    let told = "time zone \"Europe/Pariss\": invalid input: use an IANA name such as \"Europe/Paris\"; the nearest is \
                \"Europe/Paris\"";
    refused(cron("@daily").expect("valid").timezone("Europe/Pariss"), told);
}

#[test]
fn instants_out_of_order_or_of_the_calendar() {
    let schedule = || cron("@daily").expect("valid");
    let before_1970 = Timestamp::from_millis(-1);
    refused(at(before_1970), "instant -1 ms after 1970: invalid input: use an instant from 1970 to 2100");
    refused(schedule().start(before_1970), "start -1 ms after 1970: invalid input: use an instant from 1970 to 2100");
    let beyond = Timestamp::from_millis(i64::MAX);
    let told = "end 9223372036854775807 ms after 1970: invalid input: use an instant from 1970 to 2100";
    refused(schedule().end(beyond), told);
    let (early, late) = (utc("2026-01-01T00:00:00Z"), utc("2026-02-01T00:00:00Z"));
    let told = "end 2026-01-01T00:00:00Z before the start 2026-02-01T00:00:00Z: invalid input: use a later end";
    refused(schedule().start(late).and_then(|schedule| schedule.end(early)), told);
    refused(schedule().end(early).and_then(|schedule| schedule.start(late)), told);
}

#[test]
fn jitter_beyond_its_bound() {
    let day = Duration::from_secs(86_400);
    refused(cron("@daily").expect("valid").jitter(day * 2), "jitter 2d: invalid input: use at most 1d");
    let minute = Duration::from_secs(60);
    refused(every(minute).expect("valid").jitter(minute * 2), "jitter 2m: invalid input: use at most 1m");
    let told = "jitter 5ns: invalid input: use whole milliseconds";
    refused(cron("@daily").expect("valid").jitter(Duration::from_nanos(5)), told);
}
