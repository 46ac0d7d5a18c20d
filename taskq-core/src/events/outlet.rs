//! [`Outlet`]: what a process has to tell, on its way to the broker, in the background.
//!
//! The promise: telling delays nobody and fails for nobody. Whoever tells puts events into a bounded buffer; when that is full
//! it only counts. The buffer is emptied once an interval, so its size is also how many events there are in an interval, and
//! a process that runs hundreds of thousands of tasks a second pays for a few hundred of them.

use std::{
    fmt, mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::{sync::Notify, task::JoinHandle};

use super::{Event, Events, What};
use crate::{
    clock::Clock,
    error::{Error, ErrorKind, Result},
    limits,
};

/// Where a process tells what happens. Its loop ends with the last connection that has it.
pub struct Outlet {
    inner: Arc<Inner>,
}

/// What the loop shares with those who tell.
struct Inner {
    events: Arc<dyn Events>,
    clock: Clock,
    waiting: Mutex<Waiting>,
    /// Whether there is no room for more events of tasks: then nobody needs to look at the clock, nor to take the lock.
    is_full: AtomicBool,
    /// Events that were left out since that was last told.
    left_out: AtomicU64,
    arrived: Notify,
    is_over: AtomicBool,
    over: Notify,
    /// One publishes at a time: the loop, or whoever cannot wait for it.
    turn: tokio::sync::Mutex<Trouble>,
}

#[derive(Default)]
struct Waiting {
    events: Vec<Event>,
    running: Option<JoinHandle<()>>,
}

/// Whether the last attempt to publish has failed, which is logged once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    No,
    Yes,
}

impl Outlet {
    pub(crate) fn new(events: Arc<dyn Events>, clock: Clock) -> Self {
        Self {
            inner: Arc::new(Inner {
                events,
                clock,
                waiting: Mutex::default(),
                is_full: AtomicBool::new(false),
                left_out: AtomicU64::new(0),
                arrived: Notify::new(),
                is_over: AtomicBool::new(false),
                over: Notify::new(),
                turn: tokio::sync::Mutex::new(Trouble::No),
            }),
        }
    }

    /// Starts the loop on the present runtime, unless it runs. Telling does so too; whoever tells from a runtime that ends
    /// before the process calls this first, from one that does not.
    pub fn start(&self) {
        self.inner.start(&mut self.inner.waiting());
    }

    /// Tells what is rare and matters; there is room for it also where tasks have none.
    pub fn tell(&self, what: What) {
        let event = Event::new(self.inner.clock.now(), what);
        self.inner.put(1, limits::EVENT_BACKLOG + limits::EVENT_RESERVE, std::iter::once(event));
    }

    /// Tells of tasks. Of those events for which there is no room the iterator is not asked.
    pub fn tell_of_tasks(&self, count: usize, events: impl Iterator<Item = Event>) {
        if self.inner.is_full.load(Ordering::Relaxed) {
            self.inner.left_out.fetch_add(count as u64, Ordering::Relaxed);
            return;
        }
        if count > 0 {
            self.inner.put(count, limits::EVENT_BACKLOG, events);
        }
    }

    /// Tells of one task, if there is room.
    pub fn tell_of_task(&self, what: What) {
        self.tell_of_tasks(1, std::iter::once_with(|| Event::new(self.inner.clock.now(), what)));
    }

    /// Waits until everything that was told before is published or given up: a second at most.
    pub async fn flush(&self) {
        let publish = self.inner.publish();
        if self.inner.clock.timeout(limits::EVENT_PATIENCE * 2, publish).await.is_err() {
            tracing::warn!("events were not published in time");
        }
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.inner.is_over.store(true, Ordering::Release);
        self.inner.over.notify_one();
    }
}

impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlet").finish_non_exhaustive()
    }
}

impl Inner {
    /// Keeps events while there is room, and counts the rest.
    fn put(self: &Arc<Self>, count: usize, room: usize, events: impl Iterator<Item = Event>) {
        let mut waiting = self.waiting();
        let kept = room.saturating_sub(waiting.events.len()).min(count);
        waiting.events.extend(events.take(kept));
        self.start(&mut waiting);
        if kept < count {
            // Under the lock: whoever empties the buffer meanwhile must not be outrun by this, or it would be full for ever.
            self.is_full.store(true, Ordering::Relaxed);
        }
        drop(waiting);
        self.left_out.fetch_add((count - kept) as u64, Ordering::Relaxed);
        self.arrived.notify_one();
    }

    fn start(self: &Arc<Self>, waiting: &mut Waiting) {
        // A runtime takes its loops with it. Where there is none, another call starts the loop: telling never panics.
        let is_running = waiting.running.as_ref().is_some_and(|running| !running.is_finished());
        if !is_running && tokio::runtime::Handle::try_current().is_ok() {
            waiting.running = Some(self.clock.spawn("events", Arc::clone(self).run()));
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics while holding it.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The loop: publish what has arrived, then hold back for the interval. What is left at the end is tried once.
    async fn run(self: Arc<Self>) {
        while !self.is_over.load(Ordering::Acquire) {
            tokio::select! {
                biased;
                () = self.arrived.notified() => {}
                () = self.over.notified() => break,
            }
            let pause = match self.publish().await {
                Trouble::No => limits::EVENT_INTERVAL,
                Trouble::Yes => {
                    // How many were left out is still to be told.
                    self.arrived.notify_one();
                    limits::EVENT_BACKOFF
                }
            };
            tokio::select! {
                biased;
                () = self.clock.sleep(pause) => {}
                () = self.over.notified() => break,
            }
        }
        self.publish().await;
    }

    /// Publishes everything that waits, each event once, and how many were left out. What the broker does not take is left
    /// out too.
    async fn publish(&self) -> Trouble {
        let mut trouble = self.turn.lock().await;
        let events = self.take();
        let mut failure = None;
        for batch in events.chunks(limits::EVENT_BATCH) {
            let answer = match &failure {
                // Not asked again at once: the rest would only be late, too.
                Some(_) => None,
                None => Some(self.publish_batch(batch).await),
            };
            if !matches!(answer, Some(Ok(()))) {
                self.left_out.fetch_add(batch.iter().map(weight).sum(), Ordering::Relaxed);
                failure = failure.or(answer.and_then(Result::err));
            }
        }
        let before = mem::replace(&mut *trouble, if failure.is_some() { Trouble::Yes } else { Trouble::No });
        match failure {
            Some(error) if before == Trouble::No => {
                tracing::warn!(%error, "events cannot be published; they are left out");
            }
            _ => {}
        }
        *trouble
    }

    async fn publish_batch(&self, batch: &[Event]) -> Result<()> {
        let too_late = |_| Err(Error::new(ErrorKind::DeadlineExceeded, "publish", "events"));
        self.clock.timeout(limits::EVENT_PATIENCE, self.events.publish(batch)).await.unwrap_or_else(too_late)
    }

    /// What waits, and, if something was left out, how much.
    fn take(&self) -> Vec<Event> {
        let mut waiting = self.waiting();
        let mut events = mem::take(&mut waiting.events);
        self.is_full.store(false, Ordering::Relaxed);
        drop(waiting);
        let count = self.left_out.swap(0, Ordering::Relaxed);
        if count > 0 {
            events.push(Event::new(self.clock.now(), What::LeftOut { count }));
        }
        events
    }
}

/// How many events are lost with this one.
fn weight(event: &Event) -> u64 {
    match event.what {
        What::LeftOut { count } => count,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use async_trait::async_trait;

    use super::*;
    use crate::{
        clock::{Simulation, Timestamp},
        events::{Cursor, EventPage},
    };

    /// Takes events, is away, or never answers.
    #[derive(Debug, Default)]
    struct Broker {
        taken: Mutex<Vec<Event>>,
        calls: AtomicUsize,
        is_away: AtomicBool,
        is_silent: AtomicBool,
    }

    impl Broker {
        fn taken(&self) -> Vec<Event> {
            mem::take(&mut self.taken.lock().expect("not poisoned"))
        }
    }

    #[async_trait]
    impl Events for Broker {
        async fn publish(&self, events: &[Event]) -> Result<()> {
            super::super::check_batch(events)?;
            self.calls.fetch_add(1, Ordering::SeqCst);
            if self.is_silent.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            if self.is_away.load(Ordering::SeqCst) {
                return Err(Error::new(ErrorKind::Unavailable, "publish", "events"));
            }
            self.taken.lock().expect("not poisoned").extend_from_slice(events);
            Ok(())
        }

        async fn read(&self, _after: Option<Cursor>, _count: usize) -> Result<EventPage> {
            Ok(EventPage::default())
        }

        async fn last(&self) -> Result<Option<Cursor>> {
            Ok(None)
        }
    }

    fn outlet() -> (Outlet, Arc<Broker>, Simulation) {
        let (clock, simulation) = Clock::simulated(Timestamp::from_millis(1_000));
        let broker = Arc::new(Broker::default());
        (Outlet::new(broker.clone(), clock), broker, simulation)
    }

    fn down() -> Event {
        let worker = "01995b1f8c1a7d3e9f00112233445566".parse().expect("valid");
        Event::new(Timestamp::default(), What::WorkerDown { worker })
    }

    fn left_out(events: &[Event]) -> u64 {
        let count = |event: &Event| if let What::LeftOut { count } = event.what { count } else { 0 };
        events.iter().map(count).sum()
    }

    #[tokio::test]
    async fn a_lone_event_goes_at_once_and_many_go_together() {
        let (outlet, broker, simulation) = outlet();
        outlet.tell(down().what);
        simulation.quiet().await;
        assert_eq!(broker.taken().len(), 1);
        (0..150).for_each(|_| outlet.tell_of_tasks(2, [down(), down()].into_iter()));
        simulation.quiet().await;
        assert_eq!(broker.taken(), [], "it holds back");
        simulation.advance(limits::EVENT_INTERVAL).await;
        assert_eq!(broker.taken().len(), 300);
        assert_eq!(broker.calls.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn a_burst_over_the_bound_is_counted_and_leaves_room_for_what_is_rare() {
        let (outlet, broker, simulation) = outlet();
        for _ in 0..1_000 {
            outlet.tell_of_tasks(200, std::iter::repeat_with(down));
        }
        outlet.tell(What::LeftOut { count: 0 });
        simulation.quiet().await;
        let taken = broker.taken();
        assert_eq!(taken.len(), limits::EVENT_BACKLOG + 2);
        assert_eq!(left_out(&taken), 200_000 - limits::EVENT_BACKLOG as u64);
        assert_eq!(taken[limits::EVENT_BACKLOG].what, What::LeftOut { count: 0 });
        outlet.tell_of_tasks(1, std::iter::once_with(down));
        simulation.advance(limits::EVENT_INTERVAL).await;
        assert_eq!(broker.taken(), [down()], "there is room again");
    }

    #[tokio::test]
    async fn what_is_left_out_is_not_even_made() {
        let (outlet, _broker, _simulation) = outlet();
        outlet.tell_of_tasks(limits::EVENT_BACKLOG + 1, std::iter::repeat_with(down));
        outlet.tell_of_tasks(9, std::iter::from_fn(|| panic!("nobody wants it")));
    }

    #[tokio::test]
    async fn a_broker_that_is_away_or_silent_costs_events_which_are_counted_when_it_is_back() {
        let (outlet, broker, simulation) = outlet();
        for silent in [false, true] {
            broker.is_away.store(!silent, Ordering::SeqCst);
            broker.is_silent.store(silent, Ordering::SeqCst);
            let calls = broker.calls.load(Ordering::SeqCst);
            for _ in 0..10 {
                outlet.tell_of_tasks(1_000, std::iter::repeat_with(down));
                simulation.advance(limits::EVENT_BACKOFF).await;
            }
            assert!(broker.calls.load(Ordering::SeqCst) - calls <= 11, "it is not pressed");
            broker.is_away.store(false, Ordering::SeqCst);
            broker.is_silent.store(false, Ordering::SeqCst);
            simulation.advance(limits::EVENT_BACKOFF * 2).await;
            let taken = broker.taken();
            let told = taken.iter().filter(|event| event.what == down().what).count() as u64;
            assert_eq!(told + left_out(&taken), 10_000, "each is told or counted");
        }
    }

    #[tokio::test]
    async fn a_flush_waits_until_all_is_published() {
        let (outlet, broker, _simulation) = outlet();
        outlet.tell(down().what);
        outlet.flush().await;
        outlet.tell(down().what);
        outlet.flush().await;
        assert_eq!(broker.taken().len(), 2);
    }

    #[test]
    fn where_no_loop_can_run_telling_only_counts() {
        let (outlet, _broker, _simulation) = outlet();
        (0..2_000).for_each(|_| outlet.tell(down().what));
        let kept = outlet.inner.waiting().events.len();
        assert_eq!((kept, outlet.inner.left_out.load(Ordering::Relaxed)), (600, 1_400));
    }

    #[tokio::test]
    async fn the_loop_ends_with_its_outlet_and_publishes_what_is_left() {
        let (outlet, broker, simulation) = outlet();
        outlet.tell(down().what);
        simulation.quiet().await;
        outlet.tell(down().what);
        let inner = Arc::clone(&outlet.inner);
        let running = inner.waiting().running.take().expect("runs");
        drop(outlet);
        running.await.expect("ends");
        assert_eq!(broker.taken().len(), 2);
    }
}
