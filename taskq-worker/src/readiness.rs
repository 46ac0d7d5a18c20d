//! Whether a worker can work: when each lane last heard from the broker, and whether its heartbeat does.
//!
//! A worker that has lost its broker keeps trying and looks alive to the operating system. So whoever watches it (a load
//! balancer, Kubernetes, a person) asks here, and is told what is wrong.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use taskq_core::limits;

use crate::{shutdown::Phase, worker::Shared};

/// Whether a worker can work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It claims, or all its slots are taken, and its heartbeat is answered.
    Ready,
    /// It does not, and this is why, in a sentence.
    NotReady(String),
}

impl Readiness {
    /// Whether it can work.
    pub fn is_ready(&self) -> bool {
        *self == Self::Ready
    }
}

/// What was heard from the broker on one way to it.
#[derive(Debug, Default)]
pub(crate) struct Ear(Mutex<Heard>);

#[derive(Clone, Debug, Default)]
struct Heard {
    /// By the worker's monotonic time.
    last: Duration,
    failing: Option<Failing>,
}

#[derive(Clone, Debug)]
struct Failing {
    since: Duration,
    error: String,
}

impl Ear {
    /// The broker has answered.
    pub(crate) fn heard(&self, now: Duration) {
        *self.lock() = Heard { last: now, failing: None };
    }

    /// A call has failed, and none has succeeded since the first that did.
    pub(crate) fn failed(&self, now: Duration, error: impl ToString) {
        let mut heard = self.lock();
        let since = heard.failing.as_ref().map_or(now, |failing| failing.since);
        heard.failing = Some(Failing { since, error: error.to_string() });
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        // Nothing panics while holding it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is wrong, if calls have failed for `failing`, or nothing was heard for `silent`.
    fn complaint(&self, now: Duration, what: &str, failing: Duration, silent: Duration) -> Option<String> {
        let Heard { last, failing: present } = self.lock().clone();
        if let Some(Failing { since, error }) = present.filter(|present| now.saturating_sub(present.since) >= failing) {
            let lasting = now.saturating_sub(since).as_secs();
            return Some(format!("no {what} has succeeded for {lasting} s: {error}"));
        }
        let quiet = now.saturating_sub(last);
        (quiet >= silent).then(|| format!("no {what} was answered for {} s", quiet.as_secs()))
    }
}

/// What a worker keeps to be able to tell.
#[derive(Debug, Default)]
pub(crate) struct Ears {
    pub(crate) heartbeat: Ear,
    was_ready: AtomicBool,
}

/// Whether the worker can work at this moment.
pub(crate) fn of(shared: &Shared) -> Readiness {
    if shared.phases.present() > Phase::Running {
        return Readiness::NotReady("the worker is ending".to_owned());
    }
    let now = shared.clock.monotonic();
    let heartbeat = shared.ears.heartbeat.complaint(now, "heartbeat", shared.lease, shared.lease * 2);
    // A lane without free slots claims nothing, and need not hear anything.
    let idle = shared.lanes.iter().filter(|lane| lane.slots.available_permits() > 0);
    let mut lanes = idle.filter_map(|lane| {
        let complaint = lane.ear.complaint(now, "claim", limits::READY_FAILING, limits::READY_SILENT)?;
        let queues: Vec<&str> = lane.queues.iter().map(|(queue, _)| queue.as_str()).collect();
        Some(format!("queue {}: {complaint}", queues.join(", ")))
    });
    match heartbeat.or_else(|| lanes.next()) {
        None => Readiness::Ready,
        Some(complaint) => Readiness::NotReady(complaint),
    }
}

/// Logs when that has changed. The heartbeat calls it, which goes on whatever the others wait for.
pub(crate) fn log_changes(shared: &Shared) {
    let readiness = of(shared);
    let was_ready = shared.ears.was_ready.swap(readiness.is_ready(), Ordering::Relaxed);
    let worker = shared.terms.worker();
    match readiness {
        Readiness::Ready if !was_ready => tracing::info!(%worker, "the worker is ready"),
        Readiness::NotReady(why) if was_ready => tracing::error!(%worker, why, "the worker is not ready"),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn told(ear: &Ear, at: u32) -> Option<String> {
        ear.complaint(SECOND * at, "claim", SECOND * 5, SECOND * 45)
    }

    #[test]
    fn failures_are_told_after_a_while_and_since_the_first_of_them() {
        let ear = Ear::default();
        ear.heard(SECOND * 10);
        ear.failed(SECOND * 11, "refused");
        ear.failed(SECOND * 15, "still refused");
        assert_eq!(told(&ear, 15), None);
        assert_eq!(told(&ear, 17).expect("told"), "no claim has succeeded for 6 s: still refused");
        ear.heard(SECOND * 18);
        assert_eq!(told(&ear, 30), None);
    }

    #[test]
    fn silence_is_told_though_nothing_failed() {
        let ear = Ear::default();
        ear.heard(SECOND * 10);
        assert_eq!(told(&ear, 54), None);
        assert_eq!(told(&ear, 55).expect("told"), "no claim was answered for 45 s");
    }
}
