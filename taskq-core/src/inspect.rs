//! The contract for looking: what a broker holds, in bounded pages. Looking changes nothing and holds nobody up.

use std::fmt;

use async_trait::async_trait;

use crate::{
    broker::Snapshot,
    clock::Timestamp,
    envelope::{Envelope, FailedAttempt},
    error::Result,
    id::{QueueName, TaskId, TaskKey},
    state::{DeadReason, State},
};

/// Reads what a broker holds.
///
/// No answer grows with what the broker holds, and none walks over more of it than a bound that it names; but numbers are
/// exact, and a broker that keeps no counters counts its index for them, beside those who write.
#[async_trait]
pub trait Inspect: fmt::Debug + Send + Sync {
    /// Every queue that was ever used.
    async fn queues(&self) -> Result<Vec<QueueName>>;

    /// How many tasks a queue holds, by state. What ended is counted only if it is dead.
    async fn counts(&self, queue: &QueueName) -> Result<Counts>;

    /// What people want to know of a queue first.
    async fn queue(&self, queue: &QueueName) -> Result<QueueView>;

    /// Tasks of one shelf, after `after` (the [`next`](TaskPage::next) of the page before), in the order that each shelf
    /// has. At most `count`, and never more than [`limits::MAX_PAGE`](crate::limits::MAX_PAGE). A page can be shorter, since it
    /// ends behind the task with which it has [`limits::PAGE_BYTES`](crate::limits::PAGE_BYTES); whether more follow is told by
    /// [`next`](TaskPage::next) alone.
    ///
    /// The page of dead letters behind one of them begins at [`PageToken::behind`] its key; if that is no dead letter any more,
    /// with the oldest.
    ///
    /// Pages are read while the queue lives on. While nothing moves, each task is seen once; what is enqueued or handed out
    /// in between can make another one be seen twice or not at all. So whoever has to meet all begins again until nothing
    /// is left.
    async fn tasks(&self, queue: &QueueName, shelf: Shelf, after: Option<&PageToken>, count: usize)
    -> Result<TaskPage>;

    /// Everything that is known of a task; `None` if its id was never accepted or is no longer kept.
    ///
    /// A broker that cannot go to a ready task straight away looks at no more than
    /// [`limits::MAX_LOOK`](crate::limits::MAX_LOOK) others where it should be, and leaves out what it did not find.
    async fn task(&self, id: &TaskId) -> Result<Option<TaskView>>;

    /// The task that holds a unique key of a queue.
    async fn unique_holder(&self, queue: &QueueName, unique: &str) -> Result<Option<TaskKey>>;

    /// What is to be known of the broker itself: its version, what survives, how fast it answers, each with a verdict.
    async fn examine(&self) -> Result<Vec<Finding>>;

    /// The same as the shelf of dead letters, after `after` (the last of the page before).
    async fn dead_letters(&self, queue: &QueueName, after: Option<&TaskKey>, count: usize) -> Result<Vec<DeadLetter>> {
        let after = after.map(PageToken::behind);
        let page = self.tasks(queue, Shelf::Dead, after.as_ref(), count).await?;
        Ok(page.tasks.into_iter().map(DeadLetter::from).collect())
    }
}

/// A state whose tasks a broker keeps whole, so that they can be listed.
///
/// Of a task that succeeded, was cancelled or expired its end and result are kept, under its id alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shelf {
    /// Waiting for a slot, in the order in which they start.
    Ready,
    /// Waiting for their first due time, soonest first.
    Scheduled,
    /// Waiting for another attempt, soonest first.
    Retrying,
    /// Held by workers, in no order that means anything.
    Running,
    /// Dead letters, oldest first.
    Dead,
}

impl Shelf {
    /// Every shelf.
    pub const ALL: [Self; 5] = [Self::Ready, Self::Scheduled, Self::Retrying, Self::Running, Self::Dead];

    /// The shelf of a state, if its tasks are kept whole.
    pub fn of(state: State) -> Option<Self> {
        Self::ALL.into_iter().find(|shelf| shelf.state() == state)
    }

    /// The state of the tasks on it.
    pub fn state(self) -> State {
        match self {
            Self::Ready => State::Ready,
            Self::Scheduled => State::Scheduled,
            Self::Retrying => State::Retrying,
            Self::Running => State::Running,
            Self::Dead => State::Dead,
        }
    }
}

impl fmt::Display for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state().fmt(f)
    }
}

/// Where the next page begins: a text that means something to the broker that gave it, and only there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageToken(pub String);

impl PageToken {
    /// The token of a page that begins behind the task of this key, for brokers whose pages begin so.
    pub fn behind(key: &TaskKey) -> Self {
        Self(key.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The key behind which the page begins; none if the token is of another kind.
    pub fn key(&self) -> Option<TaskKey> {
        let pairs = self.0.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
        let bytes: Option<Vec<u8>> = pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect();
        TaskKey::from_bytes(&bytes?).ok()
    }
}

impl fmt::Display for PageToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One page of a shelf.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskPage {
    /// The tasks. A page can be empty and not be the last.
    pub tasks: Vec<TaskView>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<PageToken>,
}

/// A task as people look at it.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskView {
    /// Its id.
    pub id: TaskId,
    /// Where it is, and what came of it.
    pub snapshot: Snapshot,
    /// The task with its arguments, options and failed attempts. `None` if its bytes do not decode, if it ended and only
    /// its end is kept, or if it is ready and was not found where it should be.
    pub envelope: Option<Envelope>,
    /// Hand-outs that no end followed yet, the present one included.
    pub deliveries: u8,
    /// About how many of its priority start before it, if it is ready and was looked up by its id.
    pub ahead: Option<u64>,
}

/// Tasks of a queue by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Waiting for a slot.
    pub ready: u64,
    /// Waiting for their first due time.
    pub scheduled: u64,
    /// Waiting for another attempt.
    pub retrying: u64,
    /// Held by workers.
    pub running: u64,
    /// Dead letters.
    pub dead: u64,
}

impl Counts {
    /// How many are on a shelf.
    pub fn on(&self, shelf: Shelf) -> u64 {
        match shelf {
            Shelf::Ready => self.ready,
            Shelf::Scheduled => self.scheduled,
            Shelf::Retrying => self.retrying,
            Shelf::Running => self.running,
            Shelf::Dead => self.dead,
        }
    }
}

/// A queue as people look at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueView {
    /// Its tasks by state.
    pub counts: Counts,
    /// Since when it is paused, if it is.
    pub paused_at: Option<Timestamp>,
    /// Since when that ready task has waited which has waited longest, as far as those tell that start next.
    pub oldest_ready: Option<Timestamp>,
    /// When the next scheduled or retrying task is due.
    pub next_due: Option<Timestamp>,
    /// Workers with a living lease on it.
    pub workers: u64,
}

/// One thing that was looked at, and what is to be thought of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub what: String,
    /// What was found.
    pub found: String,
    /// Whether that is as it should be.
    pub verdict: Verdict,
    /// What to do about it, if anything.
    pub cure: Option<String>,
}

/// What is to be thought of a [`Finding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is as it should be.
    Good,
    /// It may be meant so, and somebody should know.
    Notable,
    /// It costs tasks, or will.
    Bad,
}

impl Finding {
    /// Something as it should be.
    pub fn good(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self { what: what.into(), found: found.into(), verdict: Verdict::Good, cure: None }
    }

    /// The same, which somebody should know of.
    #[must_use]
    pub fn notable(self, cure: impl Into<String>) -> Self {
        Self { verdict: Verdict::Notable, cure: Some(cure.into()), ..self }
    }

    /// The same, which is bad.
    #[must_use]
    pub fn bad(self, cure: impl Into<String>) -> Self {
        Self { verdict: Verdict::Bad, cure: Some(cure.into()), ..self }
    }
}

/// A task that will not run again by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// The task, with its arguments and failed attempts; `None` if its bytes do not decode.
    pub envelope: Option<Envelope>,
    /// Its id.
    pub id: TaskId,
    /// Why.
    pub reason: DeadReason,
    /// Since when.
    pub died_at: Timestamp,
}

impl DeadLetter {
    /// The failed attempts, oldest first.
    pub fn history(&self) -> &[FailedAttempt] {
        self.envelope.as_ref().map_or(&[], |envelope| &envelope.history)
    }
}

impl TaskView {
    /// A dead letter, for brokers.
    pub fn of_dead(id: TaskId, envelope: Option<Envelope>, reason: DeadReason, died_at: Timestamp) -> Self {
        let snapshot = Snapshot {
            attempts: envelope.as_ref().map_or(0, |envelope| envelope.attempts),
            reason: Some(reason),
            last_error: envelope.as_ref().map(|envelope| envelope.last_words(reason)),
            ended_at: Some(died_at),
            ..Snapshot::new(State::Dead)
        };
        Self { envelope, ..Self::of_what_ended(id, snapshot) }
    }

    /// A task of which only this is known.
    pub fn of_what_ended(id: TaskId, snapshot: Snapshot) -> Self {
        Self { id, snapshot, envelope: None, deliveries: 0, ahead: None }
    }
}

impl From<TaskView> for DeadLetter {
    fn from(view: TaskView) -> Self {
        let TaskView { id, snapshot, envelope, .. } = view;
        Self {
            envelope,
            id,
            reason: snapshot.reason.unwrap_or(DeadReason::Failed),
            died_at: snapshot.ended_at.unwrap_or_default(),
        }
    }
}
