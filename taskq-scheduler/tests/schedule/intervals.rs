//! Intervals, single instants, starts, ends, jitter and the listing of fire times.

use std::time::Duration;

use taskq_core::{Timestamp, limits};
use taskq_scheduler::{EntryName, FireTime, at, cron, every};

use crate::instants::{next_utc, utc};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn an_interval_is_counted_from_1970() {
    let often = every(5 * MINUTE).expect("valid");
    assert_eq!(next_utc(&often, "2026-11-27T10:07:00Z", 2), ["2026-11-27 10:10", "2026-11-27 10:15"]);
    let uneven = every(Duration::from_millis(1_500)).expect("valid");
    let after = Timestamp::from_millis(2_999);
    let found: Vec<_> = uneven.upcoming(after, 3).map(Timestamp::as_millis).collect();
    assert_eq!(found, [3_000, 4_500, 6_000]);
    assert_eq!(uneven.last_between(Timestamp::from_millis(0), after), Some(Timestamp::from_millis(1_500)));
    assert_eq!(uneven.next_after(Timestamp::from_millis(-5)), Some(Timestamp::from_millis(0)));
}

#[test]
fn an_interval_from_the_start_has_the_start_as_its_first_fire_time() {
    let schedule = every(5 * MINUTE).and_then(|every| every.from_start()).expect("valid");
    let created_at = utc("2026-11-27T10:07:00Z");
    let started = schedule.clone().or_start(created_at).expect("valid");
    assert_eq!(next_utc(&started, "2026-11-27T10:00:00Z", 2), ["2026-11-27 10:07", "2026-11-27 10:12"]);
    assert_eq!(started.last_between(utc("2026-11-27T09:00:00Z"), utc("2026-11-27T10:06:59Z")), None);
    assert_eq!(started.clone().or_start(utc("2020-01-01T00:00:00Z")).expect("valid"), started, "a start stays");
    assert_eq!(next_utc(&schedule, "2026-11-27T10:07:00Z", 1), ["2026-11-27 10:10"], "none yet: as from 1970");
    let aligned = every(5 * MINUTE).expect("valid");
    assert_eq!(aligned.clone().or_start(created_at).expect("valid"), aligned, "only those that count from it");
}

#[test]
fn a_single_instant_fires_once() {
    let instant = utc("2026-12-24T18:00:00Z");
    let once = at(instant).expect("valid");
    assert_eq!(once.next_after(utc("2026-01-01T00:00:00Z")), Some(instant));
    assert_eq!(once.next_after(instant), None);
    assert_eq!(once.last_between(utc("2026-01-01T00:00:00Z"), utc("2030-01-01T00:00:00Z")), Some(instant));
    assert_eq!(once.last_between(instant, utc("2030-01-01T00:00:00Z")), None);
}

#[test]
fn the_start_and_the_end_belong_to_the_schedule() {
    let (start, end) = (utc("2026-11-27T10:05:00Z"), utc("2026-11-27T10:15:00Z"));
    for schedule in [every(5 * MINUTE), cron("*/5 * * * *")] {
        let schedule = schedule.and_then(|schedule| schedule.start(start)?.end(end)).expect("valid");
        let all = ["2026-11-27 10:05", "2026-11-27 10:10", "2026-11-27 10:15"];
        assert_eq!(next_utc(&schedule, "2026-01-01T00:00:00Z", 9), all);
        assert_eq!(schedule.last_between(utc("2026-01-01T00:00:00Z"), utc("2027-01-01T00:00:00Z")), Some(end));
        assert_eq!(schedule.last_between(utc("2026-01-01T00:00:00Z"), utc("2026-11-27T10:04:59Z")), None);
    }
}

#[test]
fn the_last_of_many_is_found_without_a_walk() {
    // Ten years of seconds: 315 million fire times, for which no test would wait.
    let (after, until) = (utc("2026-01-01T00:00:00Z"), utc("2036-01-01T00:00:00.5Z"));
    let last = Some(utc("2036-01-01T00:00:00Z"));
    assert_eq!(every(Duration::from_secs(1)).expect("valid").last_between(after, until), last);
    let seconds = cron("* * * * * *").and_then(|schedule| schedule.timezone("Europe/Paris")).expect("valid");
    assert_eq!(seconds.last_between(after, until), last);
}

#[test]
fn listings_are_bounded() {
    let seconds = every(Duration::from_secs(1)).expect("valid");
    let (from, to) = (utc("2026-01-01T00:00:00Z"), utc("2027-01-01T00:00:00Z"));
    assert_eq!(seconds.between(from, to, 3).count(), 3);
    assert_eq!(seconds.between(from, to, usize::MAX).count(), limits::MAX_FIRE_TIMES);
    assert_eq!(seconds.upcoming(from, usize::MAX).count(), limits::MAX_FIRE_TIMES);
    assert_eq!(seconds.between(from, from, 3).count(), 0);
    assert_eq!(seconds.between(to, from, 3).count(), 0);
}

#[test]
fn jitter_follows_from_the_name_and_the_fire_time_and_stays_below_its_bound() {
    let bound = Duration::from_secs(20);
    let schedule = every(5 * MINUTE).and_then(|schedule| schedule.jitter(bound)).expect("valid");
    let nightly = EntryName::new("nightly").expect("valid");
    let fire_time = FireTime(utc("2026-11-27T10:00:00Z"));
    // A change of this number would make two versions of the scheduler disagree.
    assert_eq!(schedule.jitter_of(&nightly, fire_time), Duration::from_millis(11_480));
    let delays: Vec<_> =
        schedule.upcoming(fire_time.0, 500).map(|at| schedule.jitter_of(&nightly, FireTime(at))).collect();
    assert!(delays.iter().all(|delay| *delay < bound));
    let mean = delays.iter().sum::<Duration>() / 500;
    assert!(mean > bound.mul_f64(0.42) && mean < bound.mul_f64(0.58), "{mean:?}");
    let others: std::collections::BTreeSet<_> = (0..100)
        .map(|number| EntryName::new(format!("entry-{number}")).expect("valid"))
        .map(|name| schedule.jitter_of(&name, fire_time))
        .collect();
    assert!(others.len() > 95, "entries of one fire time are spread: {}", others.len());
    assert_eq!(every(MINUTE).expect("valid").jitter_of(&nightly, fire_time), Duration::ZERO);
}
