//! Cron texts beside two others that know when they are due.
//!
//! The first is slow and simple: it goes through all minutes around a change of the clock and looks at each. It does so
//! around every change of every zone from 2025 to 2027.
//!
//! The second is the crate `croner`. It agrees where its rules are ours, and these differ:
//!
//! - A step needs a range or a star there: `5/15` is refused.
//! - To croner hours are named only if second, minute and hour are one number each. With lists or ranges of hours it fires
//!   twice when they are shown twice, and not at all when they are skipped.
//! - To croner only a plain `*` or `?` is no restriction of days. `*/2` is one, and then either day matches.
//!
//! `TASKQ_SEED` (a number) chooses other texts, `TASKQ_CASES` how many for each change; a failure prints the seed.

use std::{fmt::Write, str::FromStr};

use chrono::{DateTime, FixedOffset, LocalResult, NaiveDate, NaiveDateTime, TimeZone as _};
use jiff::{
    civil,
    tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase},
};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use taskq_core::Timestamp;
use taskq_scheduler::{Schedule, cron};

use crate::instants::utc;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

// Texts and what they mean ----------------------------------------------------------------------------------

/// A field and the values that it allows, made without reading it.
#[derive(Clone, Debug)]
struct Field {
    text: String,
    values: Vec<i8>,
}

impl Field {
    fn is_star(&self) -> bool {
        self.text.starts_with('*')
    }
}

/// A cron text of five fields.
#[derive(Clone, Debug)]
struct Text {
    minute: Field,
    hour: Field,
    day: Field,
    month: Field,
    weekday: Field,
}

impl Text {
    fn new(minute: Field, hour: Field, [day, month, weekday]: [Field; 3]) -> Self {
        Self { minute, hour, day, month, weekday }
    }

    fn to_text(&self) -> String {
        let fields = [&self.minute, &self.hour, &self.day, &self.month, &self.weekday];
        fields.map(|field| field.text.as_str()).join(" ")
    }

    fn names_hours(&self) -> bool {
        self.hour.values.len() < 24
    }

    fn is_due(&self, wall: civil::DateTime) -> bool {
        let day = self.day.values.contains(&wall.day());
        let weekday = self.weekday.values.contains(&wall.weekday().to_sunday_zero_offset());
        let is_either_a_star = self.day.is_star() || self.weekday.is_star();
        let days = if is_either_a_star { day && weekday } else { day || weekday };
        days && self.minute.values.contains(&wall.minute())
            && self.hour.values.contains(&wall.hour())
            && self.month.values.contains(&wall.month())
    }
}

/// A field of values from `first` to `last`, of which `likely` ones are chosen more often.
fn field(first: i8, last: i8, likely: Vec<i8>) -> impl Strategy<Value = Field> {
    let one = prop_oneof![prop::sample::select(likely), first..=last];
    let list = prop::collection::btree_set(one.clone(), 1..4).prop_map(|values| {
        let values: Vec<i8> = values.into_iter().collect();
        Field { text: values.iter().map(i8::to_string).collect::<Vec<_>>().join(","), values }
    });
    let range = (one.clone(), one, 1..=(last - first).min(9)).prop_map(|(one, other, step)| {
        let (from, to) = (one.min(other), one.max(other));
        let values = (from..=to).step_by(usize::try_from(step).expect("positive")).collect();
        let step = if step == 1 { String::new() } else { format!("/{step}") };
        Field { text: format!("{from}-{to}{step}"), values }
    });
    let steps = (1..=last - first).prop_map(move |step| {
        let values = (first..=last).step_by(usize::try_from(step).expect("positive")).collect();
        Field { text: format!("*/{step}"), values }
    });
    let star = Just(Field { text: "*".to_owned(), values: (first..=last).collect() });
    prop_oneof![3 => list, 2 => range, 2 => steps, 3 => star]
}

/// Days of the month, of which at least one comes in every month.
fn day(likely: i8) -> impl Strategy<Value = Field> {
    field(1, 31, vec![likely]).prop_filter("comes in every month", |field| field.values[0] <= 28)
}

fn star(first: i8, last: i8) -> BoxedStrategy<Field> {
    Just(Field { text: "*".to_owned(), values: (first..=last).collect() }).boxed()
}

/// The same, with steps from a value on, which croner does not read.
fn any_field(first: i8, last: i8, likely: Vec<i8>) -> impl Strategy<Value = Field> {
    let from_a_value = (first..=last, 1..=last - first).prop_map(move |(from, step)| {
        let values = (from..=last).step_by(usize::try_from(step).expect("positive")).collect();
        Field { text: format!("{from}/{step}"), values }
    });
    prop_oneof![9 => field(first, last, likely), 1 => from_a_value]
}

/// A text that is likely to be due around this hour of this date.
fn text_around(wall: civil::DateTime) -> impl Strategy<Value = Text> {
    let hour = wall.hour();
    let hours: Vec<i8> = (-1..=2).map(|more| (hour + more).rem_euclid(24)).collect();
    let month = prop_oneof![3 => star(1, 12), 1 => any_field(1, 12, vec![wall.month()]).boxed()];
    let day = prop_oneof![2 => star(1, 31), 1 => day(wall.day().min(28)).boxed()];
    let today = wall.weekday().to_sunday_zero_offset();
    let weekday = prop_oneof![2 => star(0, 6), 1 => any_field(0, 6, vec![today]).boxed()];
    let time = (any_field(0, 59, vec![0, 15, 30, 45, 59]), any_field(0, 23, hours));
    (time, (day, month, weekday)).prop_map(|((minute, hour), dates)| Text::new(minute, hour, dates.into()))
}

// The slow one ----------------------------------------------------------------------------------------------

/// All fire times later than `from` and not later than `to`, by a look at each minute.
fn looked_for(text: &Text, zone: &TimeZone, from: i64, to: i64) -> Vec<i64> {
    let mut found = Vec::new();
    let mut shown = wall(zone, from);
    let mut latest = shown;
    for instant in (from + MINUTE..=to).step_by(usize::try_from(MINUTE).expect("positive")) {
        let now = wall(zone, instant);
        let mut skipped = shown;
        let mut was_skipped = false;
        while text.names_hours() && next_minute(skipped) < now {
            skipped = next_minute(skipped);
            was_skipped |= text.is_due(skipped);
        }
        let is_repeated = now <= latest;
        if was_skipped || (text.is_due(now) && !(text.names_hours() && is_repeated)) {
            found.push(instant);
        }
        shown = now;
        latest = latest.max(now);
    }
    found
}

fn next_minute(wall: civil::DateTime) -> civil::DateTime {
    wall.checked_add(jiff::SignedDuration::from_mins(1)).expect("in range")
}

fn wall(zone: &TimeZone, millis: i64) -> civil::DateTime {
    zone.to_datetime(jiff::Timestamp::from_millisecond(millis).expect("in range"))
}

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

/// What makes texts of a seed.
fn runner(seed: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

fn made<S: Strategy>(strategy: S, runner: &mut TestRunner) -> S::Value {
    strategy.new_tree(runner).expect("nothing is filtered").current()
}

#[test]
fn around_every_change_of_every_zone_it_fires_as_a_look_at_each_minute_says() {
    let (seed, cases) = (number("TASKQ_SEED", 1), number("TASKQ_CASES", 2));
    let (from, to) = (utc("2025-01-01T00:00:00Z").as_millis(), utc("2028-01-01T00:00:00Z").as_millis());
    let mut runner = runner(seed);
    let (mut changes, mut fire_times) = (0, 0);
    for name in TimeZoneDatabase::bundled().available() {
        let zone = TimeZone::get(name.as_str()).expect("known");
        let from = jiff::Timestamp::from_millisecond(from).expect("in range");
        for change in zone.following(from).map(|change| change.timestamp().as_millisecond()).take_while(|at| *at < to) {
            changes += 1;
            for _ in 0..cases {
                let text = made(text_around(wall(&zone, change - MINUTE)), &mut runner);
                fire_times += compare(&text, name.as_str(), &zone, change, seed);
            }
        }
    }
    assert!(changes > 1_000, "{changes} changes");
    assert!(fire_times > changes, "{fire_times} fire times");
}

/// Compares all fire times around a change, and the searches that begin around it. Returns how many fire times there are.
fn compare(text: &Text, name: &str, zone: &TimeZone, change: i64, seed: u64) -> usize {
    let (from, to) = (change - 3 * HOUR, change + 3 * HOUR);
    let expected = looked_for(text, zone, from, to);
    let told = format!("TASKQ_SEED={seed}: \"{}\" in {name} around {change}", text.to_text());
    let schedule = match cron(&text.to_text()).and_then(|schedule| schedule.timezone(name)) {
        Ok(schedule) => schedule,
        Err(error) => panic!("{told}: {error}"),
    };
    let (start, end) = (Timestamp::from_millis(from), Timestamp::from_millis(to));
    let found: Vec<_> = schedule.between(start, end, usize::MAX).map(Timestamp::as_millis).collect();
    assert_eq!(found, expected, "{told}");
    for after in [0, -1, 1, HOUR, -HOUR, HOUR - 1, 1 - HOUR, 29 * MINUTE + 7].map(|by| change + by) {
        let next = schedule.next_after(Timestamp::from_millis(after)).map(Timestamp::as_millis);
        let expected_next = expected.iter().copied().find(|at| *at > after);
        assert_eq!(next.filter(|next| *next <= to), expected_next, "{told}: the next after {after}");
        let last = schedule.last_between(start, Timestamp::from_millis(after)).map(Timestamp::as_millis);
        assert_eq!(last, expected.iter().copied().rfind(|at| *at <= after), "{told}: the last until {after}");
    }
    expected.len()
}

// Croner ----------------------------------------------------------------------------------------------------

/// A zone of jiff as one of chrono, so that both read the same database.
#[derive(Clone, Debug)]
struct Shared(TimeZone);

/// An offset that knows its zone: chrono gets the zone of a date back from its offset.
#[derive(Clone, Debug)]
struct SharedOffset {
    zone: TimeZone,
    offset: Offset,
}

impl chrono::Offset for SharedOffset {
    fn fix(&self) -> FixedOffset {
        FixedOffset::east_opt(self.offset.seconds()).expect("less than a day")
    }
}

impl chrono::TimeZone for Shared {
    type Offset = SharedOffset;

    fn from_offset(offset: &SharedOffset) -> Self {
        Self(offset.zone.clone())
    }

    fn offset_from_local_date(&self, local: &NaiveDate) -> LocalResult<SharedOffset> {
        self.offset_from_local_datetime(&local.and_hms_opt(0, 0, 0).expect("midnight"))
    }

    fn offset_from_local_datetime(&self, local: &NaiveDateTime) -> LocalResult<SharedOffset> {
        let text = local.format("%Y-%m-%dT%H:%M:%S").to_string();
        let civil = civil::DateTime::from_str(&text).expect("the same calendar");
        let shared = |offset| SharedOffset { zone: self.0.clone(), offset };
        match self.0.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => LocalResult::Single(shared(offset)),
            AmbiguousOffset::Gap { .. } => LocalResult::None,
            AmbiguousOffset::Fold { before, after } => LocalResult::Ambiguous(shared(before), shared(after)),
        }
    }

    fn offset_from_utc_date(&self, utc: &NaiveDate) -> SharedOffset {
        self.offset_from_utc_datetime(&utc.and_hms_opt(0, 0, 0).expect("midnight"))
    }

    fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> SharedOffset {
        let instant = jiff::Timestamp::from_second(utc.and_utc().timestamp()).expect("in range");
        SharedOffset { zone: self.0.clone(), offset: self.0.to_offset(instant) }
    }
}

/// Dates in whose meaning croner and we agree: fields of days are plain stars or plain values.
fn dates_of_both() -> impl Strategy<Value = [Field; 3]> {
    let plain = |field: &Field| !field.text.starts_with("*/");
    let weekday = field(0, 6, vec![1]).prop_filter("a plain field", plain);
    (day(1).prop_filter("a plain field", plain), field(1, 12, vec![3, 10]), weekday).prop_map(<[Field; 3]>::from)
}

/// Any text, in UTC.
fn text_of_both() -> impl Strategy<Value = Text> {
    (field(0, 59, vec![0]), field(0, 23, vec![0]), dates_of_both())
        .prop_map(|(minute, hour, dates)| Text::new(minute, hour, dates))
}

/// Texts in whose meaning the two agree when clocks are changed: the hour is one number, with one minute, or it is a star.
fn zoned_text_of_both() -> impl Strategy<Value = Text> {
    let one = |last: i8| (0..=last).prop_map(|value| Field { text: value.to_string(), values: vec![value] }).boxed();
    let time = prop_oneof![(one(59), one(3)), (field(0, 59, vec![0]).boxed(), star(0, 23))];
    (time, dates_of_both()).prop_map(|((minute, hour), dates)| Text::new(minute, hour, dates))
}

/// What croner says comes next, `count` times.
fn croner_says(text: &str, zone: &TimeZone, after: i64, count: usize) -> Vec<i64> {
    let other = croner::Cron::from_str(text).expect(text);
    let start = Shared(zone.clone()).timestamp_millis_opt(after).single().expect("in range");
    other.iter_after(start).take(count).map(|found: DateTime<Shared>| found.timestamp_millis()).collect()
}

fn we_say(text: &str, zone: &str, after: i64, count: usize) -> Vec<i64> {
    let schedule: Schedule = cron(text).and_then(|schedule| schedule.timezone(zone)).expect(text);
    schedule.upcoming(Timestamp::from_millis(after), count).map(Timestamp::as_millis).collect()
}

proptest! {
    #![proptest_config(Config::with_cases(100))]

    #[test]
    fn in_utc_it_fires_as_croner_says(text in text_of_both(), after in 1_750_000_000_000..1_950_000_000_000_i64) {
        let text = text.to_text();
        prop_assert_eq!(we_say(&text, "UTC", after, 20), croner_says(&text, &TimeZone::UTC, after, 20), "{}", text);
    }

    #[test]
    fn in_zones_it_fires_as_croner_says_where_the_rules_are_the_same(
        text in zoned_text_of_both(),
        zone in prop::sample::select(vec!["Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"]),
        change in 0..6_usize,
        before in 0..48 * HOUR,
    ) {
        let text = text.to_text();
        let jiff = TimeZone::get(zone).expect("known");
        let first = jiff::Timestamp::from_millisecond(1_750_000_000_000).expect("in range");
        let at = jiff.following(first).nth(change).expect("zones go on").timestamp().as_millisecond();
        prop_assert_eq!(we_say(&text, zone, at - before, 60), croner_says(&text, &jiff, at - before, 60), "{}", text);
    }
}

#[test]
fn croner_differs_where_it_is_said_to() {
    assert!(croner::Cron::from_str("5/15 * * * *").is_err());
    let paris = TimeZone::get("Europe/Paris").expect("known");
    let (spring, autumn) = (utc("2026-03-28T12:00:00Z").as_millis(), utc("2026-10-24T12:00:00Z").as_millis());
    assert_ne!(we_say("0,30 2 * * *", "Europe/Paris", spring, 1), croner_says("0,30 2 * * *", &paris, spring, 1));
    assert_ne!(we_say("0,30 2 * * *", "Europe/Paris", autumn, 3), croner_says("0,30 2 * * *", &paris, autumn, 3));
    assert_ne!(we_say("0 0 */2 * 1", "UTC", spring, 3), croner_says("0 0 */2 * 1", &TimeZone::UTC, spring, 3));
}

#[test]
fn a_made_text_says_what_it_means() {
    let mut runner = runner(7);
    let mut told = String::new();
    for _ in 0..200 {
        let text = made(text_of_both(), &mut runner);
        cron(&text.to_text()).expect("can be read");
        let _infallible = write!(told, "{} ", text.to_text());
    }
    assert!(told.contains('-') && told.contains('/') && told.contains(','), "{told}");
}
