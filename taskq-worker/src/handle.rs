//! A worker while it runs: what ends it, and what tells how it is.

use std::{fmt, sync::Arc};

use taskq_core::{Figures, WorkerId, signals::Stops};
use tokio::task::JoinHandle;

use crate::{
    readiness::{self, Readiness},
    shutdown::{Phase, Phases},
    tally::Tally,
    worker::Shared,
};

/// A running worker. Dropping it lets the worker run on; [`drain`](Self::drain) or [`abort`](Self::abort) end it.
#[derive(Debug)]
pub struct WorkerHandle {
    shared: Arc<Shared>,
    supervisor: JoinHandle<()>,
}

/// Ends a worker from elsewhere; see [`WorkerHandle::stopper`].
#[derive(Clone, Debug)]
pub struct Stopper(Phases);

impl Stopper {
    /// Claims no more and finishes what runs, within the drain bound.
    pub fn drain(&self) {
        self.0.reach(Phase::Draining);
    }

    /// Gives back what runs at once, without spending an attempt, and ends.
    pub fn abort(&self) {
        self.0.reach(Phase::Aborting);
    }
}

impl WorkerHandle {
    pub(crate) fn new(shared: Arc<Shared>, supervisor: JoinHandle<()>) -> Self {
        Self { shared, supervisor }
    }

    /// The id of this worker process.
    pub fn id(&self) -> WorkerId {
        self.shared.terms.worker()
    }

    /// Claims no more and finishes what runs, within the drain bound. Returns at once; [`ended`](Self::ended) waits.
    pub fn drain(&self) {
        self.stopper().drain();
    }

    /// Gives back what runs at once, without spending an attempt, and ends. Returns at once; [`ended`](Self::ended) waits.
    pub fn abort(&self) {
        self.stopper().abort();
    }

    /// Waits for SIGTERM or ctrl-c, then drains; a second signal aborts the drain.
    pub async fn run(self, mut stops: Stops) -> Tally {
        stops.next().await;
        tracing::info!("draining; a second signal aborts");
        self.drain();
        let stopper = self.stopper();
        let ended = self.ended();
        tokio::pin!(ended);
        tokio::select! {
            biased;
            tally = &mut ended => return tally,
            () = stops.next() => stopper.abort(),
        }
        ended.await
    }

    /// What tells whether it can work, for another task or thread.
    pub fn pulse(&self) -> Pulse {
        Pulse(Arc::clone(&self.shared))
    }

    /// What ends this worker, for another task or thread.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.shared.phases.clone())
    }

    /// What it did so far.
    pub fn tally(&self) -> Tally {
        self.shared.tally()
    }

    /// What it did so far, in detail: by queue and task, with the distribution of times. What the clients of its
    /// connection did is not in it; [`Connection::figures`](taskq_core::Connection::figures) has that.
    pub fn figures(&self) -> Figures {
        self.shared.figures()
    }

    /// Whether it can work: for health checks of whatever runs it. It is not ready when claims have failed for five
    /// seconds, when nothing was heard from the broker for 45 s although slots are free, when its heartbeat has failed for a
    /// lease, and when it ends. It logs when that changes.
    pub fn readiness(&self) -> Readiness {
        readiness::of(&self.shared)
    }

    /// Waits until it has ended: everything is settled or given back, and all its loops and threads have ended.
    pub async fn ended(self) -> Tally {
        if self.supervisor.await.is_err() {
            tracing::error!("the worker's supervisor panicked");
        }
        self.shared.tally()
    }
}

/// Tells how a worker is, as [`WorkerHandle::readiness`] and [`WorkerHandle::figures`] do.
#[derive(Clone)]
pub struct Pulse(Arc<Shared>);

impl Pulse {
    /// Whether it can work.
    pub fn readiness(&self) -> Readiness {
        readiness::of(&self.0)
    }

    /// What it did so far, as [`WorkerHandle::figures`] tells.
    pub fn figures(&self) -> Figures {
        self.0.figures()
    }
}

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pulse").field(&self.readiness()).finish()
    }
}
