//! Somebody who sends PINGs all the time, and so notices when the server is busy with something long.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use bench_driver::Outcome;
use taskq_test_support::RedisServer;

/// Between two PINGs, so that the PINGs are no load.
const PAUSE: Duration = Duration::from_micros(500);

/// Sends PINGs until it is asked what it saw.
pub(crate) struct Pinger {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<std::io::Result<Duration>>,
}

impl Pinger {
    pub(crate) fn start(server: &RedisServer) -> Outcome<Self> {
        let mut connection = server.connect()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut longest = Duration::ZERO;
            while !stopped.load(Ordering::Relaxed) {
                let begun = Instant::now();
                connection.command(&["PING"])?;
                longest = longest.max(begun.elapsed());
                std::thread::sleep(PAUSE);
            }
            Ok(longest)
        });
        Ok(Self { stop, thread })
    }

    /// The longest round trip that it saw.
    pub(crate) fn longest(self) -> Outcome<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        let longest = self.thread.join().map_err(|_| "the thread that sends PINGs panicked")?;
        Ok(longest?)
    }
}
