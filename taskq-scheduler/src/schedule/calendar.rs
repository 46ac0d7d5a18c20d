//! [`Calendar`]: every so many days, weeks, months or years, counted from a date.

use std::fmt;

use jiff::{
    Unit,
    civil::{Date, DateTime},
};
use taskq_core::{Error, Result, limits};

use super::wall::{Hours, Pattern, Wall};

/// How far apart the fire times of a [`calendar`](super::calendar()) are: a number of days, weeks, months or years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Period {
    /// So many days.
    Days(u32),
    /// So many weeks: always on the same day of the week.
    Weeks(u32),
    /// So many months: on the same day of the month, or on the last one of a month that is too short.
    Months(u32),
    /// So many years: on the same date; 29 February is 28 February in years without it.
    Years(u32),
}

/// A first date and time, and the period in which it comes again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Calendar {
    pub(super) period: Period,
    pub(super) first: DateTime,
    first_wall: Wall,
}

impl Calendar {
    /// Checks a period and reads the first date and time.
    pub(super) fn new(period: Period, first: &str) -> Result<Self> {
        period.check()?;
        let refuse = |cure: &str| Error::invalid("calendar", format!("from \"{}\"", first.escape_debug()), cure);
        let example = "write a date and a time such as \"2026-01-31 07:30\"";
        // A date alone would silently mean midnight, and an offset or zone would silently be ignored.
        let text = first.trim();
        let has_offset = text.contains(['Z', 'z', '[', '+']) || text.matches('-').count() != 2;
        if has_offset || text.len() < "2026-01-31 07:30".len() {
            return Err(refuse(example));
        }
        let read: DateTime = text.parse().map_err(|_| refuse(example))?;
        if read.subsec_nanosecond() != 0 {
            return Err(refuse("use whole seconds"));
        }
        match Wall::from_civil(read).filter(|_| (1970..=limits::LAST_SCHEDULED_YEAR).contains(&read.year())) {
            Some(first_wall) => Ok(Self { period, first: read, first_wall }),
            None => Err(refuse(&format!("use a year from 1970 to {}", limits::LAST_SCHEDULED_YEAR))),
        }
    }

    /// The wall time `count` periods after the first.
    fn nth(&self, count: i64) -> Option<Wall> {
        match self.period.in_units() {
            (Unit::Month, months) => {
                // Counted from the first date each time: after a short February the 31st comes back.
                let month = self.first_month() + count.checked_mul(months)?;
                let (year, month) =
                    (month.div_euclid(12).try_into().ok()?, (month.rem_euclid(12) + 1).try_into().ok()?);
                let last_day = Date::new(year, month, 1).ok()?.days_in_month();
                let date = Date::new(year, month, self.first.day().min(last_day)).ok()?;
                Wall::from_civil(date.to_datetime(self.first.time()))
            }
            (_, days) => Some(Wall(self.first_wall.0.checked_add(count.checked_mul(days * 86_400)?)?)),
        }
    }

    /// How many whole periods lie between the first wall time and this one, or one more or one less.
    fn about(&self, wall: Wall) -> Option<i64> {
        let past = match self.period.in_units() {
            (Unit::Month, months) => (month_of(wall.to_civil()?.date()) - self.first_month()).div_euclid(months),
            (_, days) => (wall.0 - self.first_wall.0).div_euclid(days * 86_400),
        };
        Some(past.max(0))
    }

    fn first_month(&self) -> i64 {
        month_of(self.first.date())
    }
}

/// Months since the year 0.
fn month_of(date: Date) -> i64 {
    i64::from(date.year()) * 12 + i64::from(date.month()) - 1
}

impl Pattern for Calendar {
    fn first_from(&self, wall: Wall) -> Option<Wall> {
        let about = self.about(wall)?;
        (about..=about + 1).filter_map(|count| self.nth(count)).find(|found| *found >= wall)
    }

    fn last_until(&self, wall: Wall) -> Option<Wall> {
        let about = self.about(wall)?;
        let counts = (about - 1).max(0)..=about;
        counts.rev().filter_map(|count| self.nth(count)).find(|found| *found <= wall)
    }

    fn hours(&self) -> Hours {
        Hours::Named
    }
}

impl Period {
    /// Reads `2 weeks`, `1 month`.
    pub(super) fn read(text: &str) -> Result<Self> {
        let mut words = text.split_whitespace();
        let count = words.next().and_then(|count| count.parse().ok());
        let period = match (count, words.next(), words.next()) {
            (Some(count), Some("day" | "days"), None) => Self::Days(count),
            (Some(count), Some("week" | "weeks"), None) => Self::Weeks(count),
            (Some(count), Some("month" | "months"), None) => Self::Months(count),
            (Some(count), Some("year" | "years"), None) => Self::Years(count),
            _ => {
                let cure = "write for example \"1 day\", \"2 weeks\", \"3 months\" or \"1 year\"";
                return Err(Error::invalid("calendar", format!("every \"{}\"", text.escape_debug()), cure));
            }
        };
        period.check().map(|()| period)
    }

    /// Its number and the name of its unit.
    fn words(self) -> (u32, &'static str) {
        match self {
            Self::Days(count) => (count, "day"),
            Self::Weeks(count) => (count, "week"),
            Self::Months(count) => (count, "month"),
            Self::Years(count) => (count, "year"),
        }
    }

    /// The same in days or months, the units that do not divide into one another.
    fn in_units(self) -> (Unit, i64) {
        match self {
            Self::Days(count) => (Unit::Day, count.into()),
            Self::Weeks(count) => (Unit::Day, i64::from(count) * 7),
            Self::Months(count) => (Unit::Month, count.into()),
            Self::Years(count) => (Unit::Month, i64::from(count) * 12),
        }
    }

    /// A period is at least one of its unit and at most about [`limits::MAX_FUTURE`].
    fn check(self) -> Result<()> {
        let years = limits::MAX_FUTURE.as_secs() / (365 * 86_400);
        let most = match self {
            Self::Days(_) => years * 365,
            Self::Weeks(_) => years * 52,
            Self::Months(_) => years * 12,
            Self::Years(_) => years,
        };
        if (1..=most).contains(&self.words().0.into()) {
            return Ok(());
        }
        Err(Error::invalid("calendar", format!("every {self}"), format!("use 1 to {most} {}s", self.words().1)))
    }
}

/// `2 weeks`, `1 month`.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.words() {
            (1, unit) => write!(f, "1 {unit}"),
            (count, unit) => write!(f, "{count} {unit}s"),
        }
    }
}

/// `every 2 weeks on Monday at 07:30, from 2026-01-05`.
impl fmt::Display for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.period.words() {
            (1, unit) => write!(f, "every {unit}")?,
            _ => write!(f, "every {}", self.period)?,
        }
        match self.period {
            Period::Days(_) => {}
            Period::Weeks(_) => write!(f, " on {:?}", self.first.weekday())?,
            Period::Months(_) => write!(f, " on day {}", self.first.day())?,
            Period::Years(_) => write!(f, " on {}", self.first.strftime("%-d %B"))?,
        }
        write!(f, " at {}, from {}", wall_time(self.first), self.first.date())
    }
}

/// `07:30`, or `07:30:15` where seconds matter.
fn wall_time(civil: DateTime) -> String {
    let format = if civil.second() == 0 { "%H:%M" } else { "%H:%M:%S" };
    civil.strftime(format).to_string()
}
