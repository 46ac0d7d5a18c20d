//! Runs the tasks of one claim: a few futures take them in turn, and one that does not end at once gets its own.
//!
//! Most bodies either end at their first poll or wait for something. A future for each of the first kind would cost more
//! than the body, so the first poll happens here, in a future that many tasks share; one that waits moves out. There are
//! as many such futures as the runtime has threads, so a body that computes for long delays nobody while a thread is free.

use std::{
    any::{Any, TypeId},
    future::poll_fn,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::Duration,
};

use taskq_core::{
    Client, Clock, Event, LogLine, Progress, QueueName, TaskId, Timestamp, What,
    broker::Claimed,
    context::{AttemptContext, Host},
    id::{DeliveryToken, Owner},
};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::ReusableBoxFuture;

use crate::{
    meter::{self, Place, QueueMeter, Row},
    runner::{self, Over, Ready},
    settler::{self, Finished},
    worker::Shared,
};

/// Ended attempts that go to the settler together.
const TOGETHER: usize = 64;

/// How long a future runs attempts before it lets others onto its thread.
const TURN: Duration = Duration::from_micros(200);

/// What the tasks of one claim have in common.
pub(crate) struct Batch {
    pub(crate) shared: Arc<Shared>,
    pub(crate) queue: QueueName,
    pub(crate) owner: Owner,
    /// Where its tasks are counted.
    pub(crate) meter: Arc<QueueMeter>,
    /// The same moment by both clocks, so that one is read for each attempt and not two.
    claimed_at: (Timestamp, Duration),
    waiting: Mutex<Waiting>,
}

/// Tasks that have not begun, and a slot for each.
struct Waiting {
    attempts: std::vec::IntoIter<Ready>,
    slots: OwnedSemaphorePermit,
}

impl Host for Batch {
    fn app(&self) -> &(dyn Any + Send + Sync) {
        &*self.shared.app
    }

    fn also(&self, app: TypeId) -> Option<&(dyn Any + Send + Sync)> {
        self.shared.also.get(&app).map(|app| &**app)
    }

    fn report(&self, id: &TaskId, token: DeliveryToken, progress: Progress) {
        self.shared.reports.put(id.clone(), token, self.owner, progress);
    }

    fn log(&self, id: &TaskId, line: LogLine) {
        self.shared.said.put(id, line);
    }

    fn client(&self) -> &Client {
        &self.shared.client
    }

    fn clock(&self) -> &Clock {
        &self.shared.clock
    }
}

/// Starts the tasks of one claim, each in a slot. A delivery that runs already is left alone.
pub(crate) fn start(
    shared: &Arc<Shared>,
    queue: &QueueName,
    owner: Owner,
    claimed: Vec<Claimed>,
    mut slots: OwnedSemaphorePermit,
) {
    let waiting = Waiting { attempts: Vec::new().into_iter(), slots: slots.split(0).expect("nothing is always there") };
    let meter = Arc::clone(shared.meter.queue(queue));
    let claimed_at = (shared.clock.now(), shared.clock.monotonic());
    let (shared, queue) = (Arc::clone(shared), queue.clone());
    let batch = Arc::new(Batch { shared, queue, owner, meter, claimed_at, waiting: Mutex::new(waiting) });
    let mut attempts = batch.attempts(claimed);
    let Batch { shared, queue, .. } = &*batch;
    shared.attempts.begin(queue, owner, &mut attempts);
    shared.counters.claimed.add(attempts.len() as u64);
    batch.tell_started(&attempts);
    let futures = attempts.len().min(shared.threads);
    if let Some(slots) = slots.split(attempts.len()) {
        *batch.waiting() = Waiting { attempts: attempts.into_iter(), slots };
    }
    for _ in 0..futures {
        // The handle is not kept: every attempt is in `attempts` until it is settled, and the shutdown waits for that.
        drop(shared.clock.spawn("batch", run(Arc::clone(&batch))));
    }
}

/// Runs attempts of a batch until none is left that has not begun.
async fn run(batch: Arc<Batch>) {
    let clock = &batch.shared.clock;
    let mut ended = Ended::new(&batch);
    // When this future's turn began, and when the attempt did: the end of one is the beginning of the next.
    let mut begun = clock.monotonic();
    let mut attempt_begun = begun;
    let mut attempt: Option<ReusableBoxFuture<'static, Option<Over>>> = None;
    while let Some(ready) = batch.next() {
        let (place, wait) = (batch.meter.place(ready.task), batch.wait_of(&ready, attempt_begun));
        let future = runner::attempt(ready);
        let mut boxed = match attempt.take() {
            Some(mut used) => {
                used.set(future);
                used
            }
            None => ReusableBoxFuture::new(future),
        };
        match poll_fn(|cx| Poll::Ready(boxed.poll(cx))).await {
            Poll::Ready(over) => {
                let now = clock.monotonic();
                ended.push(over, place, now.saturating_sub(attempt_begun), wait);
                attempt_begun = now;
                attempt = Some(boxed);
            }
            Poll::Pending => {
                batch.meter.task(place).begun(wait);
                batch.spawn(boxed, place, attempt_begun);
                attempt_begun = clock.monotonic();
            }
        }
        let turn_is_over = attempt_begun.saturating_sub(begun) >= TURN;
        if turn_is_over || ended.count >= TOGETHER {
            // An attempt's span ends with its future, and nobody may learn of its end before.
            drop(attempt.take());
            ended.finish().await;
            // The settler may have kept it waiting, which is no attempt's time.
            attempt_begun = clock.monotonic();
        }
        if turn_is_over {
            tokio::task::yield_now().await;
            begun = clock.monotonic();
            attempt_begun = begun;
        }
    }
    drop(attempt);
    ended.finish().await;
}

impl Batch {
    /// The batch that an attempt belongs to.
    pub(crate) fn of(attempt: &AttemptContext) -> &Self {
        let host: &dyn Any = attempt.host();
        host.downcast_ref().expect("a worker's attempts have batches for hosts")
    }

    fn attempts(self: &Arc<Self>, claimed: Vec<Claimed>) -> Vec<Ready> {
        let (now, _) = self.claimed_at;
        let redelivered = claimed.iter().filter(|claimed| claimed.deliveries > 1).count();
        if redelivered > 0 {
            self.meter.redelivered.add(redelivered as u64);
        }
        let attempt = |Claimed { token, deliveries, envelope, .. }| {
            let task = self.shared.registry.number_of(envelope.task.as_str());
            let deadline = now + self.shared.timeout_of(&envelope, task);
            let host = Arc::clone(self);
            let context = AttemptContext::new(envelope, token, deadline, host).on_delivery(deliveries);
            Ready { context: Arc::new(context), task }
        };
        claimed.into_iter().map(attempt).collect()
    }

    /// Tells which attempts begin, if anybody is to know: all of a claim together, each with its slot.
    fn tell_started(&self, attempts: &[Ready]) {
        let Some(outlet) = self.shared.outlet() else { return };
        let ((now, _), worker) = (self.claimed_at, self.owner.worker);
        let event = |ready: &Ready| {
            let envelope = ready.context.envelope();
            let (id, task, attempt) = (envelope.id.clone(), envelope.task.clone(), envelope.attempts + 1);
            Event::new(now, What::Started { id, task, worker, attempt })
        };
        outlet.tell_of_tasks(attempts.len(), attempts.iter().map(event));
    }

    /// When the attempt's task was handed out, by the monotonic clock.
    pub(crate) fn handed_out_at(attempt: &AttemptContext) -> Duration {
        Self::of(attempt).claimed_at.1
    }

    /// How long a task that begins at `now`, by the monotonic clock, was in the queue, if that is known.
    fn wait_of(&self, ready: &Ready, now: Duration) -> Option<Duration> {
        let (wall, monotonic) = self.claimed_at;
        meter::wait_of(ready.context.envelope(), wall + now.saturating_sub(monotonic))
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        // Nothing panics while holding it.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Ready> {
        self.waiting().attempts.next()
    }

    fn slots(&self, count: usize) -> Option<OwnedSemaphorePermit> {
        self.waiting().slots.split(count)
    }

    /// An attempt that waits for something goes on in a future of its own.
    fn spawn(self: &Arc<Self>, attempt: ReusableBoxFuture<'static, Option<Over>>, place: Place, begun: Duration) {
        let (shared, batch, slot) = (Arc::clone(&self.shared), Arc::clone(self), self.slots(1));
        drop(self.shared.clock.spawn("attempt", async move {
            let mut attempts = settler::Attempts::default();
            attempts.extend(attempt.await);
            let run = shared.clock.monotonic().saturating_sub(begun);
            batch.meter.task(place).ended(run);
            if shared.outlet().is_some() && !attempts.settlements.is_empty() {
                attempts.runs.push(run);
            }
            shared.finish(Finished { batch, attempts }).await;
            // The slot is free when the settlement is on its way, and not before: a slow broker slows claiming.
            drop(slot);
        }));
    }
}

/// Attempts that ended at their first poll, on their way to the settler.
struct Ended<'a> {
    batch: &'a Arc<Batch>,
    attempts: settler::Attempts,
    /// How many ended, with or without something to settle.
    count: usize,
    /// What they are counted from.
    row: Row,
}

impl<'a> Ended<'a> {
    fn new(batch: &'a Arc<Batch>) -> Self {
        Self { batch, attempts: settler::Attempts::default(), count: 0, row: Row::new() }
    }

    fn push(&mut self, over: Option<Over>, place: Place, run: Duration, wait: Option<Duration>) {
        self.count += 1;
        self.row.note(&self.batch.meter, place, run, wait);
        if over.is_some() && self.batch.shared.outlet().is_some() {
            self.attempts.runs.push(run);
        }
        self.attempts.extend(over);
    }

    async fn finish(&mut self) {
        if self.count == 0 {
            return;
        }
        self.row.count(&self.batch.meter);
        let attempts = std::mem::take(&mut self.attempts);
        self.batch.shared.finish(Finished { batch: Arc::clone(self.batch), attempts }).await;
        drop(self.batch.slots(std::mem::take(&mut self.count)));
    }
}
