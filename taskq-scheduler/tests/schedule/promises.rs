//! What holds for every schedule: fire times grow, the next one and the last one are of the same list, starts and ends are
//! kept, and what is written reads back.

use std::{sync::LazyLock, time::Duration};

use jiff::tz::TimeZoneDatabase;
use proptest::prelude::*;
use taskq_core::{Result, Timestamp};
use taskq_scheduler::{Period, Schedule, at, calendar, cron, every};

static ZONES: LazyLock<Vec<String>> =
    LazyLock::new(|| TimeZoneDatabase::bundled().available().map(|name| name.to_string()).collect());

const DAY: i64 = 86_400_000;

/// Milliseconds of 1970 to 2093, of which those around today are more likely.
fn instant() -> impl Strategy<Value = i64> {
    prop_oneof![0..45_000 * DAY, 20_000 * DAY..22_000 * DAY]
}

fn kind() -> impl Strategy<Value = Result<Schedule>> {
    let period = (1..10_u32, 0..4).prop_map(|(count, unit)| match unit {
        0 => Period::Days(count),
        1 => Period::Weeks(count),
        2 => Period::Months(count),
        _ => Period::Years(count),
    });
    let first = (1970..2100, 1..=12, 1..=28, 0..24, 0..60)
        .prop_map(|(year, month, day, hour, minute)| format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}"));
    prop_oneof![
        (1_000..10 * DAY.unsigned_abs(), any::<bool>()).prop_map(|(millis, is_from_start)| {
            let interval = every(Duration::from_millis(millis))?;
            if is_from_start { interval.from_start() } else { Ok(interval) }
        }),
        instant().prop_map(|millis| at(Timestamp::from_millis(millis))),
        (period, first).prop_map(|(period, first)| calendar(period, &first)),
        (0..60, 0..24, 1..=28, 0..7)
            .prop_map(|(minute, hour, day, weekday)| cron(&format!("{minute} {hour} {day} * {weekday}"))),
        (1..60, "[*0-9]|[*0-9]/3").prop_map(|(step, hours)| cron(&format!("*/{step} {hours} * * *"))),
        (1970..2100, 0..60).prop_map(|(year, second)| cron(&format!("{second} 30 * * * ? {year}-2100/7"))),
    ]
}

/// Any schedule, with a start and an end or without.
fn schedule() -> impl Strategy<Value = Schedule> {
    let bounds = (prop::option::of(instant()), prop::option::of(1..2_000 * DAY));
    (kind(), prop::sample::select(ZONES.as_slice()), bounds).prop_map(|(schedule, zone, (start, length))| {
        let mut schedule = schedule.expect("valid").timezone(&zone).expect("known");
        if let Some(start) = start {
            schedule = schedule.start(Timestamp::from_millis(start)).expect("valid");
        }
        if let Some(length) = length {
            schedule = schedule.end(Timestamp::from_millis(start.unwrap_or(0) + length)).expect("after the start");
        }
        schedule
    })
}

proptest! {
    #[test]
    fn the_next_and_the_last_are_of_one_list_that_grows(
        schedule in schedule(),
        from in instant(),
        offsets in prop::collection::vec(0..1_000_000_u32, 5),
    ) {
        let from = Timestamp::from_millis(from);
        let listed: Vec<_> = schedule.upcoming(from, 12).collect();
        prop_assert!(listed.is_sorted_by(|one, other| one < other), "{:?}", listed);
        prop_assert!(listed.first().is_none_or(|first| *first > from), "{:?} after {:?}", listed, from);
        let Some(end) = listed.last().copied() else { return Ok(()) };
        let between: Vec<_> = schedule.between(from, end, usize::MAX).collect();
        prop_assert_eq!(&between, &listed);
        // Anywhere among them, on them, and just beside them.
        let span = end.as_millis() - from.as_millis();
        let anywhere = offsets.iter().map(|part| from.as_millis() + span / 1_000_000 * i64::from(*part));
        let beside = listed.iter().flat_map(|fire_time| [-1, 0, 1].map(|by| fire_time.as_millis() + by));
        for instant in anywhere.chain(beside).filter(|instant| *instant < end.as_millis()).map(Timestamp::from_millis) {
            let next = listed.iter().copied().find(|fire_time| *fire_time > instant);
            prop_assert_eq!(schedule.next_after(instant), next, "{} after {:?}", schedule, instant);
            let last = listed.iter().copied().rfind(|fire_time| *fire_time <= instant);
            prop_assert_eq!(schedule.last_between(from, instant), last, "{} until {:?}", schedule, instant);
        }
    }

    #[test]
    fn what_is_written_reads_back_and_fires_the_same(schedule in schedule(), from in instant()) {
        let form = serde_json::to_string(&schedule).expect("encodes");
        let again: Schedule = serde_json::from_str(&form).expect("reads what it wrote");
        prop_assert_eq!(&again, &schedule);
        prop_assert_eq!(serde_json::to_string(&again).expect("encodes"), form);
        let from = Timestamp::from_millis(from);
        prop_assert!(again.upcoming(from, 5).eq(schedule.upcoming(from, 5)));
    }
}
