//! Says when tasks arrive, at instants that are fixed beforehand.

use std::time::Duration;

use tokio::sync::watch;

use crate::stamps::monotonic;

/// Between two looks at the schedule. Less would take a good part of a processor from what is measured.
const LEAST_PAUSE: Duration = Duration::from_micros(50);

/// Which task arrives when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    begin: Duration,
    rate: f64,
}

impl Schedule {
    /// So many tasks a second, evenly, soon.
    pub(crate) fn evenly(rate: f64) -> Self {
        Self { begin: monotonic() + Duration::from_millis(20), rate }
    }

    /// When a task arrives, by the monotonic clock.
    pub(crate) fn at(&self, number: u64) -> Duration {
        self.begin + Duration::from_secs_f64(number as f64 / self.rate)
    }
}

/// Tells how many of `tasks` have arrived. From a thread, since the runtime's timers count whole milliseconds.
pub(crate) fn arrivals(schedule: Schedule, tasks: u64) -> watch::Receiver<u64> {
    let (tell, told) = watch::channel(0);
    std::thread::spawn(move || {
        wake_precisely();
        let mut arrived = 0;
        while arrived < tasks {
            let pause = schedule.at(arrived).saturating_sub(monotonic());
            std::thread::sleep(pause.max(LEAST_PAUSE));
            let now = monotonic();
            while arrived < tasks && schedule.at(arrived) <= now {
                arrived += 1;
            }
            // With nobody to tell, the measurement is over.
            if tell.send(arrived).is_err() {
                return;
            }
        }
    });
    told
}

/// Linux lets sleepers sleep 50 microseconds longer unless they ask.
fn wake_precisely() {
    #[cfg(target_os = "linux")]
    // Where it is refused, arrivals are seen a little later, which counts as latency and hides none.
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
}
