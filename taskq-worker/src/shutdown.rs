//! How a worker ends: drain with a bound, give back what is left, stop.
//!
//! ```text
//! running --drain--> draining --all ended, or the bound, or a second signal--> aborting --given back--> ended
//! ```

use std::{sync::Arc, time::Duration};

use taskq_core::limits;
use tokio::sync::watch;

use crate::worker::Shared;

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Claims and runs.
    Running,
    /// Claims no more; finishes what runs.
    Draining,
    /// Waits no longer.
    Aborting,
    /// Everything is settled or given back; the loops end.
    Ended,
}

/// The phase, for all loops.
#[derive(Clone, Debug)]
pub(crate) struct Phases(Arc<watch::Sender<Phase>>);

impl Phases {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Phase::Running)))
    }

    /// Moves on; phases never go back.
    pub(crate) fn reach(&self, phase: Phase) {
        self.0.send_if_modified(|present| {
            let later = phase > *present;
            *present = phase.max(*present);
            later
        });
    }

    pub(crate) fn present(&self) -> Phase {
        *self.0.borrow()
    }

    /// Returns when `phase` is reached.
    pub(crate) async fn reached(&self, phase: Phase) {
        let mut phases = self.0.subscribe();
        // The sender lives as long as self.
        let _phase = phases.wait_for(|present| *present >= phase).await;
    }

    pub(crate) fn ended(&self) -> Ended {
        Ended(self.0.subscribe())
    }
}

/// Tells a loop that the worker has ended.
pub(crate) struct Ended(watch::Receiver<Phase>);

impl Ended {
    pub(crate) async fn wait(&mut self) {
        // A sender that is gone means that the worker is gone.
        let _phase = self.0.wait_for(|present| *present == Phase::Ended).await;
    }
}

/// Waits until everything that runs has ended and is settled, but at most for `bound`.
pub(crate) async fn drain(shared: &Shared, bound: Duration) {
    let all_ended = async {
        loop {
            let changed = shared.attempts.changed();
            tokio::pin!(changed);
            // Register before looking, or the last end in between would go unnoticed.
            changed.as_mut().enable();
            if shared.attempts.is_empty() {
                return;
            }
            changed.await;
        }
    };
    tokio::select! {
        biased;
        () = all_ended => {}
        () = shared.clock.sleep(bound) => tracing::warn!(?bound, "drain bound reached; not waiting for what still runs"),
    }
}

/// Gives back at once, without spending an attempt, what is still held in every queue.
pub(crate) async fn leave(shared: &Shared) {
    for (owner, queue) in shared.terms.all_joined() {
        match shared.clock.timeout(limits::CALL_DEADLINE, shared.broker.leave(owner, &queue)).await {
            Ok(Ok(())) => {}
            // The lease will lapse, and the sweep of another worker hands the tasks out again.
            Ok(Err(error)) => tracing::warn!(%queue, %error, "could not give back; the lease will"),
            Err(_) => tracing::warn!(%queue, "could not give back in time; the lease will"),
        }
    }
}
