//! [`Interval`]: the same time over and over, whatever clocks on walls show.

use std::time::Duration;

use taskq_core::{
    Error, Result,
    limits::{MAX_FUTURE, SHORTEST_INTERVAL},
};

use crate::length;

/// A length of time, and from where it is counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Interval {
    millis: i64,
    pub(super) origin: Origin,
}

/// From where an interval is counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Origin {
    /// 1970-01-01 00:00:00 UTC.
    Epoch,
    /// The start of the schedule.
    Start,
}

impl Interval {
    /// Checks a length of time.
    pub(super) fn new(interval: Duration) -> Result<Self> {
        let refuse = |cure: String| Err(Error::invalid("interval", length::write(interval), cure));
        if interval < SHORTEST_INTERVAL {
            return refuse(format!("use at least {}", length::write(SHORTEST_INTERVAL)));
        }
        if interval > MAX_FUTURE {
            return refuse(format!("use at most {}", length::write(MAX_FUTURE)));
        }
        match length::whole_millis(interval) {
            Some(millis) => Ok(Self { millis, origin: Origin::Epoch }),
            None => refuse("use whole milliseconds".to_owned()),
        }
    }

    /// The length of time.
    pub(super) fn length(self) -> Duration {
        Duration::from_millis(self.millis.unsigned_abs())
    }

    /// The first instant from `from` on, all in milliseconds.
    pub(super) fn first_from(self, from: i64, start: i64) -> Option<i64> {
        let last = self.last_until(from.checked_sub(1)?, start)?;
        last.checked_add(self.millis)
    }

    /// The last instant until `until`, all in milliseconds.
    pub(super) fn last_until(self, until: i64, start: i64) -> Option<i64> {
        let origin = match self.origin {
            Origin::Epoch => 0,
            Origin::Start => start,
        };
        let past = until.checked_sub(origin)?.rem_euclid(self.millis);
        until.checked_sub(past)
    }
}
