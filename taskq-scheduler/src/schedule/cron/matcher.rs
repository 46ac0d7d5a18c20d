//! [`Matcher`]: the search for the wall times that fields allow, by the crate `cron`. The only file that knows it and
//! `chrono`.
//!
//! That crate gets lists of checked numbers and no time zone: what it means by texts and by zones differs from what is
//! promised here. It searches year by year, so the search ends with the year 2100.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use cron::Schedule;

use super::{super::wall::Wall, Fields, field::Field};

/// The wall times that fields allow: those of one schedule, or of either of two.
#[derive(Debug)]
pub(super) struct Matcher {
    schedules: Vec<Schedule>,
}

/// Which of the two fields of days are looked at.
enum Days {
    Both,
    OfMonth,
    OfWeek,
}

impl Matcher {
    pub(super) fn new(fields: &Fields) -> Self {
        let are_both_restricted = fields.day_of_month.is_restricted() && fields.day_of_week.is_restricted();
        let days: &[Days] = if are_both_restricted { &[Days::OfMonth, Days::OfWeek] } else { &[Days::Both] };
        Self { schedules: days.iter().map(|days| schedule(fields, days)).collect() }
    }

    /// The first wall time that is not before `wall`.
    pub(super) fn first_from(&self, wall: Wall) -> Option<Wall> {
        let before = instant(wall.0 - 1)?;
        self.schedules.iter().filter_map(|schedule| schedule.after(&before).next()).map(to_wall).min()
    }

    /// The last wall time that is not after `wall`.
    pub(super) fn last_until(&self, wall: Wall) -> Option<Wall> {
        let after = instant(wall.0 + 1)?;
        self.schedules.iter().filter_map(|schedule| schedule.after(&after).next_back()).map(to_wall).max()
    }
}

fn instant(seconds: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(seconds, 0)
}

fn to_wall(found: DateTime<Utc>) -> Wall {
    Wall(found.timestamp())
}

fn schedule(fields: &Fields, days: &Days) -> Schedule {
    let star = "*".to_owned();
    let (of_month, of_week) = match days {
        Days::Both => (list(&fields.day_of_month, 0), list(&fields.day_of_week, 1)),
        Days::OfMonth => (list(&fields.day_of_month, 0), star),
        Days::OfWeek => (star, list(&fields.day_of_week, 1)),
    };
    let others = [&fields.second, &fields.minute, &fields.hour, &fields.month, &fields.year];
    let [second, minute, hour, month, year] = others.map(|field| list(field, 0));
    let text = format!("{second} {minute} {hour} {of_month} {month} {of_week} {year}");
    Schedule::try_from(text).expect("lists of numbers within bounds can be read")
}

/// The values as text, each greater by `more`: to the crate `cron` Sunday is 1.
fn list(field: &Field, more: u16) -> String {
    if field.is_full() {
        return "*".to_owned();
    }
    field.values().fold(String::new(), |mut text, value| {
        let comma = if text.is_empty() { "" } else { "," };
        let _infallible = write!(text, "{comma}{}", value + more);
        text
    })
}
