//! Sweeps queues when a heartbeat says that there is something to sweep; nothing polls.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use taskq_core::{QueueName, broker::SweepAnswer, limits, retry::fraction};
use tokio::sync::watch;

use crate::{heartbeat, worker::Shared};

/// When to sweep which queue next, by the worker's monotonic time. Heartbeats write it.
#[derive(Clone, Debug)]
pub(crate) struct Plan(watch::Sender<BTreeMap<QueueName, Duration>>);

impl Default for Plan {
    fn default() -> Self {
        Self(watch::Sender::new(BTreeMap::new()))
    }
}

impl Plan {
    /// Replaces the time of a queue's next sweep; `None` means not before the next heartbeat says so.
    pub(crate) fn set(&self, queue: &QueueName, at: Option<Duration>) {
        self.0.send_if_modified(|plan| match at {
            Some(at) => plan.insert(queue.clone(), at) != Some(at),
            None => plan.remove(queue).is_some(),
        });
    }

    /// The queue to sweep first, and when.
    fn next(&self) -> Option<(QueueName, Duration)> {
        let plan = self.0.borrow();
        plan.iter().min_by_key(|(_, at)| **at).map(|(queue, at)| (queue.clone(), *at))
    }
}

/// A little after the planned time, differently for each worker, so that they do not all sweep at once.
pub(crate) fn jitter(shared: &Shared) -> Duration {
    Duration::from_millis(20) + fraction(Duration::from_millis(100), shared.next_seed())
}

/// The loop.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut ended = shared.ended();
    let mut changed = shared.sweeps.0.subscribe();
    loop {
        changed.mark_unchanged();
        let next = shared.sweeps.next();
        let due = async {
            match &next {
                Some((_, at)) => shared.clock.sleep(at.saturating_sub(shared.clock.monotonic())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = due => {
                if let Some((queue, _)) = next {
                    shared.sweeps.set(&queue, None);
                    sweep(&shared, &queue).await;
                }
            }
            // The plan outlives this loop, so its sender cannot be gone.
            _changed = changed.changed() => {}
            () = ended.wait() => return,
        }
    }
}

/// Sweeps a queue until nothing is left, in bounded steps.
async fn sweep(shared: &Shared, queue: &QueueName) {
    let mut looks_again = false;
    loop {
        match shared.broker.sweep(queue, limits::SWEEP_BATCH).await {
            Ok(answer) => {
                // Where nothing was left to do, another worker was faster, and may be gone before the next lease ends.
                looks_again |= answer.reclaimed + answer.buried > 0 || answer == SweepAnswer::default();
                if answer.reclaimed + answer.buried > 0 {
                    tracing::warn!(%queue, reclaimed = answer.reclaimed, buried = answer.buried, "took over from a dead worker");
                }
                if answer.due + answer.reclaimed > 0 {
                    shared.nudge(queue);
                }
                if !answer.more {
                    break;
                }
            }
            // The next heartbeat plans the sweep again.
            Err(error) => return shared.broker_trouble("sweep", &error),
        }
    }
    if looks_again {
        plan_next(shared, queue).await;
    }
}

/// Where one worker died, another may have died right after it: its lease ends before the next heartbeat could tell.
async fn plan_next(shared: &Shared, queue: &QueueName) {
    let Ok(owner) = shared.terms.present(queue) else { return };
    match shared.broker.beat(&[(owner, queue.clone())]).await {
        Ok(answers) => answers.into_iter().for_each(|answer| heartbeat::act(shared, owner, queue, answer)),
        Err(error) => shared.broker_trouble("beat", &error),
    }
}
