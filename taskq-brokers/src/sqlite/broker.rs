//! The doors: each method of the contract is one step for the writer or one look for the reader.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use taskq_core::{
    broker::{
        Accepted, BeatAnswer, Broker, CancelAnswer, Capabilities, ClaimAnswer, Claimed, Settled, Settlement, Snapshot,
        SweepAnswer,
    },
    clock::{Clock, Timestamp},
    context::Progress,
    envelope::Envelope,
    error::{Error, ErrorKind, Result},
    id::{BatchId, ClaimNumber, DeliveryToken, Namespace, Owner, QueueName, TaskId, TaskKey},
    limits,
};

use super::{
    address::{Address, Synchronous},
    bell::{Bell, BellFolder},
    cancel, claim,
    enqueue::{self, Arrival},
    failure::Failure,
    find::{self, Seen, Work},
    layout::Layout,
    lease,
    reader::Reader,
    ringer::Ringer,
    settle::{self, Closing},
    step::Step,
    sweep,
    waiting::{Topic, Waiter, Waiting},
    writer::{Outlasts, Writer},
};

/// One connection to a file. Dropping it ends its threads and takes its bell down.
#[derive(Debug)]
pub(crate) struct SqliteBroker {
    // Dropped in this order: the bell asks the writer.
    bell: Mutex<Option<Bell>>,
    reader: Reader,
    writer: Writer,
    waiting: Arc<Waiting>,
    bells: BellFolder,
    path: PathBuf,
    synchronous: Synchronous,
    namespace: Namespace,
    clock: Clock,
}

impl SqliteBroker {
    /// Opens the file and starts the threads.
    pub(super) async fn open(address: &Address, clock: &Clock, layout: Layout) -> Result<Self> {
        let waiting = Arc::new(Waiting::default());
        let bells = BellFolder::of(&address.path);
        let writer = Writer::start(address, clock, layout, Arc::clone(&waiting), Ringer::new(bells.clone())).await?;
        let reader = Reader::start(address, clock, layout).await?;
        Ok(Self {
            bell: Mutex::new(None),
            reader,
            writer,
            waiting,
            bells,
            path: address.path.clone(),
            synchronous: address.synchronous,
            namespace: address.namespace.clone(),
            clock: clock.clone(),
        })
    }

    /// Whose tasks.
    pub(super) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The file, and when it waits for the disk.
    pub(super) fn place(&self) -> (PathBuf, Synchronous) {
        (self.path.clone(), self.synchronous)
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// One step; its errors name what was asked and the file.
    pub(super) async fn write<V, F>(&self, operation: &'static str, subject: &impl ToString, run: F) -> Result<V>
    where
        V: Send + 'static,
        F: FnMut(&Step<'_>) -> Result<V, Failure> + Send + 'static,
    {
        let subject = subject.to_string();
        self.writer.write(Outlasts::AsPromised, run).await.map_err(|failure| self.told(failure, operation, &subject))
    }

    /// The same for what need not outlive the loss of power, and so waits for no disk.
    pub(super) async fn write_relaxed<V, F>(
        &self,
        operation: &'static str,
        subject: &impl ToString,
        run: F,
    ) -> Result<V>
    where
        V: Send + 'static,
        F: FnMut(&Step<'_>) -> Result<V, Failure> + Send + 'static,
    {
        let subject = subject.to_string();
        self.writer.write(Outlasts::Programs, run).await.map_err(|failure| self.told(failure, operation, &subject))
    }

    /// One look; its errors name what was asked and the file.
    pub(super) async fn look<V, F>(&self, operation: &'static str, subject: &impl ToString, run: F) -> Result<V>
    where
        V: Send + 'static,
        F: FnOnce(&Step<'_>) -> Result<V, Failure> + Send + 'static,
    {
        let subject = subject.to_string();
        self.reader.look(run).await.map_err(|failure| self.told(failure, operation, &subject))
    }

    fn told(&self, failure: Failure, operation: &'static str, subject: &str) -> Error {
        failure.told(operation, format!("\"{subject}\""), &self.path)
    }

    async fn see(&self, id: &TaskId) -> Result<Option<Seen>> {
        let wanted = id.clone();
        self.look("look up", id, move |step| find::find(step, &wanted)).await
    }

    /// A place on the board of those who wait; the first hangs up the bell.
    pub(super) fn register(&self, topics: Vec<Topic>) -> Result<Waiter> {
        let mut bell = self.bell.lock().unwrap_or_else(PoisonError::into_inner);
        if bell.is_none() {
            let hung = Bell::hang(&self.bells, Arc::clone(&self.waiting), self.writer.changes(), &self.clock);
            let failed = |error: std::io::Error| Failure::new(ErrorKind::Unavailable, format!("no bell: {error}"));
            *bell = Some(hung.map_err(|error| self.told(failed(error), "wait at", "bells"))?);
        }
        Ok(self.waiting.register(topics))
    }
}

#[async_trait]
impl Broker for SqliteBroker {
    fn capabilities(&self) -> Capabilities {
        Capabilities { product: "sqlite", durable: true, shared: true, networked: false }
    }

    async fn now(&self) -> Result<Timestamp> {
        // All processes on the file share the machine's clock.
        Ok(self.clock.now())
    }

    async fn enqueue(&self, queue: &QueueName, batch: BatchId, envelopes: &[Envelope]) -> Result<Vec<Accepted>> {
        if envelopes.len() > limits::ENQUEUE_CHUNK {
            let cure = format!("{} envelopes at once; the limit is {}", envelopes.len(), limits::ENQUEUE_CHUNK);
            return Err(Error::new(ErrorKind::TooLarge, "enqueue to", format!("\"{queue}\"")).because(cure));
        }
        let now = self.clock.now();
        let arrivals: Vec<_> = envelopes.iter().map(|envelope| Arrival::new(envelope, now)).collect();
        let name = queue.clone();
        self.write("enqueue to", queue, move |step| enqueue::enqueue(step, &name, batch, &arrivals)).await
    }

    async fn join(&self, owner: Owner, queue: &QueueName, length: Duration) -> Result<()> {
        let name = queue.clone();
        self.write("join", queue, move |step| lease::join(step, &name, owner, length)).await
    }

    async fn beat(&self, beats: &[(Owner, QueueName)]) -> Result<Vec<BeatAnswer>> {
        let beats = beats.to_vec();
        self.write("beat for", &"leases", move |step| lease::beat(step, &beats)).await
    }

    async fn claim(&self, owner: Owner, queue: &QueueName, count: usize, number: ClaimNumber) -> Result<ClaimAnswer> {
        let name = queue.clone();
        // After power loss nobody runs what was handed out, and a later commit takes the hand-out to the disk with it.
        self.write_relaxed("claim from", queue, move |step| claim::claim(step, &name, owner, count, number)).await
    }

    async fn held(&self, owner: Owner, queue: &QueueName, last: ClaimNumber) -> Result<Vec<Claimed>> {
        let name = queue.clone();
        self.write("list tasks held in", queue, move |step| claim::held(step, &name, owner, last)).await
    }

    async fn settle(&self, owner: Owner, queue: &QueueName, settlements: &[Settlement]) -> Result<Vec<Settled>> {
        let now = self.clock.now();
        let closings: Vec<_> = settlements.iter().map(|settlement| Closing::new(settlement, now)).collect();
        let name = queue.clone();
        self.write("settle in", queue, move |step| settle::settle(step, &name, owner, &closings)).await
    }

    async fn report(
        &self,
        owner: Owner,
        queue: &QueueName,
        key: &TaskKey,
        token: DeliveryToken,
        progress: &Progress,
    ) -> Result<Settled> {
        let (name, key, progress) = (queue.clone(), key.clone(), progress.clone());
        self.write("report in", queue, move |step| settle::report(step, &name, owner, &key, token, &progress)).await
    }

    async fn leave(&self, owner: Owner, queue: &QueueName) -> Result<()> {
        let name = queue.clone();
        self.write("leave", queue, move |step| lease::leave(step, &name, owner)).await
    }

    async fn sweep(&self, queue: &QueueName, limit: usize) -> Result<SweepAnswer> {
        let name = queue.clone();
        self.write("sweep", queue, move |step| sweep::sweep(step, &name, limit)).await
    }

    async fn cancel(&self, id: &TaskId) -> Result<CancelAnswer> {
        let wanted = id.clone();
        self.write("cancel", id, move |step| cancel::cancel(step, &wanted)).await
    }

    async fn find(&self, id: &TaskId) -> Result<Option<Snapshot>> {
        Ok(self.see(id).await?.map(|seen| seen.snapshot))
    }

    async fn wait(&self, id: &TaskId, bound: Duration) -> Result<Option<Snapshot>> {
        let end = self.clock.monotonic() + bound;
        let waiter = self.register(vec![Topic::ended(&self.namespace, &id.queue, &id.key)])?;
        loop {
            let Some(seen) = self.see(id).await? else { return Ok(None) };
            let left = end.saturating_sub(self.clock.monotonic());
            if left.is_zero() || !seen.may_change() {
                return Ok(Some(seen.snapshot));
            }
            // Woken, expired or too late: the next look tells which.
            let until = seen.expires_in.map_or(left, |expires_in| expires_in.min(left));
            self.clock.timeout(until, waiter.woken()).await.ok();
        }
    }

    async fn work_arrived(&self, worker: &[(Owner, QueueName)], bound: Duration) -> Result<Vec<Claimed>> {
        let end = self.clock.monotonic() + bound;
        let queues: Vec<QueueName> = worker.iter().map(|(_, queue)| queue.clone()).collect();
        let alarm = self.register(queues.iter().map(|queue| Topic::due(&self.namespace, queue)).collect())?;
        let topics = queues.iter().map(|queue| Topic::work(&self.namespace, queue)).collect();
        let ready = self.waiting.register_by_name(topics);
        loop {
            let wanted = queues.clone();
            let work = self.look("wait for work in", &"queues", move |step| find::work(step, &wanted)).await?;
            let left = end.saturating_sub(self.clock.monotonic());
            let until = match work {
                Work::Now => return Ok(Vec::new()),
                _ if left.is_zero() => return Ok(Vec::new()),
                Work::In(due) => due.min(left),
                Work::Unknown => left,
            };
            let is_ready = self.clock.timeout(until, async {
                tokio::select! {
                    biased;
                    // Also woken when nobody knows of what: looking costs the others less than a claim does.
                    () = alarm.woken() => false,
                    () = ready.woken() => true,
                }
            });
            // Whoever is told of ready tasks need not look for them: the claim does.
            if let Ok(true) = is_ready.await {
                return Ok(Vec::new());
            }
        }
    }
}
