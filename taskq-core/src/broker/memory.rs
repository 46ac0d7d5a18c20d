//! The reference broker: everything in this process's memory, for tests and for reading what the contract means.
//!
//! One lock, no clever structures; `queue.rs` holds the rules, this file the doors. Nothing outlives the process.

mod queue;

mod documents;
mod entries;
mod events;
mod fleet;
mod leadership;
mod logs;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::{
    broker::{
        Accepted, BeatAnswer, Broker, CancelAnswer, Capabilities, ClaimAnswer, Claimed, Settled, Settlement, Snapshot,
        SweepAnswer,
    },
    bug::{Bug, Planted},
    clock::{Clock, Timestamp},
    connection::{Connection, Opener},
    context::Progress,
    control::{Control, Purge, PurgeAnswer},
    documents::{Document, DocumentId, DocumentName, Documents, Saved, Version, check_size},
    envelope::Envelope,
    error::Result,
    events::{Cursor, Event, EventPage, Events, check_batch},
    fleet::{Fleet, Member, MemberId, Request, check_report},
    id::{BatchId, ClaimNumber, DeliveryToken, Owner, QueueName, TaskId, TaskKey},
    inspect::{Counts, Finding, Inspect, PageToken, QueueView, Shelf, TaskPage, TaskView},
    leader::{CandidateId, FencingToken, Incumbent, Leader, Renewal, Standing},
    limits,
    logs::{LogLine, Logs},
    schedules::{
        Author, EntryId, EntryName, Fired, Mark, Schedules, StoredEntry, Tick, Written, check_text, check_ticks,
    },
};
use events::MemoryEvents;
use fleet::MemoryFleet;
use leadership::Leadership;
use queue::MemoryQueue;

/// Keeps tasks in memory.
#[derive(Debug)]
pub struct MemoryBroker {
    clock: Clock,
    planted: Planted,
    queues: Mutex<BTreeMap<QueueName, MemoryQueue>>,
    leadership: Mutex<Leadership>,
    fleet: Mutex<MemoryFleet>,
    events: Mutex<MemoryEvents>,
    changed: Notify,
}

/// A connection to a new, empty broker in memory. Its clones, and what [`Connection::open_another`] opens, share it.
pub fn connect(clock: Clock) -> Connection {
    connect_with_bug(clock, Planted::default())
}

/// The same, where this bug is planted in the broker, clients and workers.
#[doc(hidden)]
pub fn connect_with_bug(clock: Clock, planted: Planted) -> Connection {
    let broker = MemoryBroker {
        clock: clock.clone(),
        planted,
        queues: Mutex::default(),
        leadership: Mutex::default(),
        fleet: Mutex::default(),
        events: Mutex::default(),
        changed: Notify::new(),
    };
    connection_to(Arc::new(broker), clock)
}

/// Every task of a connection in memory that has not ended, oldest first; `None` for any other broker. For test kits.
pub fn live(connection: &Connection) -> Option<Vec<Envelope>> {
    let queues = connection.memory()?.queues();
    let mut live: Vec<Envelope> = queues.values().flat_map(MemoryQueue::live).cloned().collect();
    live.sort_by(|first, second| first.id.key.cmp(&second.id.key));
    Some(live)
}

fn connection_to(broker: Arc<MemoryBroker>, clock: Clock) -> Connection {
    let (again, same_clock) = (Arc::clone(&broker), clock.clone());
    let opener: Opener = Arc::new(move || {
        let connection = connection_to(Arc::clone(&again), same_clock.clone());
        Box::pin(std::future::ready(Ok(connection)))
    });
    let planted = broker.planted;
    Connection::new(Arc::clone(&broker), "memory://", clock, opener).with_memory(broker).with_bug(planted)
}

impl MemoryBroker {
    fn queues(&self) -> MutexGuard<'_, BTreeMap<QueueName, MemoryQueue>> {
        // Nothing panics while holding it; if something did, its content would still be whole.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leadership(&self) -> MutexGuard<'_, Leadership> {
        // Nothing panics while holding it either.
        self.leadership.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fleet(&self) -> MutexGuard<'_, MemoryFleet> {
        // Nor while holding this.
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn events(&self) -> MutexGuard<'_, MemoryEvents> {
        // Nor while holding this.
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one atomic step on a queue and wakes everybody who waits for a change.
    fn step<V>(&self, queue: &QueueName, change: impl FnOnce(&mut MemoryQueue, Timestamp) -> V) -> V {
        let value = self.silent_step(queue, change);
        self.changed.notify_waiters();
        value
    }

    fn silent_step<V>(&self, queue: &QueueName, change: impl FnOnce(&mut MemoryQueue, Timestamp) -> V) -> V {
        let now = self.clock.now();
        let new = || MemoryQueue::new(queue.clone(), self.planted);
        change(self.queues().entry(queue.clone()).or_insert_with(new), now)
    }

    fn look<V>(&self, queue: &QueueName, look: impl FnOnce(&MemoryQueue, Timestamp) -> V) -> Option<V> {
        let now = self.clock.now();
        self.queues().get(queue).map(|queue| look(queue, now))
    }

    /// Waits until `ready` gives something, at most `bound`; looks again at every change, and after what `poll` says then.
    async fn until<V>(
        &self,
        bound: Duration,
        poll: impl Fn() -> Duration,
        mut ready: impl FnMut() -> Option<V>,
    ) -> Option<V> {
        let end = self.clock.monotonic() + bound;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Register before looking: a change in between must wake us.
            changed.as_mut().enable();
            if let Some(value) = ready() {
                return Some(value);
            }
            let left = end.saturating_sub(self.clock.monotonic());
            if left.is_zero() {
                return None;
            }
            // Only a hint either way: the loop looks for itself.
            let _woken = self.clock.timeout(left.min(poll()), changed).await;
        }
    }
}

#[async_trait]
impl Broker for MemoryBroker {
    fn capabilities(&self) -> Capabilities {
        Capabilities { product: "memory", durable: false, shared: false, networked: false }
    }

    async fn now(&self) -> Result<Timestamp> {
        Ok(self.clock.now())
    }

    async fn enqueue(&self, queue: &QueueName, batch: BatchId, envelopes: &[Envelope]) -> Result<Vec<Accepted>> {
        if self.planted.is(Bug::DoorbellLost) {
            return Ok(self.silent_step(queue, |queue, now| queue.enqueue(now, batch, envelopes)));
        }
        Ok(self.step(queue, |queue, now| queue.enqueue(now, batch, envelopes)))
    }

    async fn join(&self, owner: Owner, queue: &QueueName, lease: Duration) -> Result<()> {
        self.step(queue, |queue, now| queue.join(now, owner, lease))
    }

    async fn beat(&self, beats: &[(Owner, QueueName)]) -> Result<Vec<BeatAnswer>> {
        Ok(beats.iter().map(|(owner, queue)| self.step(queue, |queue, now| queue.beat(now, *owner))).collect())
    }

    async fn claim(&self, owner: Owner, queue: &QueueName, count: usize, number: ClaimNumber) -> Result<ClaimAnswer> {
        self.step(queue, |queue, now| queue.claim(now, owner, count.min(limits::CLAIM_BATCH), number))
    }

    async fn held(&self, owner: Owner, queue: &QueueName, last: ClaimNumber) -> Result<Vec<Claimed>> {
        self.step(queue, |queue, now| queue.held(now, owner, last))
    }

    async fn settle(&self, owner: Owner, queue: &QueueName, settlements: &[Settlement]) -> Result<Vec<Settled>> {
        Ok(self.step(queue, |queue, now| {
            settlements.iter().map(|settlement| queue.settle(now, owner, settlement)).collect()
        }))
    }

    async fn report(
        &self,
        owner: Owner,
        queue: &QueueName,
        key: &TaskKey,
        token: DeliveryToken,
        progress: &Progress,
    ) -> Result<Settled> {
        Ok(self.step(queue, |queue, now| queue.report(now, owner, key, token, progress)))
    }

    async fn leave(&self, owner: Owner, queue: &QueueName) -> Result<()> {
        self.step(queue, |queue, now| queue.leave(now, owner));
        Ok(())
    }

    async fn sweep(&self, queue: &QueueName, limit: usize) -> Result<SweepAnswer> {
        Ok(self.step(queue, |queue, now| queue.sweep(now, limit)))
    }

    async fn cancel(&self, id: &TaskId) -> Result<CancelAnswer> {
        Ok(self.step(&id.queue, |queue, now| queue.cancel(now, &id.key)))
    }

    async fn find(&self, id: &TaskId) -> Result<Option<Snapshot>> {
        let found = self.look(&id.queue, |queue, now| queue.find(now, &id.key)).flatten();
        Ok(found.or_else(|| queue::untracked(&id.key)))
    }

    async fn wait(&self, id: &TaskId, bound: Duration) -> Result<Option<Snapshot>> {
        let mut latest = None;
        self.until(
            bound,
            || limits::WAIT_POLL,
            || {
                latest = self.look(&id.queue, |queue, now| queue.find(now, &id.key)).flatten();
                latest.as_ref().is_none_or(|snapshot| snapshot.state.is_final()).then_some(())
            },
        )
        .await;
        Ok(latest.or_else(|| queue::untracked(&id.key)))
    }

    async fn work_arrived(&self, worker: &[(Owner, QueueName)], bound: Duration) -> Result<Vec<Claimed>> {
        let has_work = || {
            let arrived = |(_, queue): &(Owner, QueueName)| self.look(queue, MemoryQueue::has_work).unwrap_or(false);
            worker.iter().any(arrived).then_some(())
        };
        // Asked at every change: what is retried or enqueued meanwhile may be due before all else.
        let until_due = || {
            let due = worker.iter().filter_map(|(_, queue)| self.look(queue, MemoryQueue::next_due).flatten()).min();
            due.unwrap_or(bound)
        };
        self.until(bound, until_due, has_work).await;
        Ok(Vec::new())
    }
}

#[async_trait]
impl Leader for MemoryBroker {
    async fn stand(&self, candidate: CandidateId, term: Duration) -> Result<Standing> {
        Ok(self.leadership().stand(self.clock.now(), candidate, term))
    }

    async fn renew(&self, candidate: CandidateId, token: FencingToken, term: Duration) -> Result<Renewal> {
        Ok(self.leadership().renew(self.clock.now(), candidate, token, term))
    }

    async fn resign(&self, candidate: CandidateId, token: FencingToken) -> Result<()> {
        self.leadership().resign(self.clock.now(), candidate, token);
        self.changed.notify_waiters();
        Ok(())
    }

    async fn vacated(&self, bound: Duration) -> Result<()> {
        let ends_in = || self.leadership().ends_in(self.clock.now());
        self.until(bound, || ends_in().unwrap_or_default(), || ends_in().is_none().then_some(())).await;
        Ok(())
    }

    async fn incumbent(&self) -> Result<Option<Incumbent>> {
        Ok(self.leadership().incumbent(self.clock.now()))
    }
}

#[async_trait]
impl Fleet for MemoryBroker {
    async fn check_in(&self, member: MemberId, report: &str, kept: Duration) -> Result<Option<Request>> {
        check_report(member, report)?;
        Ok(self.fleet().check_in(self.clock.now(), member, report, kept))
    }

    async fn check_out(&self, member: MemberId) -> Result<()> {
        self.fleet().check_out(member);
        Ok(())
    }

    async fn members(&self, after: Option<MemberId>, count: usize) -> Result<Vec<Member>> {
        Ok(self.fleet().members(self.clock.now(), after, count.min(limits::MAX_PAGE)))
    }

    async fn ask(&self, member: MemberId, request: Request) -> Result<bool> {
        Ok(self.fleet().ask(self.clock.now(), member, request))
    }
}

#[async_trait]
impl Schedules for MemoryBroker {
    async fn marks(&self) -> Result<Vec<(QueueName, Mark)>> {
        let mark = |(name, queue): (&QueueName, &MemoryQueue)| Some((name.clone(), queue.entries.mark()?));
        Ok(self.queues().iter().filter_map(mark).collect())
    }

    async fn entries(&self, queue: &QueueName, after: Option<&EntryName>, count: usize) -> Result<Vec<StoredEntry>> {
        let page = |found: &MemoryQueue, _| found.entries.page(queue, after, count.min(limits::MAX_PAGE));
        Ok(self.look(queue, page).unwrap_or_default())
    }

    async fn put(&self, author: Author, id: &EntryId, text: &str) -> Result<Written> {
        check_text(id, text)?;
        Ok(self.silent_step(&id.queue, |queue, now| queue.entries.put(now, author, &id.name, text)))
    }

    async fn remove(&self, author: Author, id: &EntryId) -> Result<Written> {
        Ok(self.silent_step(&id.queue, |queue, _| queue.entries.remove(author, &id.name)))
    }

    async fn pause(&self, id: &EntryId) -> Result<bool> {
        Ok(self.silent_step(&id.queue, |queue, _| queue.entries.pause(&id.name)))
    }

    async fn resume(&self, id: &EntryId) -> Result<bool> {
        Ok(self.silent_step(&id.queue, |queue, now| queue.entries.resume(now, &id.name)))
    }

    async fn fire(&self, token: FencingToken, queue: &QueueName, ticks: &[Tick]) -> Result<Vec<Fired>> {
        check_ticks(queue, ticks)?;
        Ok(self.step(queue, |queue, now| queue.fire(now, token, ticks)))
    }
}

#[async_trait]
impl Documents for MemoryBroker {
    async fn read(&self, id: &DocumentId) -> Result<Option<Document>> {
        Ok(self.look(&id.queue, |queue, _| queue.documents.read(&id.name)).flatten())
    }

    async fn save(&self, id: &DocumentId, expected: Option<Version>, text: &str) -> Result<Saved> {
        check_size(id, text)?;
        self.silent_step(&id.queue, |queue, now| queue.documents.save(now, id, expected, text))
    }

    async fn forget(&self, id: &DocumentId, expected: Version) -> Result<bool> {
        Ok(self.silent_step(&id.queue, |queue, _| queue.documents.forget(&id.name, expected)))
    }

    async fn list(&self, queue: &QueueName, after: Option<&DocumentName>, count: usize) -> Result<Vec<Document>> {
        let page = |found: &MemoryQueue, _| found.documents.page(after, count.min(limits::MAX_PAGE));
        Ok(self.look(queue, page).unwrap_or_default())
    }
}

#[async_trait]
impl Logs for MemoryBroker {
    async fn append(&self, id: &TaskId, lines: &[LogLine]) -> Result<()> {
        self.silent_step(&id.queue, |queue, now| queue.logs.append(now, &id.key, lines));
        Ok(())
    }

    async fn lines(&self, id: &TaskId) -> Result<Vec<LogLine>> {
        Ok(self.look(&id.queue, |queue, now| queue.logs.lines(now, &id.key)).unwrap_or_default())
    }
}

#[async_trait]
impl Events for MemoryBroker {
    async fn publish(&self, events: &[Event]) -> Result<()> {
        check_batch(events)?;
        self.events().publish(self.clock.now(), events);
        Ok(())
    }

    async fn read(&self, after: Option<Cursor>, count: usize) -> Result<EventPage> {
        Ok(self.events().read(self.clock.now(), after, count.min(limits::MAX_PAGE)))
    }

    async fn last(&self) -> Result<Option<Cursor>> {
        Ok(self.events().last(self.clock.now()))
    }
}

#[async_trait]
impl Inspect for MemoryBroker {
    async fn queues(&self) -> Result<Vec<QueueName>> {
        Ok(self.queues().keys().cloned().collect())
    }

    async fn counts(&self, queue: &QueueName) -> Result<Counts> {
        Ok(self.look(queue, |queue, _| queue.counts()).unwrap_or_default())
    }

    async fn queue(&self, queue: &QueueName) -> Result<QueueView> {
        Ok(self.look(queue, MemoryQueue::view).unwrap_or_default())
    }

    async fn tasks(
        &self,
        queue: &QueueName,
        shelf: Shelf,
        after: Option<&PageToken>,
        count: usize,
    ) -> Result<TaskPage> {
        let count = count.min(limits::MAX_PAGE);
        Ok(self.look(queue, |queue, now| queue.tasks(now, shelf, after, count)).unwrap_or_default())
    }

    async fn task(&self, id: &TaskId) -> Result<Option<TaskView>> {
        let found = self.look(&id.queue, |queue, now| queue.task(now, &id.key)).flatten();
        let untracked = || queue::untracked(&id.key).map(|snapshot| TaskView::of_what_ended(id.clone(), snapshot));
        Ok(found.or_else(untracked))
    }

    async fn unique_holder(&self, queue: &QueueName, unique: &str) -> Result<Option<TaskKey>> {
        Ok(self.look(queue, |queue, now| queue.unique_holder(now, unique)).flatten())
    }

    async fn examine(&self) -> Result<Vec<Finding>> {
        let kept = Finding::good("what survives", "nothing: tasks are in the memory of this process");
        Ok(vec![kept.notable("use sqlite:// or redis:// for tasks that must outlive it")])
    }
}

#[async_trait]
impl Control for MemoryBroker {
    async fn replay(&self, id: &TaskId) -> Result<bool> {
        Ok(self.step(&id.queue, |queue, now| queue.replay(now, &id.key)))
    }

    async fn drop_dead(&self, id: &TaskId) -> Result<bool> {
        Ok(self.step(&id.queue, |queue, _| queue.drop_dead(&id.key)))
    }

    async fn run_now(&self, id: &TaskId) -> Result<bool> {
        Ok(self.step(&id.queue, |queue, _| queue.run_now(&id.key)))
    }

    async fn pause(&self, queue: &QueueName) -> Result<bool> {
        Ok(self.step(queue, |queue, now| queue.pause(now)))
    }

    async fn resume(&self, queue: &QueueName) -> Result<bool> {
        Ok(self.step(queue, |queue, _| queue.resume()))
    }

    async fn purge(&self, queue: &QueueName, what: Purge, limit: usize) -> Result<PurgeAnswer> {
        Ok(self.step(queue, |queue, now| queue.purge(now, what, limit.min(limits::PURGE_BATCH))))
    }
}
