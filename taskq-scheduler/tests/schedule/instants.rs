//! Instants as tests write and read them.

use jiff::tz::TimeZone;
use taskq_core::Timestamp;
use taskq_scheduler::Schedule;

/// `2026-11-27T10:00:00Z` as an instant.
pub(crate) fn utc(text: &str) -> Timestamp {
    let instant: jiff::Timestamp = text.parse().expect(text);
    Timestamp::from_millis(instant.as_millisecond())
}

/// An instant as the clock of a zone shows it, with the offset: `2026-11-27 11:00 +01`.
pub(crate) fn local(zone: &str, instant: Timestamp) -> String {
    let zone = TimeZone::get(zone).expect("known");
    let instant = jiff::Timestamp::from_millisecond(instant.as_millis()).expect("within the calendar");
    let shown = instant.to_zoned_datetime(zone);
    let seconds = if shown.second() == 0 { "" } else { ":%S" };
    shown.strftime(&format!("%Y-%m-%d %H:%M{seconds} %:::z")).to_string()
}

/// The next fire times after an instant, as the clock of a zone shows them.
pub(crate) fn next(schedule: &Schedule, zone: &str, after: &str, count: usize) -> Vec<String> {
    schedule.upcoming(utc(after), count).map(|fire_time| local(zone, fire_time)).collect()
}

/// The same in UTC, without the offset.
pub(crate) fn next_utc(schedule: &Schedule, after: &str, count: usize) -> Vec<String> {
    next(schedule, "UTC", after, count).into_iter().map(|told| told.trim_end_matches(" +00").to_owned()).collect()
}
