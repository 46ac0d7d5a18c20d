//! Sends progress reports to the broker: the latest of each attempt, at most five times a second.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use taskq_core::{
    Progress, TaskId,
    broker::Settled,
    id::{DeliveryToken, Owner},
    limits,
};
use tokio::sync::Notify;

use crate::worker::Shared;

/// By task: who reports, in which delivery, and what.
type Latest = BTreeMap<TaskId, (Owner, DeliveryToken, Progress)>;

/// Reports that wait to be sent.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    latest: Mutex<Latest>,
    arrived: Notify,
}

impl Reports {
    /// Keeps a report, replacing an earlier one of the same attempt. Callable from any thread.
    pub(crate) fn put(&self, id: TaskId, token: DeliveryToken, owner: Owner, progress: Progress) {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).insert(id, (owner, token, progress));
        self.arrived.notify_one();
    }

    fn take(&self) -> Latest {
        std::mem::take(&mut *self.latest.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The loop: send what has arrived, then hold back for the interval.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut ended = shared.ended();
    loop {
        tokio::select! {
            biased;
            () = shared.reports.arrived.notified() => {}
            () = ended.wait() => return,
        }
        for (TaskId { queue, key }, (owner, token, progress)) in shared.reports.take() {
            let sent = shared.broker.report(owner, &queue, &key, token, &progress);
            match shared.clock.timeout(limits::CALL_DEADLINE, sent).await {
                Ok(Ok(Settled::Applied)) => {}
                // The attempt has just been settled, or it is stale; its settlement will tell and count.
                Ok(Ok(Settled::Fenced)) => {}
                // Progress is for people: a lost report is replaced by the next one.
                Ok(Err(error)) => tracing::debug!(%error, "progress report lost"),
                Err(_) => tracing::debug!("progress report lost: the broker does not answer"),
            }
        }
        tokio::select! {
            biased;
            () = shared.clock.sleep(limits::PROGRESS_INTERVAL) => {}
            () = ended.wait() => return,
        }
    }
}
