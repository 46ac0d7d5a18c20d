//! The only place that reads the time, sleeps, and spawns named loops.
//!
//! Everything else takes a [`Clock`], so that worker, sweeper and client run unchanged under a simulated time.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use tokio::{sync::Notify, task::JoinHandle};

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
pub struct Clock(Option<Arc<Simulated>>);

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
        let simulated = Arc::new(Simulated { start, ..Simulated::default() });
        (Self(Some(Arc::clone(&simulated))), Simulation(simulated))
    }

    /// Whether its time is simulated.
    pub fn is_simulated(&self) -> bool {
        self.0.is_some()
    }

    /// The wall time.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Some(simulated) => simulated.start + simulated.elapsed(),
            None => SystemTime::now().into(),
        }
    }

    /// Time that never goes backwards, from an arbitrary start; for measuring durations within this process.
    pub fn monotonic(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        match &self.0 {
            Some(simulated) => simulated.elapsed(),
            None => START.get_or_init(Instant::now).elapsed(),
        }
    }

    /// Returns after `duration`.
    pub async fn sleep(&self, duration: Duration) {
        match &self.0 {
            Some(simulated) => SimulatedSleep::new(simulated, duration).await,
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
            Some(simulated) => tokio::spawn(Tracked::new(simulated, future)),
        }
    }

    /// Says that something outside the runtime (a thread) is at work until the guard is dropped, so that simulated time
    /// waits for it. Free under the machine's clock.
    pub fn at_work(&self) -> AtWork {
        if let Some(simulated) = &self.0 {
            simulated.begin();
        }
        AtWork(self.0.clone())
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_simulated() { "Clock(simulated)" } else { "Clock(system)" })
    }
}

/// See [`Clock::at_work`].
#[derive(Debug)]
pub struct AtWork(Option<Arc<Simulated>>);

impl Drop for AtWork {
    fn drop(&mut self) {
        if let Some(simulated) = &self.0 {
            simulated.end();
        }
    }
}

/// Moves a simulated clock.
#[derive(Clone, Debug)]
pub struct Simulation(Arc<Simulated>);

impl Simulation {
    /// Returns when every loop and attempt spawned through the clock waits for something.
    pub async fn quiet(&self) {
        loop {
            let became_quiet = self.0.became_quiet.notified();
            tokio::pin!(became_quiet);
            // Register before looking, or the last task could finish in between and nobody would be told.
            became_quiet.as_mut().enable();
            if self.0.at_work.load(Ordering::SeqCst) == 0 {
                return;
            }
            became_quiet.await;
        }
    }

    /// Lets `duration` pass, stopping at every timer on the way so that what it wakes runs at its own time.
    pub async fn advance(&self, duration: Duration) {
        let target = self.0.elapsed() + duration;
        loop {
            self.quiet().await;
            let Some(waker) = self.0.step_to_next_timer(target) else {
                return;
            };
            waker.wake();
        }
    }

    /// How long it is until the next timer, if there is one.
    pub fn next_timer(&self) -> Option<Duration> {
        let timeline = self.0.timeline();
        timeline.timers.first_key_value().map(|((due, _), _)| due.saturating_sub(timeline.elapsed))
    }
}

/// The state of a simulated clock: its time, its timers, and how many of its futures can run right now.
#[derive(Debug, Default)]
struct Simulated {
    start: Timestamp,
    timeline: Mutex<Timeline>,
    at_work: AtomicUsize,
    became_quiet: Notify,
}

#[derive(Debug, Default)]
struct Timeline {
    elapsed: Duration,
    next_timer: u64,
    timers: BTreeMap<(Duration, u64), Waker>,
}

impl Simulated {
    fn timeline(&self) -> std::sync::MutexGuard<'_, Timeline> {
        // No code panics while holding it, and its content is valid at every step.
        self.timeline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn elapsed(&self) -> Duration {
        self.timeline().elapsed
    }

    /// Moves to the next timer up to `target` and takes its waker; without one, moves to `target`.
    fn step_to_next_timer(&self, target: Duration) -> Option<Waker> {
        let mut timeline = self.timeline();
        match timeline.timers.first_key_value().map(|((due, _), _)| *due) {
            Some(due) if due <= target => {
                timeline.elapsed = timeline.elapsed.max(due);
                timeline.timers.pop_first().map(|(_, waker)| waker)
            }
            Some(_) | None => {
                timeline.elapsed = target;
                None
            }
        }
    }

    fn begin(&self) {
        self.at_work.fetch_add(1, Ordering::SeqCst);
    }

    fn end(&self) {
        if self.at_work.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.became_quiet.notify_waiters();
        }
    }
}

/// A timer of a simulated clock.
struct SimulatedSleep {
    clock: Arc<Simulated>,
    due: Duration,
    number: u64,
}

impl SimulatedSleep {
    fn new(clock: &Arc<Simulated>, duration: Duration) -> Self {
        let mut timeline = clock.timeline();
        let number = timeline.next_timer;
        timeline.next_timer += 1;
        let due = timeline.elapsed.saturating_add(duration);
        Self { clock: Arc::clone(clock), due, number }
    }
}

impl Future for SimulatedSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut timeline = self.clock.timeline();
        if timeline.elapsed >= self.due {
            timeline.timers.remove(&(self.due, self.number));
            return Poll::Ready(());
        }
        timeline.timers.insert((self.due, self.number), context.waker().clone());
        Poll::Pending
    }
}

impl Drop for SimulatedSleep {
    fn drop(&mut self) {
        self.clock.timeline().timers.remove(&(self.due, self.number));
    }
}

/// A future that counts as at work from being woken until it has been polled.
///
/// A wake-up counts in the very call that wakes, while the waker itself still counts; so the number of futures at work
/// cannot pass through zero while one of them hands over to another.
struct Tracked<F> {
    future: Pin<Box<F>>,
    wakeups: Arc<Wakeups>,
}

struct Wakeups {
    clock: Arc<Simulated>,
    woken: AtomicBool,
    ended: AtomicBool,
    runtime: Mutex<Option<Waker>>,
}

impl Wakeups {
    fn mark_woken(&self) {
        if !self.woken.swap(true, Ordering::SeqCst) {
            self.clock.begin();
        }
    }

    fn unmark_woken(&self) {
        if self.woken.swap(false, Ordering::SeqCst) {
            self.clock.end();
        }
    }
}

impl Wake for Wakeups {
    fn wake(self: Arc<Self>) {
        if self.ended.load(Ordering::SeqCst) {
            return;
        }
        self.mark_woken();
        if self.ended.load(Ordering::SeqCst) {
            // It was dropped in between: nobody will poll it, so nobody else takes the mark back.
            return self.unmark_woken();
        }
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(runtime) = runtime {
            runtime.wake();
        }
    }
}

impl<F: Future> Tracked<F> {
    fn new(clock: &Arc<Simulated>, future: F) -> Self {
        let wakeups = Wakeups {
            clock: Arc::clone(clock),
            woken: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            runtime: Mutex::new(None),
        };
        // A new future is due for its first poll.
        wakeups.mark_woken();
        Self { future: Box::pin(future), wakeups: Arc::new(wakeups) }
    }
}

impl<F: Future> Future for Tracked<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let wakeups = Arc::clone(&self.wakeups);
        *wakeups.runtime.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
        // Polling counts by itself, so that a wake-up during the poll is a second one and not lost.
        wakeups.clock.begin();
        wakeups.unmark_woken();
        let waker = Waker::from(Arc::clone(&wakeups));
        let polled = self.future.as_mut().poll(&mut Context::from_waker(&waker));
        wakeups.clock.end();
        polled
    }
}

impl<F> Drop for Tracked<F> {
    fn drop(&mut self) {
        self.wakeups.ended.store(true, Ordering::SeqCst);
        self.wakeups.unmark_woken();
    }
}

#[cfg(test)]
mod tests {
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
