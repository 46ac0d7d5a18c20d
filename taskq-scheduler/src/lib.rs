//! When tasks are due, and the contract by which schedules will meet the brokers. There is no scheduler here yet, and no
//! broker keeps this contract yet.
//!
//! [`schedule`] is the first half, and knows neither clock nor broker. The rest of this page is about the second.
//!
//! A scheduler turns schedules ("every five minutes", "at 03:00") into enqueued tasks. It runs as several processes, so
//! that one can die, and only one of them may tick at a time. Two traits say what it needs from a broker: [`Leader`]
//! answers who may tick, [`Schedules`] keeps what was fired. It never meets a worker: what it enqueues is a task like
//! any other.
//!
//! # Who may tick
//!
//! ```text
//!             stand: nobody leads                renew: in time
//!  candidate ---------------------> leader --------------------+
//!      ^                              |  ^                     |
//!      |                              |  +---------------------+
//!      +------------------------------+
//!        renew: fenced, or trust has run out, or resign
//! ```
//!
//! The broker gives leadership for a term, and measures the term by its own clock. Every time the leadership passes to
//! a candidate, the broker gives a [`FencingToken`] that is greater than all before. Renewing keeps the token.
//!
//! A leader has to know, without asking, when it must stop. It trusts its leadership until
//!
//! ```text
//! trusted until = start of the last successful call + term - margin
//! ```
//!
//! by its own monotonic clock. The start of the call is what counts, and not its answer: the broker began the term
//! somewhere between the two, so counting from the start is never too late. The margin covers clocks that run at
//! different speeds, and the time between the last look at the clock and the arrival of a write. [`Elected::trusted_until`]
//! is this formula.
//!
//! Trust is for politeness, the token is for safety. A leader can be stopped for an hour between its look at the clock
//! and its write, by a signal, a debugger or a suspended machine. Its write then arrives with an old token, and the
//! broker refuses it in the same step in which it would have been applied. Nothing depends on a clock being right.
//!
//! # Exactly one enqueue a tick
//!
//! Each entry has a cursor: the fire time up to which it has been dealt with. [`Schedules::fire`] does three things in
//! one atomic step of the entry's queue, or none of them:
//!
//! 1. It refuses a token that is smaller than the greatest one this queue has seen.
//! 2. It refuses to move if the cursor is not where the caller believes it to be.
//! 3. It accepts the envelopes and moves the cursor.
//!
//! So a tick cannot be fired without being recorded, nor recorded without being fired. A leader that dies between two
//! ticks leaves a cursor from which its successor goes on, and a time without a leader loses no tick: the successor sees
//! how far the cursor is behind, and decides by the entry's policy whether to fire all that was missed, the last one, or
//! none.
//!
//! One hole is left. The answer of `fire` can be lost, so the call is repeated. Then the cursor has moved already, and
//! the answer says where it is. As a second guard the task of a tick has an id made of the entry and the fire time,
//! [`EntryName::tick_key`]. Brokers accept an id once, so even a cursor that was restored from an old backup enqueues no
//! tick a second time while its task is still known.
//!
//! This is about enqueueing. The task itself is delivered at least once, like every task.
//!
//! # Where the traits live
//!
//! Brokers and scheduler do not import each other. With the first broker that keeps it, this contract moves to
//! `taskq-core`, beside the contract of the broker.

pub mod schedule;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use taskq_core::{Accepted, Envelope, Error, QueueName, Result, TaskKey, Timestamp, WorkerId, limits};

pub use schedule::{Period, Schedule, at, calendar, cron, every};

// Who may tick ----------------------------------------------------------------------------------------------

/// Decides which scheduler process may tick.
///
/// Every method is one atomic step. Terms are measured by the broker's clock. Repeating any call is harmless.
#[async_trait]
pub trait Leader: fmt::Debug + Send + Sync {
    /// Takes the leadership for `term` if nobody has it, with a token greater than all before.
    ///
    /// A candidate that leads already is elected again under its present token and with a whole term: then the answer
    /// of its first call was lost.
    async fn stand(&self, candidate: CandidateId, term: Duration) -> Result<Standing>;

    /// Prolongs the leadership to `term` from now. A term that is over is not prolonged, even if nobody else has taken
    /// the leadership: the answer is [`Renewal::Lost`], and the candidate has to stand again.
    async fn renew(&self, candidate: CandidateId, token: FencingToken, term: Duration) -> Result<Renewal>;

    /// Ends the leadership at once, so that another need not wait for the end of the term. Does nothing for a candidate
    /// that does not lead under this token.
    async fn resign(&self, candidate: CandidateId, token: FencingToken) -> Result<()>;
}

/// One scheduler process: made anew at every start, never reused, so that two processes of one name confuse nobody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CandidateId(WorkerId);

impl CandidateId {
    /// A fresh id.
    pub fn generate() -> Self {
        Self(WorkerId::generate())
    }
}

impl fmt::Display for CandidateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for CandidateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The number of a leadership. It grows whenever the leadership passes to a candidate, and every write of a leader
/// carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FencingToken(pub u64);

/// What became of standing for the leadership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The candidate leads.
    Elected(Elected),
    /// Another one leads. Its term ends after this long, unless it is renewed or resigned before.
    Beaten(Duration),
}

/// A leadership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elected {
    /// What every write of this leader carries.
    pub token: FencingToken,
    /// How long it lasts, from the moment in which the broker gave it.
    pub term: Duration,
}

impl Elected {
    /// Until when the leader may believe that it leads: `call_started + term - margin`.
    ///
    /// `call_started` is the leader's monotonic time just before it sent the call that was answered. A margin longer
    /// than the term leaves no trust at all.
    ///
    /// ```
    /// use std::time::Duration;
    /// use taskq_scheduler::{Elected, FencingToken};
    ///
    /// let elected = Elected { token: FencingToken(7), term: Duration::from_secs(6) };
    /// let sent_at = Duration::from_secs(100);
    /// assert_eq!(elected.trusted_until(sent_at, Duration::from_secs(2)), Duration::from_secs(104));
    /// assert_eq!(elected.trusted_until(sent_at, Duration::from_secs(9)), sent_at);
    /// ```
    pub fn trusted_until(&self, call_started: Duration, margin: Duration) -> Duration {
        call_started.saturating_add(self.term.saturating_sub(margin))
    }
}

/// What became of a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// The leadership goes on under its token, for a whole term from now.
    Renewed,
    /// It is over. The leader stops ticking and stands again.
    Lost,
}

// What was fired --------------------------------------------------------------------------------------------

/// Keeps entries with their cursors, each in the queue that it enqueues to.
///
/// Every method that changes something carries the leader's token, and is one atomic step of the entry's queue: the
/// broker compares the token with the greatest one that this queue has seen, keeps the greater, and refuses a smaller
/// one. Repeating any call is harmless.
#[async_trait]
pub trait Schedules: fmt::Debug + Send + Sync {
    /// The entries of a queue by name, at most `count`, after `after` (the last of the page before).
    ///
    /// Nothing over [`limits::MAX_PAGE`] is answered.
    async fn entries(&self, queue: &QueueName, after: Option<&EntryName>, count: usize) -> Result<Vec<Entry>>;

    /// Adds an entry without a cursor, or replaces the text of one. A replaced entry keeps its cursor, so that a change
    /// of schedule fires nothing that has been fired before.
    async fn put(&self, token: FencingToken, id: &EntryId, schedule: &str) -> Result<Written>;

    /// Forgets an entry and its cursor. Tasks that it enqueued stay. An unknown entry is no error.
    async fn remove(&self, token: FencingToken, id: &EntryId) -> Result<Written>;

    /// Moves an entry's cursor to `tick.fire_time` and accepts the envelopes, all or nothing, in one step.
    ///
    /// No envelopes means that ticks are skipped; several, that missed ones are caught up with. They belong to the
    /// entry's queue, and each carries the id that [`EntryName::tick_key`] makes for its fire time. An id that is known
    /// answers [`Accepted::Duplicate`] and the cursor moves all the same. More than [`limits::ENQUEUE_CHUNK`] envelopes
    /// are refused.
    async fn fire(&self, token: FencingToken, tick: &Tick, envelopes: &[Envelope]) -> Result<Fired>;
}

/// The name of an entry within its queue: 1 to 128 of letters, digits, `.`, `_` and `-`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryName(Arc<str>);

impl EntryName {
    /// Checks and wraps a name.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](taskq_core::ErrorKind::InvalidInput) for a name of another length or with another
    /// character.
    pub fn new(name: impl AsRef<str>) -> Result<Self> {
        let name = name.as_ref();
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if (1..=limits::MAX_NAME).contains(&name.len()) && name.chars().all(is_allowed) {
            return Ok(Self(name.into()));
        }
        let cure = format!("use 1 to {} letters, digits, '.', '_' and '-'", limits::MAX_NAME);
        Err(Error::invalid("entry name", format!("\"{}\"", name.escape_debug()), cure))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of the task that this entry enqueues for `fire_time`: `name@milliseconds`. Whoever fires the tick makes
    /// the same one.
    ///
    /// ```
    /// use taskq_core::Timestamp;
    /// use taskq_scheduler::{EntryName, FireTime};
    ///
    /// let nightly = EntryName::new("nightly")?;
    /// let tick = FireTime(Timestamp::from_millis(1_800_000_000_000));
    /// assert_eq!(nightly.tick_key(tick).to_string(), "nightly@1800000000000");
    /// # Ok::<(), taskq_core::Error>(())
    /// ```
    pub fn tick_key(&self, fire_time: FireTime) -> TaskKey {
        TaskKey::own(format!("{self}@{}", fire_time.0.as_millis()))
            .expect("a name of at most 128 bytes, an @ and a number are printable and under 200 bytes")
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// An entry's name and the queue that it lives in and enqueues to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// The queue.
    pub queue: QueueName,
    /// The name within the queue.
    pub name: EntryName,
}

/// The instant for which a tick is planned, by the broker's clock, whenever it is fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FireTime(pub Timestamp);

/// A schedule as a broker keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name and queue.
    pub id: EntryId,
    /// When and what, as the scheduler wrote it. A broker keeps this text and does not read it.
    pub schedule: String,
    /// The fire time up to which ticks have been fired or skipped; `None` if it never ticked.
    pub cursor: Option<FireTime>,
}

/// One step of an entry's cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tick {
    /// Which entry.
    pub id: EntryId,
    /// Where the leader believes the cursor to be.
    pub cursor: Option<FireTime>,
    /// Where it moves to: the fire time of the last tick that is fired or skipped by this step.
    pub fire_time: FireTime,
}

/// Whether a write of a leader counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It was applied.
    Applied,
    /// A greater token was seen; nothing changed, and the caller no longer leads.
    Fenced,
}

/// What became of a tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fired {
    /// The cursor moved, and this became of the envelopes, in their order.
    Applied(Vec<Accepted>),
    /// The cursor was elsewhere, namely here; nothing changed. If it is at the tick's own fire time, then the tick was
    /// fired before and its answer was lost.
    Moved(Option<FireTime>),
    /// There is no such entry; nothing changed.
    Unknown,
    /// A greater token was seen; nothing changed, and the caller no longer leads.
    Fenced,
}
