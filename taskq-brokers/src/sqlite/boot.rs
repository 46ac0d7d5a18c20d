//! The time that leases live in: since the machine started, sleep included. The only clock read outside `clock.rs`.
//!
//! A jump of the wall clock neither ends nor prolongs a lease, and a lease of another boot is over: whoever held it is
//! gone. Under a simulated clock both are the simulated time.

use rustix::time::{ClockId, clock_gettime};
use taskq_core::clock::Clock;

/// Counts time that passes during sleep too; on macOS the monotonic clock does.
#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// One run of this machine, and the time within it.
#[derive(Clone, Debug)]
pub(super) struct Boot {
    id: String,
    clock: Clock,
}

impl Boot {
    /// The present run.
    pub(super) fn present(clock: &Clock) -> Self {
        let id = if clock.is_simulated() { "simulated".to_owned() } else { machine_boot_id() };
        Self { id, clock: clock.clone() }
    }

    /// What no other run has.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Milliseconds since the machine started.
    pub(super) fn millis(&self) -> i64 {
        if self.clock.is_simulated() {
            return self.clock.now().as_millis();
        }
        let since_start = clock_gettime(CLOCK);
        since_start.tv_sec.saturating_mul(1_000).saturating_add(since_start.tv_nsec / 1_000_000)
    }
}

/// Without one, `unknown`: then a lease of an earlier boot is only noticed by its end lying too far in the future.
#[cfg(target_os = "linux")]
fn machine_boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    if id.trim().is_empty() { "unknown".to_owned() } else { id.trim().to_owned() }
}

/// macOS tells it through `sysctl`; read once a connection.
#[cfg(not(target_os = "linux"))]
fn machine_boot_id() -> String {
    let told = std::process::Command::new("/usr/sbin/sysctl").args(["-n", "kern.bootsessionuuid"]).output();
    let id = told.ok().and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    if id.trim().is_empty() { "unknown".to_owned() } else { id.trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_time_goes_on_and_its_id_stays() {
        let boot = Boot::present(&Clock::system());
        let earlier = boot.millis();
        assert!(earlier > 0 && boot.millis() >= earlier);
        assert_eq!(boot.id(), Boot::present(&Clock::system()).id());
    }
}
