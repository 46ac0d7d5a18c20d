//! Times that bodies note, a place for each task.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::Notify;

/// One time for each task. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Stamps {
    nanos: Arc<[AtomicU64]>,
    noted: Arc<Notify>,
}

impl Stamps {
    /// For tasks 0 to `tasks - 1`.
    pub(crate) fn new(tasks: u64) -> Self {
        Self { nanos: (0..tasks).map(|_| AtomicU64::new(0)).collect(), noted: Arc::default() }
    }

    /// Notes a time for a task.
    pub(crate) fn note(&self, number: u64, time: Duration) {
        // A time of nothing would read as no time.
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1);
        self.nanos[index(number)].store(nanos, Ordering::Release);
        self.noted.notify_one();
    }

    /// What was noted for a task, if anything.
    pub(crate) fn get(&self, number: u64) -> Option<Duration> {
        match self.nanos[index(number)].load(Ordering::Acquire) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    /// Waits for one task's time. For one who waits at a time.
    pub(crate) async fn of(&self, number: u64) -> Duration {
        loop {
            let noted = self.noted.notified();
            if let Some(time) = self.get(number) {
                return time;
            }
            noted.await;
        }
    }

    /// All that was noted, in the order of the tasks.
    pub(crate) fn all(&self) -> Vec<Duration> {
        (0..self.nanos.len() as u64).filter_map(|number| self.get(number)).collect()
    }
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("there are fewer tasks than bytes of memory")
}

/// The monotonic clock, which all processes of a machine share.
pub(crate) fn monotonic() -> Duration {
    let time = clock_gettime(ClockId::Monotonic);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
