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
    Client, Clock, Progress, QueueName, TaskId,
    broker::{Claimed, Settlement},
    context::{AttemptContext, Host},
    id::{DeliveryToken, Owner},
};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::ReusableBoxFuture;

use crate::{runner, settler::Finished, worker::Shared};

/// Ended attempts that go to the settler together.
const TOGETHER: usize = 64;

/// How long a future runs attempts before it lets others onto its thread.
const TURN: Duration = Duration::from_micros(200);

/// What the tasks of one claim have in common.
pub(crate) struct Batch {
    pub(crate) shared: Arc<Shared>,
    pub(crate) queue: QueueName,
    pub(crate) owner: Owner,
    waiting: Mutex<Waiting>,
}

/// Tasks that have not begun, and a slot for each.
struct Waiting {
    attempts: std::vec::IntoIter<Arc<AttemptContext>>,
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
    let (shared, queue) = (Arc::clone(shared), queue.clone());
    let batch = Arc::new(Batch { shared, queue, owner, waiting: Mutex::new(waiting) });
    let mut attempts = batch.attempts(claimed);
    let Batch { shared, queue, .. } = &*batch;
    shared.attempts.begin(queue, owner, &mut attempts);
    shared.counters.claimed.add(attempts.len() as u64);
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
    let mut begun = clock.monotonic();
    let mut attempt: Option<ReusableBoxFuture<'static, Option<Settlement>>> = None;
    while let Some(context) = batch.next() {
        let future = runner::attempt(context);
        let mut boxed = match attempt.take() {
            Some(mut used) => {
                used.set(future);
                used
            }
            None => ReusableBoxFuture::new(future),
        };
        match poll_fn(|cx| Poll::Ready(boxed.poll(cx))).await {
            Poll::Ready(settlement) => {
                ended.push(settlement);
                attempt = Some(boxed);
            }
            Poll::Pending => batch.spawn(boxed),
        }
        let turn_is_over = clock.monotonic().saturating_sub(begun) >= TURN;
        if turn_is_over || ended.count >= TOGETHER {
            ended.finish().await;
        }
        if turn_is_over {
            tokio::task::yield_now().await;
            begun = clock.monotonic();
        }
    }
    ended.finish().await;
}

impl Batch {
    /// The batch that an attempt belongs to.
    pub(crate) fn of(attempt: &AttemptContext) -> &Self {
        let host: &dyn Any = attempt.host();
        host.downcast_ref().expect("a worker's attempts have batches for hosts")
    }

    fn attempts(self: &Arc<Self>, claimed: Vec<Claimed>) -> Vec<Arc<AttemptContext>> {
        let now = self.shared.clock.now();
        let attempt = |Claimed { token, envelope, .. }| {
            let deadline = now + self.shared.timeout_of(&envelope);
            let host = Arc::clone(self);
            Arc::new(AttemptContext::new(envelope, token, deadline, host))
        };
        claimed.into_iter().map(attempt).collect()
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        // Nothing panics while holding it.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Arc<AttemptContext>> {
        self.waiting().attempts.next()
    }

    fn slots(&self, count: usize) -> Option<OwnedSemaphorePermit> {
        self.waiting().slots.split(count)
    }

    /// An attempt that waits for something goes on in a future of its own.
    fn spawn(self: &Arc<Self>, attempt: ReusableBoxFuture<'static, Option<Settlement>>) {
        let (shared, batch, slot) = (Arc::clone(&self.shared), Arc::clone(self), self.slots(1));
        drop(self.shared.clock.spawn("attempt", async move {
            let settlements = attempt.await.into_iter().collect();
            shared.finish(Finished { batch, settlements }).await;
            // The slot is free when the settlement is on its way, and not before: a slow broker slows claiming.
            drop(slot);
        }));
    }
}

/// Attempts that ended at their first poll, on their way to the settler.
struct Ended<'a> {
    batch: &'a Arc<Batch>,
    settlements: Vec<Settlement>,
    /// How many ended, with or without something to settle.
    count: usize,
}

impl<'a> Ended<'a> {
    fn new(batch: &'a Arc<Batch>) -> Self {
        Self { batch, settlements: Vec::new(), count: 0 }
    }

    fn push(&mut self, settlement: Option<Settlement>) {
        self.count += 1;
        self.settlements.extend(settlement);
    }

    async fn finish(&mut self) {
        if self.count == 0 {
            return;
        }
        let settlements = std::mem::take(&mut self.settlements);
        self.batch.shared.finish(Finished { batch: Arc::clone(self.batch), settlements }).await;
        drop(self.batch.slots(std::mem::take(&mut self.count)));
    }
}
