//! What a stretch of work took: time on the wall, and time of this process on a processor.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// A stretch of work under way.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    wall: Instant,
    processor: Duration,
}

impl Spent {
    /// Begins now.
    #[expect(clippy::new_without_default, reason = "it begins when it is made, which a default does not say")]
    pub fn new() -> Self {
        Self { wall: Instant::now(), processor: processor_time() }
    }

    /// Things a second since the beginning.
    pub fn rate(&self, count: u64) -> f64 {
        count as f64 / self.wall.elapsed().as_secs_f64()
    }

    /// Seconds since the beginning.
    pub fn seconds(&self) -> f64 {
        self.wall.elapsed().as_secs_f64()
    }

    /// Microseconds of this process on a processor since the beginning, for each thing.
    pub fn processor_micros_each(&self, count: u64) -> f64 {
        (processor_time() - self.processor).as_secs_f64() * 1e6 / count as f64
    }
}

/// User and system time of all threads of this process.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Memory of this process that is in use at present, in KiB, by `/proc`; `None` on systems without it.
pub fn resident_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}
