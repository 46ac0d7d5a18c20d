//! Wall times: what a clock on a wall shows, of no zone yet. Patterns of wall times are what cron texts and calendars are;
//! a [`Zone`](super::zone::Zone) makes instants of them.

use jiff::{Timestamp, civil, tz::Offset};

/// Seconds from 1970-01-01 00:00:00 to what the clock shows, as if no clock had ever been changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wall(pub(super) i64);

/// A set of wall times.
pub(super) trait Pattern {
    /// The first of them that is not before `wall`.
    fn first_from(&self, wall: Wall) -> Option<Wall>;

    /// The last of them that is not after `wall`.
    fn last_until(&self, wall: Wall) -> Option<Wall>;

    /// What happens to them when the clock is changed.
    fn hours(&self) -> Hours;
}

/// Whether a pattern names hours. It decides what happens to wall times that a change of the clock skips or repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hours {
    /// It names some hours, so each of its wall times is meant to happen once: skipped ones happen together right after
    /// the change, and repeated ones only at first.
    Named,
    /// It goes on through every hour: skipped wall times do not happen, and repeated ones happen twice.
    Every,
}

impl Wall {
    /// The date and time; `None` beyond the calendar, which is far beyond all schedules.
    pub(super) fn to_civil(self) -> Option<civil::DateTime> {
        Some(Offset::UTC.to_datetime(Timestamp::from_second(self.0).ok()?))
    }

    /// What the clock shows at this date and time; `None` at the very ends of the calendar.
    pub(super) fn from_civil(civil: civil::DateTime) -> Option<Self> {
        Some(Self(Offset::UTC.to_timestamp(civil).ok()?.as_second()))
    }
}
