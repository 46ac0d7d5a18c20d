//! When a task is due: [`every`] so long, by a [`cron()`] text, once [`at`] an instant, or by the [`calendar()`].
//!
//! A [`Schedule`] is a value. It reads no clock and keeps no state: given an instant, it answers which fire time comes
//! next and which came last. So every scheduler process finds the same fire times, before and after a restart, and tests
//! need no time to pass. Only [`Schedule::timezone`] touches the machine, to read its time zone database.
//!
//! ```
//! use std::time::Duration;
//! use taskq_core::Timestamp;
//! use taskq_scheduler::{Period, calendar, cron, every};
//!
//! let mondays = cron("30 7 * * Mon")?.timezone("Europe/Paris")?;
//! let often = every(Duration::from_secs(300))?.jitter(Duration::from_secs(20))?;
//! let paydays = calendar(Period::Months(1), "2026-01-31 07:30")?.timezone("Europe/Paris")?;
//!
//! let friday = Timestamp::from_millis(1_795_773_600_000); // 2026-11-27 at 10:00 UTC
//! assert_eq!(mondays.next_after(friday), Some(Timestamp::from_millis(1_796_020_200_000))); // Monday, 06:30 UTC
//! assert_eq!(often.next_after(friday), Some(Timestamp::from_millis(1_795_773_900_000)));
//! assert_eq!(paydays.to_string(), "every month on day 31 at 07:30, from 2026-01-31, in Europe/Paris");
//! # Ok::<(), taskq_core::Error>(())
//! ```
//!
//! # When clocks are changed
//!
//! A cron text or calendar means wall times of its zone; UTC if none is named. When the clock is put forward, some wall
//! times do not exist; when it is put back, some exist twice. What is due then depends on whether the schedule names
//! hours, as a calendar always does and a cron text does unless its hours are `*`:
//!
//! | | names hours: `30 2 * * *` | goes on through every hour: `*/15 * * * *` |
//! |---|---|---|
//! | skipped | fires once, at the first instant after the change | does not fire for what did not exist |
//! | shown twice | fires the first time only | fires both times |
//!
//! So what is daily fires once a day, all year, and what is every quarter of an hour fires every quarter of an hour. An
//! interval and a single instant do not depend on clocks on walls.
//!
//! # Bounds
//!
//! Schedules fire from 1970 to the end of 2100 ([`limits::LAST_SCHEDULED_YEAR`]), by UTC. Fire times are whole seconds,
//! unless an interval, a start or an instant has milliseconds.

mod calendar;
mod cron;
mod form;
mod interval;
mod wall;
mod zone;

use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use taskq_core::{
    EntryName, Error, FireTime, Result, Timestamp, limits,
    retry::{fraction, scramble},
};

use crate::length;
use calendar::Calendar;
pub use calendar::Period;
use cron::Cron;
use interval::{Interval, Origin};
use zone::Zone;

/// 1970-01-01 00:00:00 UTC: no schedule fires before.
const EARLIEST: i64 = 0;

/// The last millisecond of [`limits::LAST_SCHEDULED_YEAR`].
const LATEST: i64 = 4_133_980_799_999;

/// When something is due. Cheap to clone.
///
/// Its serde form is an object that people can write too, with one of `every`, `cron`, `at` and `calendar`:
///
/// ```
/// # use taskq_scheduler::Schedule;
/// let text = r#"{"cron":"30 7 * * Mon","timezone":"Europe/Paris","end":"2027-01-01T00:00:00Z","jitter":"30s"}"#;
/// let schedule: Schedule = serde_json::from_str(text)?;
/// assert_eq!(serde_json::to_string(&schedule)?, text);
/// for others in [
///     r#"{"every":"5m"}"#,
///     r#"{"every":"1h 30m","from_start":true,"start":"2026-11-27T10:07:00Z"}"#,
///     r#"{"at":"2026-12-24T18:00:00Z"}"#,
///     r#"{"calendar":{"every":"2 weeks","from":"2026-01-05 07:30"},"timezone":"Europe/Paris"}"#,
/// ] {
///     assert_eq!(serde_json::to_string(&serde_json::from_str::<Schedule>(others)?)?, others);
/// }
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "form::Form", into = "form::Form")]
pub struct Schedule {
    rule: Rule,
    zone: Zone,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    jitter: Duration,
}

#[derive(Clone, PartialEq)]
enum Rule {
    Every(Interval),
    Cron(Arc<Cron>),
    At(Timestamp),
    Calendar(Calendar),
}

// Making one ------------------------------------------------------------------------------------------------

/// Every so long, counted from 1970 in UTC: every five minutes is at :00, :05, :10 of each hour.
///
/// # Errors
/// [`ErrorKind::InvalidInput`](taskq_core::ErrorKind::InvalidInput) for less than [`limits::SHORTEST_INTERVAL`] (a second),
/// more than [`limits::MAX_FUTURE`], and parts of a millisecond.
pub fn every(interval: Duration) -> Result<Schedule> {
    Ok(Schedule::new(Rule::Every(Interval::new(interval)?)))
}

/// At the wall times of a cron text, in UTC unless [`Schedule::timezone`] names a zone.
///
/// ```text
///  second   minute   hour   day of month   month   day of week   year
///   0-59     0-59    0-23       1-31        1-12       0-7      1970-2100
/// ```
///
/// Five fields begin with the minute, six with the second, and seven have the year too. A field is a list (`1,15`) of
/// values, ranges (`9-17`), and `*` for all; a step takes every so manieth value of a range, of all (`*/15`), or from a
/// value on (`5/15`). Months and days of the week have names, whole or in three letters. Sunday is 0 and 7. `?` is another
/// `*` for days. `@hourly`, `@daily`, `@midnight`, `@weekly` (Sunday), `@monthly`, `@yearly` and `@annually` stand for the
/// obvious.
///
/// **Day of month and day of week**, if both are restricted, mean *either*: `0 0 1,15 * Mon` is the first, the fifteenth,
/// and every Monday. That is how cron has always been. A field that begins with `*` or `?` is no restriction in this
/// sense, and then both have to match: `0 0 */2 * Mon` is a Monday on an odd day.
///
/// ```
/// use taskq_scheduler::cron;
///
/// assert_eq!(cron("30 7 * * mon-fri")?.to_string(), "cron \"30 7 * * mon-fri\"");
/// let refused = cron("61 * * * *").expect_err("no such minute");
/// assert_eq!(refused.to_string(), "minute 61 in \"61 * * * *\": invalid input: use 0 to 59");
/// # Ok::<(), taskq_core::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::InvalidInput`](taskq_core::ErrorKind::InvalidInput) with the field, the value and the cure, for all of the
/// above that is not so; for dates that never come, such as 31 February; for `@every`, `@reboot`, `L`, `W` and `#`; and for
/// more than [`limits::MAX_CRON_TEXT`] bytes.
pub fn cron(text: &str) -> Result<Schedule> {
    Ok(Schedule::new(Rule::Cron(Arc::new(Cron::new(text)?))))
}

/// Once.
///
/// # Errors
/// [`ErrorKind::InvalidInput`](taskq_core::ErrorKind::InvalidInput) for an instant before 1970 or after 2100.
pub fn at(instant: Timestamp) -> Result<Schedule> {
    Ok(Schedule::new(Rule::At(checked("instant", instant)?)))
}

/// Every so many days, weeks, months or years, at the wall time of the first time, in UTC unless [`Schedule::timezone`]
/// names a zone.
///
/// `first` is a date and a time such as `2026-01-31 07:30`, and the first fire time. Weeks keep its day of the week.
/// Months keep its day of the month; a month without that day fires on its last day, and the next long one on the day
/// itself again: 31 January, 28 February, 31 March. Years do the same with 29 February.
///
/// ```
/// use taskq_scheduler::{Period, calendar};
///
/// let every_other_monday = calendar(Period::Weeks(2), "2026-01-05 07:30")?.timezone("Europe/Paris")?;
/// assert_eq!(
///     every_other_monday.to_string(),
///     "every 2 weeks on Monday at 07:30, from 2026-01-05, in Europe/Paris"
/// );
/// # Ok::<(), taskq_core::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::InvalidInput`](taskq_core::ErrorKind::InvalidInput) for no period at all, one beyond ten years, a `first`
/// that is no date and time, that has parts of a second, or that lies before 1970 or after 2100.
pub fn calendar(period: Period, first: &str) -> Result<Schedule> {
    Ok(Schedule::new(Rule::Calendar(Calendar::new(period, first)?)))
}

impl Schedule {
    fn new(rule: Rule) -> Self {
        Self { rule, zone: Zone::UTC, start: None, end: None, jitter: Duration::ZERO }
    }

    /// Means wall times of this zone of the IANA database, for example `Europe/Paris`.
    ///
    /// The machine's time zone database is asked first, so that its updates count, then the one inside the program.
    /// Processes with different databases find different fire times where the two differ. An interval and a single instant
    /// are the same in all zones: what is daily by a local clock is a cron text or a calendar.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](taskq_core::ErrorKind::InvalidInput) with the nearest known name for an unknown one.
    pub fn timezone(mut self, name: &str) -> Result<Self> {
        self.zone = Zone::named(name)?;
        Ok(self)
    }

    /// Fires at this instant at the earliest.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](taskq_core::ErrorKind::InvalidInput) for an instant before 1970, after 2100, or after the
    /// end.
    pub fn start(mut self, start: Timestamp) -> Result<Self> {
        self.start = Some(checked("start", start)?);
        self.in_order()
    }

    /// Fires at this instant at the latest.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](taskq_core::ErrorKind::InvalidInput) for an instant before 1970, after 2100, or before
    /// the start.
    pub fn end(mut self, end: Timestamp) -> Result<Self> {
        self.end = Some(checked("end", end)?);
        self.in_order()
    }

    /// Counts an interval from the start of the schedule instead of from 1970; the start itself is the first fire time.
    ///
    /// A schedule without a start gets one from [`Schedule::or_start`] when its entry is created. Until then it counts from
    /// 1970.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](taskq_core::ErrorKind::InvalidInput) for a schedule that is not made by [`every`].
    pub fn from_start(mut self) -> Result<Self> {
        match &mut self.rule {
            Rule::Every(interval) => interval.origin = Origin::Start,
            Rule::Cron(_) | Rule::At(_) | Rule::Calendar(_) => {
                return Err(Error::invalid("from_start", &self, "use it with every, and start alone with all others"));
            }
        }
        Ok(self)
    }

    /// Starts here if it counts from a start and names none. `created_at` is when its entry was created.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](taskq_core::ErrorKind::InvalidInput) as [`Schedule::start`].
    pub fn or_start(self, created_at: Timestamp) -> Result<Self> {
        match (&self.rule, self.start) {
            (Rule::Every(Interval { origin: Origin::Start, .. }), None) => self.start(created_at),
            _ => Ok(self),
        }
    }

    /// Delays what fires by up to this long, so that entries of one fire time do not all start together. Fire times stay
    /// what they are; [`Schedule::jitter_of`] says how long the delay of one is.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](taskq_core::ErrorKind::InvalidInput) for more than [`limits::MAX_JITTER`], for more than
    /// the interval of [`every`], and for parts of a millisecond.
    pub fn jitter(mut self, longest: Duration) -> Result<Self> {
        let bound = match &self.rule {
            Rule::Every(interval) => interval.length().min(limits::MAX_JITTER),
            Rule::Cron(_) | Rule::At(_) | Rule::Calendar(_) => limits::MAX_JITTER,
        };
        if longest > bound {
            let cure = format!("use at most {}", length::write(bound));
            return Err(Error::invalid("jitter", length::write(longest), cure));
        }
        if length::whole_millis(longest).is_none() {
            return Err(Error::invalid("jitter", length::write(longest), "use whole milliseconds"));
        }
        self.jitter = longest;
        Ok(self)
    }

    fn in_order(self) -> Result<Self> {
        match (self.start, self.end) {
            (Some(start), Some(end)) if end < start => {
                let subject = format!("{} before the start {}", form::instant(end), form::instant(start));
                Err(Error::invalid("end", subject, "use a later end"))
            }
            _ => Ok(self),
        }
    }
}

/// An instant at which a schedule can fire.
fn checked(what: &'static str, instant: Timestamp) -> Result<Timestamp> {
    match instant.as_millis() {
        EARLIEST..=LATEST => Ok(instant),
        millis => {
            let cure = format!("use an instant from 1970 to {}", limits::LAST_SCHEDULED_YEAR);
            Err(Error::invalid(what, format!("{millis} ms after 1970"), cure))
        }
    }
}

// Asking it -------------------------------------------------------------------------------------------------

impl Schedule {
    /// The next fire time: the first one that is later than `after`. `None` if there is none any more.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let from = after.as_millis().checked_add(1)?.max(self.first());
        let found = match &self.rule {
            _ if from > self.last() => None,
            Rule::Every(interval) => interval.first_from(from, self.first()),
            Rule::At(instant) => Some(instant.as_millis()).filter(|instant| *instant >= from),
            // Wall times are whole seconds, so the search begins at the first whole one.
            Rule::Cron(cron) => self.zone.first_from(&**cron, div_up(from)).map(to_millis),
            Rule::Calendar(calendar) => self.zone.first_from(calendar, div_up(from)).map(to_millis),
        };
        found.filter(|found| *found <= self.last()).map(Timestamp::from_millis)
    }

    /// The last fire time that is later than `after` and not later than `until`: what is left of all that was missed in
    /// between, for who wants only one.
    ///
    /// It is searched from the end. So it takes as long as [`Schedule::next_after`], whether a second was missed or ten
    /// years of seconds.
    pub fn last_between(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let until = until.as_millis().min(self.last());
        let found = match &self.rule {
            _ if until < self.first() => None,
            Rule::Every(interval) => interval.last_until(until, self.first()),
            Rule::At(instant) => Some(instant.as_millis()).filter(|instant| *instant <= until),
            Rule::Cron(cron) => self.zone.last_until(&**cron, until.div_euclid(1_000)).map(to_millis),
            Rule::Calendar(calendar) => self.zone.last_until(calendar, until.div_euclid(1_000)).map(to_millis),
        };
        let earliest = after.as_millis().checked_add(1)?.max(self.first());
        found.filter(|found| *found >= earliest).map(Timestamp::from_millis)
    }

    /// The next fire times later than `after`, at most `count` and at most [`limits::MAX_FIRE_TIMES`].
    pub fn upcoming(&self, after: Timestamp, count: usize) -> impl Iterator<Item = Timestamp> + '_ {
        let next = move |last: &Timestamp| self.next_after(*last);
        std::iter::successors(self.next_after(after), next).take(count.min(limits::MAX_FIRE_TIMES))
    }

    /// The fire times later than `after` and not later than `until`, the earliest `most` of them and at most
    /// [`limits::MAX_FIRE_TIMES`]. Whoever goes on from the last one gets the rest.
    pub fn between(&self, after: Timestamp, until: Timestamp, most: usize) -> impl Iterator<Item = Timestamp> + '_ {
        self.upcoming(after, most).take_while(move |fire_time| *fire_time <= until)
    }

    /// An instant as the clocks on the walls of this schedule's zone show it, `2026-11-30 07:30:00+01:00`.
    pub fn wall_time(&self, instant: Timestamp) -> String {
        self.zone.wall_time(instant)
    }

    /// How much later than its fire time an entry is to start: a part of the jitter, in whole milliseconds.
    ///
    /// It follows from the name and the fire time alone, so every scheduler computes the same one, now and after a restart.
    pub fn jitter_of(&self, entry: &EntryName, fire_time: FireTime) -> Duration {
        let name = entry.as_str().bytes().fold(0, |seed, byte| scramble(seed ^ u64::from(byte)));
        let delay = fraction(self.jitter, name ^ fire_time.0.as_millis().unsigned_abs());
        Duration::from_millis(u64::try_from(delay.as_millis()).expect("at most a day"))
    }

    /// The first millisecond in which it may fire.
    fn first(&self) -> i64 {
        self.start.map_or(EARLIEST, Timestamp::as_millis)
    }

    /// The last millisecond in which it may fire.
    fn last(&self) -> i64 {
        self.end.map_or(LATEST, Timestamp::as_millis)
    }
}

/// The first whole second that is not before a millisecond.
fn div_up(millis: i64) -> i64 {
    millis.div_euclid(1_000) + i64::from(millis.rem_euclid(1_000) > 0)
}

fn to_millis(seconds: i64) -> i64 {
    seconds * 1_000
}

// Showing it ------------------------------------------------------------------------------------------------

/// As a person would write it: `every 5m`, `cron "30 7 * * Mon" in Europe/Paris`.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rule {
            Rule::Every(interval) => {
                write!(f, "every {}", length::write(interval.length()))?;
                if interval.origin == Origin::Start {
                    f.write_str(" from its start")?;
                }
            }
            Rule::Cron(cron) => write!(f, "cron \"{}\"", cron.text())?,
            Rule::At(instant) => write!(f, "once at {}", form::instant(*instant))?,
            Rule::Calendar(calendar) => write!(f, "{calendar}")?,
        }
        match (&self.rule, self.zone != Zone::UTC) {
            (Rule::Cron(_), true) => write!(f, " in {}", self.zone.name())?,
            (Rule::Calendar(_), true) => write!(f, ", in {}", self.zone.name())?,
            _ => {}
        }
        if let Some(start) = self.start {
            write!(f, ", not before {}", form::instant(start))?;
        }
        if let Some(end) = self.end {
            write!(f, ", not after {}", form::instant(end))?;
        }
        match self.jitter {
            Duration::ZERO => Ok(()),
            jitter => write!(f, ", up to {} late", length::write(jitter)),
        }
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schedule({self})")
    }
}
