//! Simulated time, and the simulated processes that live in it.
//!
//! A process is whoever has one clock: its loops and attempts can be stopped and continued like with SIGSTOP and SIGCONT,
//! ended like with SIGKILL, and its wall clock can be wrong. All of it happens on one thread and in an order that only the
//! seed decides.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use tokio::{sync::Notify, task::AbortHandle};

use super::{Clock, Timestamp};
use crate::retry::scramble;

/// A process keeps the handles of ended loops until there are this many, at least.
const ENDED_KEPT: usize = 64;

/// Moves simulated time, and makes processes that live in it.
#[derive(Clone, Debug)]
pub struct Simulation(Arc<Timeline>);

impl Simulation {
    /// A simulation of no particular seed.
    pub fn starting_at(start: Timestamp) -> Self {
        Self::seeded(start, 0)
    }

    /// A simulation in which [`Clock::seed`] gives numbers that come from this one.
    pub fn seeded(start: Timestamp, seed: u64) -> Self {
        let timeline = Timeline {
            start,
            seeds: AtomicU64::new(seed),
            present: Mutex::default(),
            at_work: AtomicUsize::new(0),
            became_quiet: Notify::new(),
        };
        Self(Arc::new(timeline))
    }

    /// A new process.
    pub fn process(&self) -> Process {
        let process = SimulatedProcess {
            timeline: Arc::clone(&self.0),
            skew_millis: AtomicI64::new(0),
            life: Mutex::new(Life::Running(Vec::new())),
        };
        Process(Arc::new(process))
    }

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

    /// Lets as much time pass as `future` needs, and returns its output. Time that nothing waits for passes at once.
    ///
    /// # Panics
    /// If the future waits and no timer is left that could wake anybody: it would wait for ever.
    pub async fn run<F: Future>(&self, future: F) -> F::Output {
        let process = self.process();
        let future = Tracked::new(&process.0, future);
        let pump = async {
            loop {
                self.quiet().await;
                let next = self.next_timer().expect("the simulated future waits for something that will never happen");
                let target = self.0.elapsed() + next;
                if let Some(waker) = self.0.step_to_next_timer(target) {
                    waker.wake();
                }
            }
        };
        tokio::select! {
            biased;
            output = future => output,
            () = pump => unreachable!("the pump goes on"),
        }
    }

    /// How long it is until the next timer, if there is one.
    pub fn next_timer(&self) -> Option<Duration> {
        let present = self.0.present();
        present.timers.first_key_value().map(|((due, _), _)| due.saturating_sub(present.elapsed))
    }

    /// How much time has passed since the simulation began.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A simulated process: what runs by its clock. Dropping this changes nothing.
#[derive(Clone)]
pub struct Process(Arc<SimulatedProcess>);

impl Process {
    /// Its clock. What is spawned through it belongs to the process.
    pub fn clock(&self) -> Clock {
        Clock(Some(Arc::clone(&self.0)))
    }

    /// Stops it where it is, like SIGSTOP: nothing of it runs until it is continued.
    pub fn stop(&self) {
        let mut life = self.0.life();
        if let Life::Running(owned) = &mut *life {
            *life = Life::Stopped { owned: std::mem::take(owned), woken: Vec::new() };
        }
    }

    /// Continues it, like SIGCONT: it finds that time has passed.
    pub fn resume(&self) {
        let mut life = self.0.life();
        if let Life::Stopped { owned, woken } = &mut *life {
            let woken = std::mem::take(woken);
            *life = Life::Running(std::mem::take(owned));
            drop(life);
            woken.into_iter().for_each(|woken| woken.wake());
        }
    }

    /// Ends it, like SIGKILL: whatever it was doing is left where it is.
    pub fn kill(&self) {
        let life = std::mem::replace(&mut *self.0.life(), Life::Ended);
        match life {
            Life::Running(owned) | Life::Stopped { owned, .. } => owned.iter().for_each(AbortHandle::abort),
            Life::Ended => {}
        }
    }

    /// Whether it runs: not stopped and not ended.
    pub fn is_running(&self) -> bool {
        matches!(*self.0.life(), Life::Running(_))
    }

    /// Whether it was ended.
    pub fn is_ended(&self) -> bool {
        matches!(*self.0.life(), Life::Ended)
    }

    /// Sets its wall clock this many milliseconds before or behind the simulation's. Its monotonic time goes on.
    pub fn skew(&self, millis: i64) {
        self.0.skew_millis.store(millis, Ordering::SeqCst);
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Process")
    }
}

/// What all processes of a simulation share: the time, the timers, and how many futures can run right now.
#[derive(Debug)]
struct Timeline {
    start: Timestamp,
    seeds: AtomicU64,
    present: Mutex<Present>,
    at_work: AtomicUsize,
    became_quiet: Notify,
}

#[derive(Debug, Default)]
struct Present {
    elapsed: Duration,
    next_timer: u64,
    timers: BTreeMap<(Duration, u64), Waker>,
}

impl Timeline {
    fn present(&self) -> MutexGuard<'_, Present> {
        // No code panics while holding it, and its content is valid at every step.
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn elapsed(&self) -> Duration {
        self.present().elapsed
    }

    /// Moves to the next timer up to `target` and takes its waker; without one, moves to `target`.
    fn step_to_next_timer(&self, target: Duration) -> Option<Waker> {
        let mut present = self.present();
        match present.timers.first_key_value().map(|((due, _), _)| *due) {
            Some(due) if due <= target => {
                present.elapsed = present.elapsed.max(due);
                present.timers.pop_first().map(|(_, waker)| waker)
            }
            Some(_) | None => {
                present.elapsed = target;
                None
            }
        }
    }
}

/// What a clock knows of its process.
#[derive(Debug)]
pub(super) struct SimulatedProcess {
    timeline: Arc<Timeline>,
    skew_millis: AtomicI64,
    life: Mutex<Life>,
}

/// With what belongs to the process, and what was woken while it was stopped.
#[derive(Debug)]
enum Life {
    Running(Vec<AbortHandle>),
    Stopped { owned: Vec<AbortHandle>, woken: Vec<Arc<Wakeups>> },
    Ended,
}

impl SimulatedProcess {
    fn life(&self) -> MutexGuard<'_, Life> {
        // No code panics while holding it.
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Timestamp {
        let skewed = self.timeline.start.as_millis().saturating_add(self.skew_millis.load(Ordering::SeqCst));
        Timestamp::from_millis(skewed) + self.elapsed()
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.timeline.elapsed()
    }

    pub(super) fn seed(&self) -> u64 {
        scramble(self.timeline.seeds.fetch_add(1, Ordering::SeqCst))
    }

    pub(super) fn begin(&self) {
        self.timeline.at_work.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn end(&self) {
        if self.timeline.at_work.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.timeline.became_quiet.notify_waiters();
        }
    }

    /// From now on this ends with the process.
    pub(super) fn owns(&self, handle: AbortHandle) {
        match &mut *self.life() {
            Life::Running(owned) | Life::Stopped { owned, .. } => {
                if owned.len() >= ENDED_KEPT && owned.len().is_power_of_two() {
                    owned.retain(|handle| !handle.is_finished());
                }
                owned.push(handle);
            }
            Life::Ended => handle.abort(),
        }
    }

    /// Whether what was woken may run now; if not, a stopped process remembers it.
    fn may_run(&self, wakeups: &Arc<Wakeups>) -> bool {
        match &mut *self.life() {
            Life::Running(_) => true,
            Life::Stopped { woken, .. } => {
                woken.push(Arc::clone(wakeups));
                false
            }
            Life::Ended => false,
        }
    }
}

/// A timer of a simulated clock.
pub(super) struct SimulatedSleep {
    timeline: Arc<Timeline>,
    due: Duration,
    number: u64,
}

impl SimulatedSleep {
    pub(super) fn new(process: &SimulatedProcess, duration: Duration) -> Self {
        let mut present = process.timeline.present();
        let number = present.next_timer;
        present.next_timer += 1;
        let due = present.elapsed.saturating_add(duration);
        Self { timeline: Arc::clone(&process.timeline), due, number }
    }
}

impl Future for SimulatedSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut present = self.timeline.present();
        if present.elapsed >= self.due {
            present.timers.remove(&(self.due, self.number));
            return Poll::Ready(());
        }
        present.timers.insert((self.due, self.number), context.waker().clone());
        Poll::Pending
    }
}

impl Drop for SimulatedSleep {
    fn drop(&mut self) {
        self.timeline.present().timers.remove(&(self.due, self.number));
    }
}

/// A future that counts as at work from being woken until it has been polled.
///
/// A wake-up counts in the very call that wakes, while the waker itself still counts; so the number of futures at work
/// cannot pass through zero while one of them hands over to another.
pub(super) struct Tracked<F> {
    future: Pin<Box<F>>,
    wakeups: Arc<Wakeups>,
}

struct Wakeups {
    process: Arc<SimulatedProcess>,
    woken: AtomicBool,
    ended: AtomicBool,
    runtime: Mutex<Option<Waker>>,
}

impl fmt::Debug for Wakeups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wakeups")
    }
}

impl Wakeups {
    fn mark_woken(&self) {
        if !self.woken.swap(true, Ordering::SeqCst) {
            self.process.begin();
        }
    }

    fn unmark_woken(&self) {
        if self.woken.swap(false, Ordering::SeqCst) {
            self.process.end();
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
    pub(super) fn new(process: &Arc<SimulatedProcess>, future: F) -> Self {
        let wakeups = Wakeups {
            process: Arc::clone(process),
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
        if !wakeups.process.may_run(&wakeups) {
            wakeups.unmark_woken();
            return Poll::Pending;
        }
        // Polling counts by itself, so that a wake-up during the poll is a second one and not lost.
        wakeups.process.begin();
        wakeups.unmark_woken();
        let waker = Waker::from(Arc::clone(&wakeups));
        let polled = self.future.as_mut().poll(&mut Context::from_waker(&waker));
        wakeups.process.end();
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

    const SECOND: Duration = Duration::from_secs(1);

    /// Notes each second that passes, by its own clock.
    fn ticker(process: &Process) -> Arc<Mutex<Vec<i64>>> {
        let (clock, ticks) = (process.clock(), Arc::new(Mutex::new(Vec::new())));
        let noted = Arc::clone(&ticks);
        process.clock().spawn("ticker", async move {
            loop {
                clock.sleep(SECOND).await;
                noted.lock().expect("not poisoned").push(clock.now().as_millis());
            }
        });
        ticks
    }

    #[tokio::test]
    async fn a_stopped_process_finds_that_time_has_passed_and_an_ended_one_finds_nothing() {
        let simulation = Simulation::starting_at(Timestamp::default());
        let (stopped, killed, skewed) = (simulation.process(), simulation.process(), simulation.process());
        let seen = [&stopped, &killed, &skewed].map(ticker);
        simulation.advance(SECOND * 2).await;
        stopped.stop();
        killed.kill();
        skewed.skew(-1_500);
        simulation.advance(SECOND * 3).await;
        stopped.resume();
        simulation.advance(SECOND).await;
        let seen = seen.map(|ticks| ticks.lock().expect("not poisoned").clone());
        assert_eq!(seen[0], [1_000, 2_000, 5_000, 6_000]);
        assert_eq!(seen[1], [1_000, 2_000]);
        assert_eq!(seen[2], [1_000, 2_000, 1_500, 2_500, 3_500, 4_500]);
        assert!(stopped.is_running() && killed.is_ended());
        killed.resume();
        assert!(killed.is_ended());
    }

    #[tokio::test]
    async fn what_an_ended_process_begins_does_not_run() {
        let simulation = Simulation::starting_at(Timestamp::default());
        let process = simulation.process();
        process.kill();
        let late = process.clock().spawn("late", async { panic!("runs") });
        simulation.advance(SECOND).await;
        assert!(late.await.expect_err("is ended").is_cancelled());
    }

    #[tokio::test]
    async fn running_a_future_lets_just_enough_time_pass() {
        let simulation = Simulation::starting_at(Timestamp::default());
        let (process, waiter) = (simulation.process(), simulation.process().clock());
        let ticks = ticker(&process);
        let slept = simulation.run(async { waiter.sleep(SECOND * 3_600).await }).await;
        assert_eq!((slept, simulation.elapsed()), ((), SECOND * 3_600));
        assert!(ticks.lock().expect("not poisoned").len() >= 3_599);
    }

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let numbers = |seed| {
            let clock = Simulation::seeded(Timestamp::default(), seed).process().clock();
            [clock.seed(), clock.seed()]
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
        assert_ne!(Clock::system().seed(), Clock::system().seed());
    }
}
