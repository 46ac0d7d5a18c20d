//! What is running now: every claimed task from its claim until its settlement has been answered.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
};

use taskq_core::{
    QueueName, TaskKey,
    broker::Claimed,
    id::{DeliveryToken, Owner},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Which delivery of which task.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct DeliveryId {
    pub(crate) queue: QueueName,
    pub(crate) key: TaskKey,
    pub(crate) token: DeliveryToken,
}

/// Why an attempt was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// Somebody cancelled the task.
    Cancelled = 1,
    /// The lease is lost; the task runs elsewhere.
    LeaseLost = 2,
    /// The worker ends and does not wait any longer.
    Shutdown = 3,
}

/// Asks one attempt to stop.
#[derive(Clone, Debug, Default)]
pub(crate) struct StopSign {
    token: CancellationToken,
    reason: Arc<AtomicU8>,
}

impl StopSign {
    pub(crate) fn stop(&self, reason: StopReason) {
        // The first reason stays: a task cancelled before a shutdown is cancelled.
        let _first = self.reason.compare_exchange(0, reason as u8, Ordering::SeqCst, Ordering::SeqCst);
        self.token.cancel();
    }

    pub(crate) fn reason(&self) -> Option<StopReason> {
        match self.reason.load(Ordering::SeqCst) {
            1 => Some(StopReason::Cancelled),
            2 => Some(StopReason::LeaseLost),
            3 => Some(StopReason::Shutdown),
            _ => None,
        }
    }

    pub(crate) fn token(&self) -> &CancellationToken {
        &self.token
    }
}

/// All attempts of this worker.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    running: Mutex<HashMap<DeliveryId, (Owner, StopSign)>>,
    changed: Notify,
}

impl Attempts {
    fn running(&self) -> MutexGuard<'_, HashMap<DeliveryId, (Owner, StopSign)>> {
        // Nothing panics while holding it.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins an attempt; `None` if this very delivery is under way already.
    pub(crate) fn begin(&self, delivery: DeliveryId, owner: Owner) -> Option<StopSign> {
        let mut running = self.running();
        if running.contains_key(&delivery) {
            return None;
        }
        let stop = StopSign::default();
        running.insert(delivery, (owner, stop.clone()));
        if running.len() == 1 {
            self.changed.notify_waiters();
        }
        Some(stop)
    }

    /// Whether this very delivery is under way.
    pub(crate) fn is_running(&self, queue: &QueueName, claimed: &Claimed) -> bool {
        let key = claimed.envelope.id.key.clone();
        self.running().contains_key(&DeliveryId { queue: queue.clone(), key, token: claimed.token })
    }

    /// Ends attempts: they are settled, or nobody will settle them any more.
    pub(crate) fn end<'a>(&self, deliveries: impl Iterator<Item = &'a DeliveryId>) {
        let mut running = self.running();
        for delivery in deliveries {
            running.remove(delivery);
        }
        if running.is_empty() {
            self.changed.notify_waiters();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.running().is_empty()
    }

    /// Returns when the first attempt begins, or the last ends, after this call.
    pub(crate) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    pub(crate) fn stop_cancelled(&self, queue: &QueueName, owner: Owner, keys: &[TaskKey]) {
        let is_meant = |delivery: &DeliveryId| delivery.queue == *queue && keys.contains(&delivery.key);
        self.stop(StopReason::Cancelled, |delivery, holder| holder == owner && is_meant(delivery));
    }

    pub(crate) fn stop_lost(&self, queue: &QueueName, owner: Owner) {
        self.stop(StopReason::LeaseLost, |delivery, holder| holder == owner && delivery.queue == *queue);
    }

    pub(crate) fn stop_all(&self) {
        self.stop(StopReason::Shutdown, |_, _| true);
    }

    fn stop(&self, reason: StopReason, is_meant: impl Fn(&DeliveryId, Owner) -> bool) {
        let signs: Vec<StopSign> = self
            .running()
            .iter()
            .filter(|(delivery, (owner, _))| is_meant(delivery, *owner))
            .map(|(_, (_, stop))| stop.clone())
            .collect();
        // Outside the lock: firing a token wakes whoever waits for it.
        signs.iter().for_each(|sign| sign.stop(reason));
    }
}
