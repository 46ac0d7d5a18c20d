//! Bodies that misbehave: they block every thread, panic, hang, and end their whole process.

use std::time::{Duration, Instant};

use taskq::{AnyTask, DeadReason, Invocation, Snapshot, State, TaskHandle};
use taskq_crash_tests::LONG;

use crate::{
    fleet::SLOTS,
    theatre::Theatre,
    worker::{aborts, block, hangs, panics},
};

/// How a body has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Succeeds,
    Fails,
    Crashes,
}

impl Expected {
    fn is_met_by(self, snapshot: &Snapshot) -> bool {
        match self {
            Self::Succeeds => snapshot.state == State::Succeeded,
            Self::Fails => (snapshot.state, snapshot.attempts) == (State::Dead, 1),
            // A crash is no error of the task: it spends no attempt.
            Self::Crashes => (snapshot.reason, snapshot.attempts) == (Some(DeadReason::Crashed), 0),
        }
    }
}

impl Theatre<'_> {
    /// Enqueues a set of them, and waits until each has ended, one way or another.
    pub(crate) async fn starve(&mut self) {
        let lease = u64::try_from((self.fleet.lease() * 3).as_millis()).unwrap_or(u64::MAX);
        let slots = self.fleet.workers.len() * SLOTS;
        let mut wanted: Vec<(Expected, Invocation<AnyTask>)> = Vec::new();
        // Not those are tested here that happen to be beside one that ends its process.
        let patient = |invocation: Invocation<AnyTask>| invocation.max_deliveries(u8::MAX);
        wanted.extend((0..slots).map(|_| (Expected::Succeeds, patient(block::with(lease).erased()))));
        wanted.extend((0..4).map(|_| (Expected::Fails, patient(panics::with().erased()))));
        wanted.extend((0..2).map(|_| (Expected::Fails, patient(hangs::with().erased()))));
        self.wait_for_all(wanted).await;
        // Alone, since it takes the others of its process with it.
        self.wait_for_all(vec![(Expected::Crashes, aborts::with().erased())]).await;
    }

    async fn wait_for_all(&mut self, wanted: Vec<(Expected, Invocation<AnyTask>)>) {
        let mut running: Vec<(Expected, TaskHandle<AnyTask>)> = Vec::new();
        for (expected, invocation) in wanted {
            match self.observer.enqueue(invocation).await {
                Ok(handle) => running.push((expected, handle)),
                Err(error) => self.misbehaved.push(error.to_string()),
            }
        }
        let begun = Instant::now();
        while let Some((expected, handle)) = running.pop() {
            self.fleet.replace_ended();
            match handle.snapshot().await {
                Ok(Some(snapshot)) if snapshot.state.is_final() => {
                    if !expected.is_met_by(&snapshot) {
                        self.misbehaved.push(format!("{}: {expected:?}, and it is {snapshot:?}", handle.id()));
                    }
                }
                found if begun.elapsed() > LONG => {
                    self.misbehaved.push(format!("{}: {expected:?}, and after {LONG:?} it is {found:?}", handle.id()));
                }
                _ => {
                    running.insert(0, (expected, handle));
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }
}
