//! The contract for scheduled tasks: brokers keep entries, each with a cursor, and enqueue each tick of one exactly once.
//!
//! # Exactly one enqueue a tick
//!
//! Each entry has a cursor: the instant up to which its ticks have been dealt with. It begins when the entry is added.
//! [`Schedules::fire`] does three things for a tick in one atomic step of the entry's queue, or none of them:
//!
//! 1. It refuses a token that is smaller than the greatest one this queue has seen.
//! 2. It refuses to move if the cursor is not where the caller believes it to be, and to a fire time that has not come by
//!    the broker's own clock: that may have been set back since the leader heard of it.
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

use std::fmt;

use async_trait::async_trait;

use crate::{
    broker::Accepted,
    clock::Timestamp,
    envelope::Envelope,
    error::{Error, ErrorKind, Result},
    id::{QueueName, TaskKey, name_type},
    leader::FencingToken,
    limits,
};

/// Keeps entries with their cursors, each in the queue that it enqueues to.
///
/// Every method that changes something is one atomic step of the entry's queue. What a leader writes carries its token:
/// the broker compares it with the greatest one that this queue has seen, keeps the greater, and refuses a smaller one.
/// Repeating any call is harmless.
#[async_trait]
pub trait Schedules: fmt::Debug + Send + Sync {
    /// Every queue that ever had an entry, with a mark that changes whenever one of its entries is added, replaced,
    /// removed, paused or resumed. Cheap: it is asked every second.
    async fn marks(&self) -> Result<Vec<(QueueName, Mark)>>;

    /// The entries of a queue by name, at most `count`, after `after` (the last of the page before).
    ///
    /// Nothing over [`limits::MAX_PAGE`] is answered.
    async fn entries(&self, queue: &QueueName, after: Option<&EntryName>, count: usize) -> Result<Vec<StoredEntry>>;

    /// Adds an entry, or replaces the text of one. A new entry's cursor is the broker's present time. A replaced entry
    /// keeps its cursor, so that a change of schedule fires nothing that has been fired before, and stays paused.
    ///
    /// An entry that comes from elsewhere is left alone: [`Written::Foreign`]. A text over
    /// [`limits::MAX_ENTRY_TEXT`] is refused.
    async fn put(&self, author: Author, id: &EntryId, text: &str) -> Result<Written>;

    /// Forgets an entry and its cursor. Tasks that it enqueued stay. An unknown entry is no error, and one that comes
    /// from elsewhere is left alone.
    async fn remove(&self, author: Author, id: &EntryId) -> Result<Written>;

    /// Stops an entry, wherever it comes from, until it is resumed: nothing fires it. False if there is no such entry.
    async fn pause(&self, id: &EntryId) -> Result<bool>;

    /// Lets a paused entry go on. Its cursor moves to the broker's present time, so what it would have fired meanwhile
    /// is not caught up with. False if there is no such entry; one that is not paused stays as it is.
    async fn resume(&self, id: &EntryId) -> Result<bool>;

    /// Moves the cursor of each tick's entry to its fire time and accepts its envelopes. Each tick is applied whole or
    /// not at all, and each by itself.
    ///
    /// No envelopes means that ticks are skipped; several, that missed ones are caught up with. The last one is that of
    /// the tick's own fire time. They belong to `queue`, and each carries the id that [`EntryName::tick_key`] makes for
    /// its fire time. An id that is known answers [`Accepted::Duplicate`] and the cursor moves all the same. Over
    /// [`limits::FIRE_BATCH`] ticks or envelopes are refused.
    async fn fire(&self, token: FencingToken, queue: &QueueName, ticks: &[Tick]) -> Result<Vec<Fired>>;
}

/// Changes with the entries of a queue. Two that are equal mean that none was changed in between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mark(pub u64);

name_type!(
    /// The name of an entry within its queue.
    EntryName,
    "entry name"
);

impl EntryName {
    /// The id of the task that this entry enqueues for `fire_time`: `name@milliseconds`. Whoever fires the tick makes
    /// the same one.
    ///
    /// ```
    /// use taskq_core::{EntryName, FireTime, Timestamp};
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

/// An entry's name and the queue that it lives in and enqueues to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// The queue.
    pub queue: QueueName,
    /// The name within the queue.
    pub name: EntryName,
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.queue, self.name)
    }
}

/// The instant for which a tick is planned, by the broker's clock, whenever it is fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FireTime(pub Timestamp);

/// Where an entry comes from: what brings it may replace and remove it, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryOrigin {
    /// A scheduler's program.
    Code,
    /// A scheduler's configuration file.
    File,
    /// A call at run time.
    RunTime,
}

impl fmt::Display for EntryOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Code => "code",
            Self::File => "file",
            Self::RunTime => "run time",
        })
    }
}

/// Who writes entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author {
    /// A leader, for the entries of its program.
    Code(FencingToken),
    /// A leader, for the entries of its configuration file.
    File(FencingToken),
    /// Anybody, at run time.
    RunTime,
}

impl Author {
    /// Where its entries come from.
    pub fn origin(self) -> EntryOrigin {
        match self {
            Self::Code(_) => EntryOrigin::Code,
            Self::File(_) => EntryOrigin::File,
            Self::RunTime => EntryOrigin::RunTime,
        }
    }

    /// Under which leadership it writes, if it is a leader.
    pub fn token(self) -> Option<FencingToken> {
        match self {
            Self::Code(token) | Self::File(token) => Some(token),
            Self::RunTime => None,
        }
    }
}

/// An entry as a broker keeps it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// Its name and queue.
    pub id: EntryId,
    /// Where it comes from.
    pub origin: EntryOrigin,
    /// Whether it is stopped.
    pub paused: bool,
    /// When and what, as its author wrote it. A broker keeps this text and does not read it.
    pub text: String,
    /// When it was added, by the broker's clock.
    pub created_at: Timestamp,
    /// The instant up to which its ticks have been fired or skipped.
    pub cursor: Timestamp,
    /// The last tick for which something was enqueued.
    pub last_fired: Option<FireTime>,
}

impl fmt::Debug for StoredEntry {
    /// Never shows the text: it has the arguments of a task, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredEntry")
            .field("id", &self.id)
            .field("origin", &self.origin)
            .field("paused", &self.paused)
            .field("text", &format_args!("{} bytes", self.text.len()))
            .field("created_at", &self.created_at)
            .field("cursor", &self.cursor)
            .field("last_fired", &self.last_fired)
            .finish()
    }
}

/// One step of an entry's cursor.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    /// Which entry of the queue.
    pub name: EntryName,
    /// Where the leader believes the cursor to be.
    pub cursor: Timestamp,
    /// Where it moves to: the fire time of the last tick that is fired or skipped by this step.
    pub fire_time: FireTime,
    /// What it enqueues.
    pub envelopes: Vec<Envelope>,
}

/// Whether a write to the entries counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It was applied.
    Applied,
    /// The entry comes from here and not from the author; nothing changed.
    Foreign(EntryOrigin),
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
    Moved(Timestamp),
    /// Its fire time has not come; nothing changed.
    Early,
    /// The entry is paused; nothing changed.
    Paused,
    /// There is no such entry; nothing changed.
    Unknown,
    /// A greater token was seen; nothing changed, and the caller no longer leads.
    Fenced,
}

/// For brokers: refuses a text that is too long to keep.
pub fn check_text(id: &EntryId, text: &str) -> Result<()> {
    if text.len() <= limits::MAX_ENTRY_TEXT {
        return Ok(());
    }
    let why = format!("its text has {} bytes; the limit is {}", text.len(), limits::MAX_ENTRY_TEXT);
    Err(Error::new(ErrorKind::TooLarge, "put entry", id).because(why))
}

/// For brokers: refuses a call of [`Schedules::fire`] that is too large, or whose envelopes belong elsewhere.
pub fn check_ticks(queue: &QueueName, ticks: &[Tick]) -> Result<()> {
    let envelopes = || ticks.iter().flat_map(|tick| &tick.envelopes);
    if ticks.len().max(envelopes().count()) > limits::FIRE_BATCH {
        let cure = format!("fire at most {} ticks and envelopes at once", limits::FIRE_BATCH);
        return Err(Error::new(ErrorKind::TooLarge, "fire in", format!("\"{queue}\"")).because(cure));
    }
    match envelopes().find(|envelope| envelope.id.queue != *queue || !envelope.own_id) {
        None => Ok(()),
        Some(stranger) => {
            let cure = format!("give it the id of a tick in \"{queue}\"");
            Err(Error::invalid("fire", &stranger.id, cure))
        }
    }
}
