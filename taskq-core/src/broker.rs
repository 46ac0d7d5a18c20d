//! The contract that every broker keeps. `broker/memory.rs` is its reference, `conformance/` its proof.
//!
//! Delivery is at least once. Whatever ends or touches an attempt names its [`Owner`] and [`DeliveryToken`]; the broker
//! decides in the same atomic step whether that is still the holder, and a stale one changes nothing.

pub mod memory;

use std::{fmt::Debug, sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{
    clock::Timestamp,
    codec::Payload,
    context::Progress,
    envelope::Envelope,
    error::{Error, ErrorKind, Result},
    id::{BatchId, ClaimNumber, DeliveryToken, Owner, QueueName, TaskId, TaskKey},
    state::{DeadReason, State},
};

/// Keeps tasks, hands them out, and decides whose writes count.
///
/// Every method is one atomic step per queue: a promise that needed two calls could be broken between them. All times
/// are the broker's own clock. Errors that [`Error::is_transient`](crate::Error::is_transient) calls transient may be
/// repeated; every method is written so that repeating it is harmless.
#[async_trait]
pub trait Broker: Debug + Send + Sync {
    /// What it can promise beyond the contract.
    fn capabilities(&self) -> Capabilities;

    /// How often the way to the broker was opened again after it had broken. None breaks where there is no network.
    fn reconnects(&self) -> u64 {
        0
    }

    /// The broker's time.
    async fn now(&self) -> Result<Timestamp>;

    /// Accepts new tasks of one queue, all or none, in this order. Absolute `expiry` and `enqueued_at` are fixed here.
    ///
    /// A batch whose id was accepted before answers [`Accepted::Duplicate`] for all and changes nothing. Envelopes with
    /// their own id are looked up one by one: an id known in any state is a duplicate.
    /// Nothing is accepted over [`limits::ENQUEUE_CHUNK`](crate::limits::ENQUEUE_CHUNK) envelopes.
    async fn enqueue(&self, queue: &QueueName, batch: BatchId, envelopes: &[Envelope]) -> Result<Vec<Accepted>>;

    /// The same as [`enqueue`](Self::enqueue), acknowledged only when at least so many replicas have it too. If too few
    /// confirm in time, the error is transient and the tasks may have been accepted.
    ///
    /// A broker without replicas refuses it with [`ErrorKind::Unsupported`].
    async fn enqueue_replicated(
        &self,
        queue: &QueueName,
        _batch: BatchId,
        _envelopes: &[Envelope],
        _replicas: u8,
    ) -> Result<Vec<Accepted>> {
        let product = self.capabilities().product;
        let cure = format!("{product} has no replicas; leave Durability::Replicated away");
        Err(Error::new(ErrorKind::Unsupported, "enqueue to", queue).because(cure))
    }

    /// Begins a term of a worker in a queue: from now on it has a lease and may claim. Repeating it renews the lease.
    /// `lease` is how long this and every renewal lasts; it is between
    /// [`limits::MIN_LEASE`](crate::limits::MIN_LEASE) and [`limits::MAX_LEASE`](crate::limits::MAX_LEASE).
    ///
    /// A term whose lease ever lapsed stays lapsed: what it held may be on its way to others. While the broker knows of
    /// it, at least until a sweep has taken everything back, joining with it is `Fenced`; the worker takes its next term.
    async fn join(&self, owner: Owner, queue: &QueueName, lease: Duration) -> Result<()>;

    /// Renews leases for as long again as they were given. A lapsed lease is not renewed: the answer says so, and the worker must join with its next term.
    async fn beat(&self, beats: &[(Owner, QueueName)]) -> Result<Vec<BeatAnswer>>;

    /// Takes up to `count` ready tasks, highest priority first, oldest first within one; due ones count as ready.
    /// Counts the delivery in the same step. Cancelled and expired tasks are ended instead of handed out.
    /// Does not wait. Without a living lease the error is `Fenced`, and so it is for a claim that [`held`](Self::held)
    /// has overtaken.
    async fn claim(&self, owner: Owner, queue: &QueueName, count: usize, number: ClaimNumber) -> Result<ClaimAnswer>;

    /// Everything that the owner holds in the queue: for finding tasks whose claim was answered but never heard. Claims
    /// up to the number `last` are over: one of them that is still on its way, on a connection that was given up, hands
    /// out nothing when it arrives. Nobody would hear of it, and a living lease would hold what it took.
    /// Without a living lease the error is `Fenced`: what a lapsed owner held is on its way to others.
    async fn held(&self, owner: Owner, queue: &QueueName, last: ClaimNumber) -> Result<Vec<Claimed>>;

    /// Ends attempts. Each is applied if `owner` still holds it under its token and has a living lease; otherwise it is
    /// `Fenced` and nothing changes. Result stored, unique key freed, waiters told, in the same step. A task whose
    /// cancellation was asked for does not go back: `Retry` and `Released` end it as cancelled.
    async fn settle(&self, owner: Owner, queue: &QueueName, settlements: &[Settlement]) -> Result<Vec<Settled>>;

    /// Keeps a progress report of a running attempt; fenced like a settlement.
    async fn report(
        &self,
        owner: Owner,
        queue: &QueueName,
        key: &TaskKey,
        token: DeliveryToken,
        progress: &Progress,
    ) -> Result<Settled>;

    /// Ends a term: what the owner still holds goes back to the front of its queue at once, as if never handed out.
    async fn leave(&self, owner: Owner, queue: &QueueName) -> Result<()>;

    /// Housekeeping of one queue, at most `limit` items of each kind: due tasks become ready, the tasks of lapsed owners
    /// go back (or become dead letters after too many deliveries), old results and dead letters are dropped.
    async fn sweep(&self, queue: &QueueName, limit: usize) -> Result<SweepAnswer>;

    /// Asks for the end of a task: a waiting one is cancelled at once, a running one is told.
    async fn cancel(&self, id: &TaskId) -> Result<CancelAnswer>;

    /// What is known of a task; `None` if its id was never accepted or is no longer kept.
    async fn find(&self, id: &TaskId) -> Result<Option<Snapshot>>;

    /// The same as [`find`](Self::find), as soon as the task has ended or after `bound`.
    async fn wait(&self, id: &TaskId, bound: Duration) -> Result<Option<Snapshot>>;

    /// Returns when there may be work for the owner in one of these queues, or after `bound`. Mostly a hint: the caller
    /// claims to find out. A broker may also hand tasks over with it, since whoever waits has a free slot; they are
    /// claimed like others, and the owner's next claim answers them again in case nobody heard. So dropping the future
    /// loses nothing.
    async fn work_arrived(&self, worker: &[(Owner, QueueName)], bound: Duration) -> Result<Vec<Claimed>>;
}

/// What a broker can promise beyond the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The product, e.g. `redis`.
    pub product: &'static str,
    /// Tasks outlive the process that holds the connection.
    pub durable: bool,
    /// Several processes can work on it.
    pub shared: bool,
    /// Several machines can work on it.
    pub networked: bool,
}

/// What became of one enqueued envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is a new task.
    Created,
    /// This very task was accepted before.
    Duplicate,
    /// Its unique key is held by this task of the same queue; it was not accepted.
    Held(TaskKey),
    /// It is a new task, and this one, which held its unique key, was cancelled.
    Replaced(TaskKey),
}

/// A task handed out.
#[derive(Clone, Debug, PartialEq)]
pub struct Claimed {
    /// What fences this hand-out.
    pub token: DeliveryToken,
    /// Consecutive hand-outs that did not end, this one included.
    pub deliveries: u8,
    /// The task.
    pub envelope: Arc<Envelope>,
}

/// What a claim brought.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClaimAnswer {
    /// The tasks, in the order to run them.
    pub claimed: Vec<Claimed>,
    /// How long it is until the next scheduled or retrying task of the queue is due.
    pub next_due: Option<Duration>,
}

/// What a heartbeat learned about one queue.
#[derive(Clone, Debug, PartialEq)]
pub struct BeatAnswer {
    /// Whether the lease lives on. If not, everything held there is lost and the worker must join with its next term.
    pub alive: bool,
    /// Tasks held by this owner whose cancellation was asked for.
    pub cancelled: Vec<TaskKey>,
    /// Whether tasks are ready in the queue; a waiting worker with free slots missed its doorbell.
    pub ready: bool,
    /// How long it is until a sweep is useful; zero means now.
    pub sweep_in: Option<Duration>,
}

/// How one attempt ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Settlement {
    /// What fences it.
    pub token: DeliveryToken,
    /// The task as it shall be kept: with the failures so far.
    pub envelope: Arc<Envelope>,
    /// What it ends in.
    pub ending: Ending,
}

/// What an attempt ends in, for the broker. All of them set the count of deliveries to zero.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// `running -> succeeded`: the result is kept if the envelope says so.
    Succeeded(Payload),
    /// `running -> retrying`: due again after this long, by the broker's clock.
    Retry(Duration),
    /// `running -> dead`.
    Dead(DeadReason),
    /// `running -> cancelled`.
    Cancelled,
    /// `running -> ready`, at the front of its priority: it was never started.
    Released,
}

/// Whether a write of an owner counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It was applied.
    Applied,
    /// The owner no longer holds the task; nothing changed.
    Fenced,
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepAnswer {
    /// Due tasks made ready.
    pub due: usize,
    /// Tasks of lapsed owners handed back.
    pub reclaimed: usize,
    /// Tasks of lapsed owners that became dead letters or were cancelled.
    pub buried: usize,
    /// Old results and dead letters dropped.
    pub pruned: usize,
    /// Whether more is to be done at once.
    pub more: bool,
}

/// What became of a request to cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelAnswer {
    /// The task was waiting and is cancelled.
    Cancelled,
    /// The task is running; its body has been asked to stop.
    Requested,
    /// The task had already ended.
    AlreadyEnded,
    /// No such task. For an untracked task: if it still waits it will not be started.
    NotFound,
}

/// What is known of a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Where it is.
    pub state: State,
    /// Attempts that failed.
    pub attempts: u32,
    /// When it is due, if scheduled or retrying.
    pub due: Option<Timestamp>,
    /// Who runs it, if running.
    pub owner: Option<Owner>,
    /// Its latest progress report, if running.
    pub progress: Option<Progress>,
    /// Its result, if succeeded and stored.
    pub result: Option<Payload>,
    /// Why it is dead.
    pub reason: Option<DeadReason>,
    /// The last error of a retrying or dead task.
    pub last_error: Option<String>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

impl Snapshot {
    /// A task in `state` of which nothing else is known.
    pub fn new(state: State) -> Self {
        Self {
            state,
            attempts: 0,
            due: None,
            owner: None,
            progress: None,
            result: None,
            reason: None,
            last_error: None,
            ended_at: None,
        }
    }
}
