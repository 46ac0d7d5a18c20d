//! The contract for events: a bounded stream of what happened to tasks, workers, leaders and health checks.
//!
//! Events are news, and no promise rests on them: a process that dies takes with it what it has not published, a process that
//! would say too much leaves some out, and of too many the oldest go. But nothing is lost without a word: who leaves events
//! out says how many ([`What::LeftOut`]), and a reader whom the bound has overtaken is told how many it missed.

mod event;
mod outlet;
mod subscriber;
mod telling;

use std::{fmt, str::FromStr};

use async_trait::async_trait;

use crate::{
    clock::Timestamp,
    error::{Error, ErrorKind, Result},
    limits,
    text::quoted,
};

pub use event::{Event, SettledAs, What};
pub use outlet::Outlet;
pub use subscriber::{Subscriber, Told};
pub(crate) use telling::Telling;

/// Keeps the newest events of a namespace: [`limits::MAX_EVENTS`], for [`limits::EVENT_TTL`].
///
/// Every method is one atomic step.
#[async_trait]
pub trait Events: fmt::Debug + Send + Sync {
    /// Adds events behind all others, at most [`limits::EVENT_BATCH`], and drops the oldest beyond the bounds.
    ///
    /// Repeating a call whose answer was lost can double its events.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] for more events than that, and [`ErrorKind::Full`] if the broker has no room.
    async fn publish(&self, events: &[Event]) -> Result<()>;

    /// The oldest `count` events behind a place, or of all that are kept; at most [`limits::MAX_PAGE`].
    ///
    /// A place that this stream has not reached is one of a stream that is lost: then it begins with the oldest.
    async fn read(&self, after: Option<Cursor>, count: usize) -> Result<EventPage>;

    /// The place of the newest event; none if none is kept.
    async fn last(&self) -> Result<Option<Cursor>>;
}

/// Whether a process tells events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventsMode {
    /// It tells none, which costs nothing.
    #[default]
    Off,
    /// It tells all, up to [`limits::EVENT_BACKLOG`] in each [`limits::EVENT_INTERVAL`].
    On,
}

impl EventsMode {
    /// The mode as one lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
        }
    }
}

impl fmt::Display for EventsMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for EventsMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = [Self::Off, Self::On].into_iter().find(|mode| mode.as_str() == text);
        found.ok_or_else(|| Error::invalid("read mode of events", quoted(text), "use off or on"))
    }
}

/// A place in the stream. It only grows, also when a broker has lost its data and the stream begins anew.
///
/// The default stands before everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    /// When the stream that it is a place of was begun: when its first event came and none was kept, by the broker's clock.
    pub begun_at: Timestamp,
    /// The number of the event in it, from 1.
    pub number: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.begun_at.as_millis(), self.number)
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let read = || {
            let (begun_at, number) = text.split_once('-')?;
            Some(Self { begun_at: Timestamp::from_millis(begun_at.parse().ok()?), number: number.parse().ok()? })
        };
        read().ok_or_else(|| Error::invalid("read cursor", quoted(text), "a cursor reads 1795832074000-17"))
    }
}

/// Events that stand behind one another in the stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventPage {
    /// The events with their places, oldest first.
    pub events: Vec<(Cursor, Event)>,
    /// How many stood between the place that was asked for and the first of these, and are no longer kept.
    pub missed: u64,
}

impl EventPage {
    /// For brokers: the page of these events, which were asked for behind a place.
    pub fn new(after: Option<Cursor>, events: Vec<(Cursor, Event)>) -> Self {
        let missed = match (after, events.first()) {
            (Some(after), Some((first, _))) if after.begun_at == first.begun_at => {
                first.number.saturating_sub(after.number).saturating_sub(1)
            }
            // Of the stream before it nothing is known any more.
            (Some(_), Some((first, _))) => first.number.saturating_sub(1),
            _ => 0,
        };
        Self { events, missed }
    }
}

/// For brokers: refuses more events than one call may bring.
///
/// # Errors
/// [`ErrorKind::TooLarge`].
pub fn check_batch(events: &[Event]) -> Result<()> {
    if events.len() <= limits::EVENT_BATCH {
        return Ok(());
    }
    let cure = format!("{} events at once; the limit is {}", events.len(), limits::EVENT_BATCH);
    Err(Error::new(ErrorKind::TooLarge, "publish", "events").because(cure))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_grows_and_reads_back() {
        let cursor = |begun_at, number| Cursor { begun_at: Timestamp::from_millis(begun_at), number };
        assert!(cursor(1, 9) < cursor(1, 10) && cursor(1, 10) < cursor(2, 1));
        assert_eq!("1795832074000-17".parse::<Cursor>().expect("reads"), cursor(1_795_832_074_000, 17));
        assert_eq!(cursor(5, 7).to_string(), "5-7");
        for wrong in ["", "-", "5", "5-", "-7", "5-x", "5-7-9", "5-18446744073709551616"] {
            assert!(wrong.parse::<Cursor>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_mode_reads_back() {
        for mode in [EventsMode::Off, EventsMode::On] {
            assert_eq!(mode.to_string().parse::<EventsMode>().expect("reads"), mode);
        }
        assert!("loud".parse::<EventsMode>().is_err());
    }
}
