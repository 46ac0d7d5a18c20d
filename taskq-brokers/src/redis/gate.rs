//! Who may connect, and when: while the server is away one connects at a time, and at most two in any second; when it is
//! back, everybody connects at once.
//!
//! ```text
//!         a connection broke, or a connect failed
//!   open -----------------------------------------> shut --.
//!     ^                                               |    | the probe failed: the next one comes after
//!     '------------- one connect (the probe) succeeds-'<---' a pause of 0.25 to 0.75 s, drawn at random
//! ```
//!
//! Everybody else waits for the verdict of the probe: through at once if it is good, its error if it is not. All
//! connections that are opened from one another share one gate, so a program that connects once has one.

use std::{
    future::Future,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use taskq_core::{
    Clock, Error, ErrorKind, Result, WorkerId,
    retry::{fraction, scramble},
};
use tokio::sync::Notify;

/// In any such time at most two connect while the server is away.
const WINDOW: Duration = Duration::from_secs(1);

/// Pauses are at least the first and at most both together: half a second on the average, which is what two a second are,
/// and never so long that a failover takes much longer by them.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_millis(500));

/// A server that has just let somebody in is there: a connection that breaks so soon after does not shut the gate.
const TRUST: Duration = Duration::from_secs(1);

/// Whoever takes longer than this does not keep the others back: its thread may be held up by other work, and a
/// heartbeat on another thread has a lease to renew.
const PROBE: Duration = Duration::from_secs(3);

/// The gate before a server.
#[derive(Debug)]
pub(super) struct Gate {
    clock: Clock,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    is_open: bool,
    opened_at: Option<Duration>,
    /// When the newest two connects began, the newest first.
    begun: [Option<Duration>; 2],
    /// When it is shut: from when on the next one may connect.
    next_from: Duration,
    failures: u64,
    failure: Option<Failure>,
    seed: u64,
}

/// Why the last connect failed.
#[derive(Debug)]
struct Failure {
    kind: ErrorKind,
    operation: &'static str,
    subject: String,
    cause: String,
}

/// The right to connect. Dropped without a verdict it lets the next one try.
struct Turn<'a> {
    gate: &'a Gate,
    is_probe: bool,
}

/// An answer to whoever asks for a turn.
enum Admission<'a> {
    Now(Turn<'a>),
    Later(Duration),
}

impl Gate {
    pub(super) fn new(clock: Clock) -> Self {
        let seed = WorkerId::generate().to_hex().bytes().fold(0, |seed, byte| scramble(seed ^ u64::from(byte)));
        let state = State {
            is_open: true,
            opened_at: None,
            begun: [None; 2],
            next_from: Duration::ZERO,
            failures: 0,
            failure: None,
            seed,
        };
        Self { clock, state: Mutex::new(state), changed: Notify::new() }
    }

    /// Connects when it is this caller's turn. Fails with the probe's error if that fails while the caller waits.
    pub(super) async fn pass<T>(&self, connecting: impl Future<Output = Result<T>>) -> Result<T> {
        let turn = self.turn().await?;
        let answer = connecting.await;
        match &answer {
            Ok(_) => turn.succeeded(),
            Err(error) => turn.failed(error),
        }
        answer
    }

    /// A connection broke: the server may be away. The next one connects alone.
    pub(super) fn doubt(&self) {
        let now = self.clock.monotonic();
        let mut state = self.state();
        if state.is_open && state.opened_at.is_none_or(|at| now >= at + TRUST) {
            state.is_open = false;
            state.next_from = state.earliest(now);
        }
    }

    /// How many connects have failed so far.
    pub(super) fn failures(&self) -> u64 {
        self.state().failures
    }

    /// Returns when more than `seen` connects have failed, with why.
    pub(super) async fn failure_after(&self, seen: u64) -> Error {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Listen before looking, or the failure in between would be missed.
            changed.as_mut().enable();
            if let Some(error) = self.state().error_after(seen) {
                return error;
            }
            changed.await;
        }
    }

    /// A random part of `whole`, another one each time.
    pub(super) fn jitter(&self, whole: Duration) -> Duration {
        fraction(whole, self.state().next_seed())
    }

    async fn turn(&self) -> Result<Turn<'_>> {
        let seen = self.failures();
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let wait = match self.admission(seen)? {
                Admission::Now(turn) => return Ok(turn),
                Admission::Later(wait) => wait,
            };
            tokio::select! {
                () = changed => {}
                () = self.clock.sleep(wait) => {}
            }
        }
    }

    fn admission(&self, seen: u64) -> Result<Admission<'_>> {
        let now = self.clock.monotonic();
        let mut state = self.state();
        if !state.is_open {
            if let Some(error) = state.error_after(seen) {
                return Err(error);
            }
            if now < state.next_from {
                return Ok(Admission::Later(state.next_from - now));
            }
            state.next_from = now + PROBE;
        }
        state.begun = [Some(now), state.begun[0]];
        Ok(Admission::Now(Turn { gate: self, is_probe: !state.is_open }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while holding it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Not before a second has passed since the last but one began.
    fn earliest(&self, now: Duration) -> Duration {
        self.begun[1].map_or(now, |begun| now.max(begun + WINDOW))
    }

    fn error_after(&self, seen: u64) -> Option<Error> {
        let Failure { kind, operation, subject, cause } = self.failure.as_ref().filter(|_| self.failures > seen)?;
        Some(Error::new(*kind, operation, subject).because(cause.clone()))
    }

    fn next_seed(&mut self) -> u64 {
        self.seed = scramble(self.seed.wrapping_add(1));
        self.seed
    }
}

impl Turn<'_> {
    fn succeeded(mut self) {
        self.is_probe = false;
        let now = self.gate.clock.monotonic();
        let mut state = self.gate.state();
        state.is_open = true;
        state.opened_at = Some(now);
        state.failure = None;
        drop(state);
        self.gate.changed.notify_waiters();
    }

    fn failed(mut self, error: &Error) {
        self.is_probe = false;
        let now = self.gate.clock.monotonic();
        let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        let mut state = self.gate.state();
        let pause = PAUSE.0 + fraction(PAUSE.1, state.next_seed());
        state.is_open = false;
        state.next_from = state.earliest(now + pause);
        state.failures += 1;
        let (kind, operation, subject) = (error.kind(), error.operation(), error.subject().to_owned());
        state.failure = Some(Failure { kind, operation, subject, cause });
        drop(state);
        self.gate.changed.notify_waiters();
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.is_probe {
            return;
        }
        // It was given up half-way, which says nothing about the server.
        let now = self.gate.clock.monotonic();
        let mut state = self.gate.state();
        if !state.is_open {
            state.next_from = state.earliest(now);
        }
        drop(state);
        self.gate.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    };

    use taskq_core::Timestamp;

    use super::*;

    /// A server that is there or not, and knows who knocked when.
    #[derive(Default)]
    struct Server {
        is_there: AtomicBool,
        inside: AtomicUsize,
        knocks: Mutex<Vec<Duration>>,
    }

    impl Server {
        async fn knock(&self, clock: &Clock) -> Result<()> {
            self.knocks.lock().expect("not poisoned").push(clock.monotonic());
            let beside = self.inside.fetch_add(1, Ordering::SeqCst);
            clock.sleep(Duration::from_millis(5)).await;
            self.inside.fetch_sub(1, Ordering::SeqCst);
            match self.is_there.load(Ordering::SeqCst) {
                true => Ok(()),
                false => {
                    assert_eq!(beside, 0, "nobody else connects meanwhile");
                    Err(Error::new(ErrorKind::Unavailable, "connect to", "the server").because("nobody listens"))
                }
            }
        }

        fn knocks(&self) -> Vec<Duration> {
            self.knocks.lock().expect("not poisoned").clone()
        }
    }

    #[tokio::test]
    async fn one_at_a_time_and_two_a_second_knock_while_the_server_is_away_and_then_all_at_once() {
        let (clock, simulation) = Clock::simulated(Timestamp::default());
        let (gate, server) = (Arc::new(Gate::new(clock.clone())), Arc::new(Server::default()));
        gate.doubt();
        let callers: Vec<_> = (0..50)
            .map(|_| {
                let (clock, gate, server) = (clock.clone(), Arc::clone(&gate), Arc::clone(&server));
                clock.clone().spawn("caller", async move {
                    while let Err(error) = gate.pass(server.knock(&clock)).await {
                        assert!(error.to_string().ends_with("nobody listens"), "{error}");
                    }
                })
            })
            .collect();
        simulation.advance(Duration::from_secs(60)).await;
        let knocks = server.knocks();
        assert!((50..=121).contains(&knocks.len()), "{} in a minute", knocks.len());
        assert!(knocks.windows(3).all(|three| three[2] - three[0] >= WINDOW), "{knocks:?}");
        let pauses: std::collections::HashSet<_> = knocks.windows(2).map(|two| two[1] - two[0]).collect();
        assert!(pauses.len() > 10, "the pauses are drawn at random: {pauses:?}");

        server.is_there.store(true, Ordering::SeqCst);
        simulation.advance(WINDOW * 2).await;
        let knocks = server.knocks().split_off(knocks.len());
        assert_eq!(knocks.len(), 50);
        assert!(knocks[49] - knocks[1] < Duration::from_millis(1), "all at once behind the first: {knocks:?}");
        for caller in callers {
            caller.await.expect("ends");
        }
    }

    #[tokio::test]
    async fn a_probe_that_is_given_up_lets_the_next_one_try() {
        let (clock, simulation) = Clock::simulated(Timestamp::default());
        let (gate, server) = (Gate::new(clock.clone()), Server::default());
        gate.doubt();
        let given_up = gate.pass(std::future::pending::<Result<()>>());
        assert!(clock.timeout(Duration::ZERO, given_up).await.is_err());
        server.is_there.store(true, Ordering::SeqCst);
        let gate = Arc::new(gate);
        let next = clock.spawn("next", {
            let (gate, clock) = (Arc::clone(&gate), clock.clone());
            async move { gate.pass(server.knock(&clock)).await }
        });
        simulation.advance(Duration::from_millis(10)).await;
        next.await.expect("ends").expect("connects");
    }

    #[tokio::test]
    async fn a_connection_that_breaks_right_after_another_was_let_in_shuts_nobody_out() {
        let (clock, simulation) = Clock::simulated(Timestamp::default());
        let gate = Gate::new(clock.clone());
        gate.pass(async { Ok(()) }).await.expect("connects");
        gate.doubt();
        assert!(gate.state().is_open);
        simulation.advance(TRUST).await;
        gate.doubt();
        assert!(!gate.state().is_open);
    }
}
