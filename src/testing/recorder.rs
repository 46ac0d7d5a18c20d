//! Notes what a broker did, step by step, at the moment when it took effect.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use taskq_core::{
    Accepted, CancelAnswer, Capabilities, Control, Counts, Documents, Envelope, ErrorKind, Events, Finding, Fleet,
    Inspect, Leader, Logs, PageToken, Progress, Purge, PurgeAnswer, QueueName, QueueView, Result, Schedules, Shelf,
    Snapshot, TaskId, TaskKey, TaskPage, TaskView, Timestamp,
    broker::{BeatAnswer, Broker, ClaimAnswer, Claimed, Settled, Settlement, SweepAnswer},
    id::{BatchId, ClaimNumber, DeliveryToken, Owner},
};

use super::history::{Event, History, ProcessNumber};

/// A broker as one process uses it.
#[derive(Debug)]
pub(super) struct Recorder {
    pub(super) process: ProcessNumber,
    pub(super) history: History,
    pub(super) broker: Arc<dyn Broker>,
    pub(super) leader: Arc<dyn Leader>,
    pub(super) schedules: Arc<dyn Schedules>,
    pub(super) documents: Arc<dyn Documents>,
    pub(super) fleet: Arc<dyn Fleet>,
    pub(super) logs: Arc<dyn Logs>,
    pub(super) events: Arc<dyn Events>,
    pub(super) inspect: Arc<dyn Inspect>,
    pub(super) control: Arc<dyn Control>,
}

impl Recorder {
    fn note(&self, event: Event) {
        self.history.note(self.process, event);
    }

    fn note_seen(&self, id: &TaskId, snapshot: &Option<Snapshot>) {
        self.note(Event::Seen { id: id.clone(), snapshot: snapshot.clone() });
    }
}

#[async_trait]
impl Broker for Recorder {
    fn capabilities(&self) -> Capabilities {
        self.broker.capabilities()
    }

    async fn now(&self) -> Result<Timestamp> {
        self.broker.now().await
    }

    async fn enqueue(&self, queue: &QueueName, batch: BatchId, envelopes: &[Envelope]) -> Result<Vec<Accepted>> {
        let accepted = self.broker.enqueue(queue, batch, envelopes).await?;
        let tasks = envelopes.iter().cloned().zip(accepted.iter().cloned()).collect();
        self.note(Event::Enqueued { batch, tasks });
        Ok(accepted)
    }

    async fn join(&self, owner: Owner, queue: &QueueName, lease: Duration) -> Result<()> {
        let answer = self.broker.join(owner, queue, lease).await;
        self.note(Event::Joined { owner, queue: queue.clone(), lease, joined: answer.is_ok() });
        answer
    }

    async fn beat(&self, beats: &[(Owner, QueueName)]) -> Result<Vec<BeatAnswer>> {
        let answers = self.broker.beat(beats).await?;
        for ((owner, queue), answer) in beats.iter().zip(&answers) {
            self.note(Event::Beaten { owner: *owner, queue: queue.clone(), alive: answer.alive });
        }
        Ok(answers)
    }

    async fn claim(&self, owner: Owner, queue: &QueueName, count: usize, number: ClaimNumber) -> Result<ClaimAnswer> {
        let answer = self.broker.claim(owner, queue, count, number).await;
        match &answer {
            Ok(ClaimAnswer { claimed, .. }) if claimed.is_empty() => {}
            Ok(ClaimAnswer { claimed, .. }) => {
                self.note(Event::Claimed { owner, queue: queue.clone(), claimed: claimed.clone() });
            }
            Err(error) if error.kind() == ErrorKind::Fenced => {
                self.note(Event::ClaimRefused { owner, queue: queue.clone(), number });
            }
            Err(_) => {}
        }
        answer
    }

    async fn held(&self, owner: Owner, queue: &QueueName, last: ClaimNumber) -> Result<Vec<Claimed>> {
        let held = self.broker.held(owner, queue, last).await?;
        self.note(Event::Looked { owner, queue: queue.clone(), last });
        Ok(held)
    }

    async fn settle(&self, owner: Owner, queue: &QueueName, settlements: &[Settlement]) -> Result<Vec<Settled>> {
        let settled = self.broker.settle(owner, queue, settlements).await?;
        for (settlement, settled) in settlements.iter().zip(&settled) {
            self.note(Event::Settled { owner, settlement: settlement.clone(), settled: *settled });
        }
        Ok(settled)
    }

    async fn report(
        &self,
        owner: Owner,
        queue: &QueueName,
        key: &TaskKey,
        token: DeliveryToken,
        progress: &Progress,
    ) -> Result<Settled> {
        let settled = self.broker.report(owner, queue, key, token, progress).await?;
        let id = TaskId::new(queue.clone(), key.clone());
        self.note(Event::Reported { owner, id, token, settled });
        Ok(settled)
    }

    async fn leave(&self, owner: Owner, queue: &QueueName) -> Result<()> {
        self.broker.leave(owner, queue).await?;
        self.note(Event::Left { owner, queue: queue.clone() });
        Ok(())
    }

    async fn sweep(&self, queue: &QueueName, limit: usize) -> Result<SweepAnswer> {
        self.broker.sweep(queue, limit).await
    }

    async fn cancel(&self, id: &TaskId) -> Result<CancelAnswer> {
        let answer = self.broker.cancel(id).await?;
        self.note(Event::Cancelled { id: id.clone(), answer });
        Ok(answer)
    }

    async fn find(&self, id: &TaskId) -> Result<Option<Snapshot>> {
        let snapshot = self.broker.find(id).await?;
        self.note_seen(id, &snapshot);
        Ok(snapshot)
    }

    async fn wait(&self, id: &TaskId, bound: Duration) -> Result<Option<Snapshot>> {
        let snapshot = self.broker.wait(id, bound).await?;
        self.note_seen(id, &snapshot);
        Ok(snapshot)
    }

    async fn work_arrived(&self, worker: &[(Owner, QueueName)], bound: Duration) -> Result<Vec<Claimed>> {
        self.broker.work_arrived(worker, bound).await
    }
}

#[async_trait]
impl Inspect for Recorder {
    async fn queues(&self) -> Result<Vec<QueueName>> {
        self.inspect.queues().await
    }

    async fn counts(&self, queue: &QueueName) -> Result<Counts> {
        self.inspect.counts(queue).await
    }

    async fn queue(&self, queue: &QueueName) -> Result<QueueView> {
        self.inspect.queue(queue).await
    }

    async fn tasks(
        &self,
        queue: &QueueName,
        shelf: Shelf,
        after: Option<&PageToken>,
        count: usize,
    ) -> Result<TaskPage> {
        self.inspect.tasks(queue, shelf, after, count).await
    }

    async fn task(&self, id: &TaskId) -> Result<Option<TaskView>> {
        self.inspect.task(id).await
    }

    async fn unique_holder(&self, queue: &QueueName, unique: &str) -> Result<Option<TaskKey>> {
        self.inspect.unique_holder(queue, unique).await
    }

    async fn examine(&self) -> Result<Vec<Finding>> {
        self.inspect.examine().await
    }
}

#[async_trait]
impl Control for Recorder {
    async fn replay(&self, id: &TaskId) -> Result<bool> {
        let replayed = self.control.replay(id).await?;
        if replayed {
            self.note(Event::Replayed { id: id.clone() });
        }
        Ok(replayed)
    }

    async fn drop_dead(&self, id: &TaskId) -> Result<bool> {
        let dropped = self.control.drop_dead(id).await?;
        if dropped {
            self.note(Event::Dropped { id: id.clone() });
        }
        Ok(dropped)
    }

    async fn run_now(&self, id: &TaskId) -> Result<bool> {
        let moved = self.control.run_now(id).await?;
        if moved {
            self.note(Event::RanNow { id: id.clone() });
        }
        Ok(moved)
    }

    async fn pause(&self, queue: &QueueName) -> Result<bool> {
        let changed = self.control.pause(queue).await?;
        self.note(Event::Paused { queue: queue.clone() });
        Ok(changed)
    }

    async fn resume(&self, queue: &QueueName) -> Result<bool> {
        let changed = self.control.resume(queue).await?;
        self.note(Event::Resumed { queue: queue.clone() });
        Ok(changed)
    }

    async fn purge(&self, queue: &QueueName, what: Purge, limit: usize) -> Result<PurgeAnswer> {
        let answer = self.control.purge(queue, what, limit).await?;
        self.note(Event::Purged { queue: queue.clone(), what, answer });
        Ok(answer)
    }
}
