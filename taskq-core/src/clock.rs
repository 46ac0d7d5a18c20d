//! The only place that reads the time, sleeps, and spawns named loops.
//!
//! Everything else takes a [`Clock`], so that worker, sweeper and client run unchanged under a simulated time.

mod simulation;

use std::{
    fmt,
    future::Future,
    sync::{Arc, OnceLock},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use crate::retry::scramble;
pub use simulation::{Process, Simulation};
use simulation::{SimulatedProcess, SimulatedSleep, Tracked};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The point `millis` milliseconds after 1970.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// How long it is from `earlier` to this; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self::default() + after,
            Err(before) => Self(-i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX)),
        }
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// Where time comes from: the machine, or a [`Simulation`].
#[derive(Clone, Default)]
pub struct Clock(Option<Arc<SimulatedProcess>>);

/// The bound passed before the future was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that stands still until its [`Simulation`] is told to advance.
    pub fn simulated(start: Timestamp) -> (Self, Simulation) {
        let simulation = Simulation::starting_at(start);
        (simulation.process().clock(), simulation)
    }

    /// Whether its time is simulated.
    pub fn is_simulated(&self) -> bool {
        self.0.is_some()
    }

    /// The wall time.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Some(process) => process.now(),
            None => SystemTime::now().into(),
        }
    }

    /// Time that never goes backwards, from an arbitrary start; for measuring durations within this process.
    pub fn monotonic(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        match &self.0 {
            Some(process) => process.elapsed(),
            None => START.get_or_init(Instant::now).elapsed(),
        }
    }

    /// Returns after `duration`.
    pub async fn sleep(&self, duration: Duration) {
        match &self.0 {
            Some(process) => SimulatedSleep::new(process, duration).await,
            None => tokio::time::sleep(duration).await,
        }
    }

    /// The future's output, unless `bound` passes first; then the future is dropped.
    pub async fn timeout<F: Future>(&self, bound: Duration, future: F) -> Result<F::Output, Elapsed> {
        match &self.0 {
            None => tokio::time::timeout(bound, future).await.map_err(|_| Elapsed),
            Some(_) => tokio::select! {
                biased;
                output = future => Ok(output),
                () = self.sleep(bound) => Err(Elapsed),
            },
        }
    }

    /// Starts a loop or an attempt on the present tokio runtime. Whoever calls it owns the handle and awaits it.
    ///
    /// `name` is what it is called in a debugger or trace.
    pub fn spawn<F>(&self, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        // The name costs nothing here; it documents the loop at its only point of birth.
        let _name = name;
        match &self.0 {
            None => tokio::spawn(future),
            Some(process) => {
                let handle = tokio::spawn(Tracked::new(process, future));
                process.owns(handle.abort_handle());
                handle
            }
        }
    }

    /// Says that something outside the runtime (a thread) is at work until the guard is dropped, so that simulated time
    /// waits for it. Free under the machine's clock.
    pub fn at_work(&self) -> AtWork {
        if let Some(process) = &self.0 {
            process.begin();
        }
        AtWork(self.0.clone())
    }

    /// A number to begin pseudo-random ones with: another one at each call, and in a simulation the same in each run.
    pub fn seed(&self) -> u64 {
        match &self.0 {
            Some(process) => process.seed(),
            None => {
                let (high, low) = uuid::Uuid::now_v7().as_u64_pair();
                scramble(scramble(high) ^ low)
            }
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_simulated() { "Clock(simulated)" } else { "Clock(system)" })
    }
}

/// See [`Clock::at_work`].
#[derive(Debug)]
pub struct AtWork(Option<Arc<SimulatedProcess>>);

impl Drop for AtWork {
    fn drop(&mut self) {
        if let Some(process) = &self.0 {
            process.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn simulated_time_passes_only_when_told_and_wakes_in_order() {
        let (clock, simulation) = Clock::simulated(Timestamp::from_millis(1_000));
        let order = Arc::new(Mutex::new(Vec::new()));
        let sleepers: Vec<_> = [30, 10, 20]
            .into_iter()
            .map(|seconds| {
                let (clock, order) = (clock.clone(), Arc::clone(&order));
                clock.clone().spawn("sleeper", async move {
                    clock.sleep(Duration::from_secs(seconds)).await;
                    order.lock().expect("not poisoned").push((seconds, clock.now().as_millis()));
                })
            })
            .collect();
        simulation.advance(Duration::from_secs(15)).await;
        assert_eq!(*order.lock().expect("not poisoned"), [(10, 11_000)]);
        simulation.advance(Duration::from_secs(15)).await;
        assert_eq!(*order.lock().expect("not poisoned"), [(10, 11_000), (20, 21_000), (30, 31_000)]);
        for sleeper in sleepers {
            sleeper.await.expect("ends");
        }
        assert_eq!(clock.now(), Timestamp::from_millis(31_000));
    }

    #[tokio::test]
    async fn advancing_waits_for_a_thread_at_work() {
        let (clock, simulation) = Clock::simulated(Timestamp::default());
        let (say, heard) = tokio::sync::oneshot::channel();
        let guard = clock.at_work();
        let seen = clock.spawn("listener", heard);
        let thread = std::thread::spawn(move || {
            let _guard = guard;
            say.send(7).expect("listener waits");
        });
        simulation.quiet().await;
        assert_eq!(seen.await.expect("ends").expect("said"), 7);
        thread.join().expect("ends");
    }

    #[tokio::test]
    async fn a_timeout_drops_what_takes_too_long() {
        let (clock, simulation) = Clock::simulated(Timestamp::default());
        let patient = clock.clone();
        let waiting = clock.spawn("waiting", async move {
            patient.timeout(Duration::from_secs(5), std::future::pending::<()>()).await
        });
        simulation.advance(Duration::from_secs(5)).await;
        assert_eq!(waiting.await.expect("ends"), Err(Elapsed));
    }
}
