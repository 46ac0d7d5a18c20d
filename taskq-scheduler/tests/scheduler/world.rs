//! A broker in memory, schedulers that are processes of their own, and a look at everything that took effect.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use taskq_core::{
    Accepted, AnyTask, Connection, Invocation, Timestamp,
    broker::memory,
    clock::{Process, Simulation},
};
use taskq_scheduler::{Entry, Schedule, Scheduler, SchedulerBuilder, SchedulerHandle};

use crate::line::{Dice, Effect, Line, Net};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// 2026-11-27 at 10:00:00.250 UTC: not when anything is due.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_795_773_600_250);

pub(crate) struct World {
    pub(crate) simulation: Simulation,
    pub(crate) broker: Connection,
    /// The process of the broker, by whose clock everything is due.
    pub(crate) server: Process,
    pub(crate) net: Arc<Net>,
}

/// One scheduler process.
pub(crate) struct Rival {
    pub(crate) process: Process,
    handle: Arc<Mutex<Option<SchedulerHandle>>>,
}

impl Rival {
    pub(crate) fn is_leader(&self) -> bool {
        self.process.is_running() && self.with(SchedulerHandle::is_leader)
    }

    pub(crate) fn drain(&self) {
        self.with(|handle| {
            handle.drain();
            true
        });
    }

    pub(crate) fn tally(&self) -> taskq_scheduler::Tally {
        self.handle.lock().expect("not poisoned").as_ref().map(SchedulerHandle::tally).unwrap_or_default()
    }

    /// Takes these entries in place of those of its file.
    pub(crate) fn reload(&self, entries: Vec<Entry>) -> taskq_core::Result<()> {
        self.handle.lock().expect("not poisoned").as_ref().expect("it was started").reloader().reload(entries)
    }

    fn with(&self, ask: impl FnOnce(&SchedulerHandle) -> bool) -> bool {
        self.handle.lock().expect("not poisoned").as_ref().is_some_and(ask)
    }
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let simulation = Simulation::seeded(START, seed);
        let server = simulation.process();
        let clock = server.clock();
        let net = Net {
            clock: clock.clone(),
            dice: Dice::new(seed),
            mishaps: AtomicU64::new(0),
            effects: Mutex::default(),
            fenced: AtomicU64::new(0),
        };
        Self { simulation, broker: memory::connect(clock), server, net: Arc::new(net) }
    }

    /// A scheduler in a process of its own.
    pub(crate) fn rival(&self, build: impl FnOnce(SchedulerBuilder) -> SchedulerBuilder) -> Rival {
        let process = self.simulation.process();
        let clock = process.clock();
        let line = Line { net: Arc::clone(&self.net), broker: self.broker.clone(), clock: clock.clone() };
        let connection = self.broker.through(clock.clone(), Arc::new(line));
        let builder = build(Scheduler::builder(connection));
        let handle = Arc::<Mutex<Option<SchedulerHandle>>>::default();
        let started = Arc::clone(&handle);
        drop(clock.spawn("rival", async move {
            *started.lock().expect("not poisoned") = Some(builder.start().await.expect("starts"));
        }));
        Rival { process, handle }
    }

    pub(crate) async fn advance(&self, duration: Duration) {
        self.simulation.advance(duration).await;
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.net.clock.now()
    }

    pub(crate) fn effects(&self) -> Vec<Effect> {
        self.net.effects.lock().expect("not poisoned").clone()
    }

    /// Seconds after the start of the minute at which an entry's ticks were planned and enqueued.
    pub(crate) fn fired(&self, entry: &str) -> Vec<(i64, i64)> {
        let second = |time: Timestamp| time.as_millis().div_euclid(1_000) - START.as_millis() / 1_000;
        let of_entry = self.effects().into_iter().filter(|effect| effect.entry.as_str() == entry);
        of_entry.map(|effect| (second(effect.fire_time), second(effect.at))).collect()
    }

    /// Everything that has to be so, whatever happened: each tick of these schedules until now exactly once, none early,
    /// and none by an older leader than the one before.
    pub(crate) fn check(&self, seed: u64, schedules: &[(&str, Schedule)], now: Timestamp) -> Duration {
        // What is due this moment is on its way.
        let until = Timestamp::from_millis(now.as_millis() - 100);
        let effects = self.effects();
        let mut by_entry: BTreeMap<String, Vec<Timestamp>> = BTreeMap::new();
        let (mut token, mut latest) = (None, Duration::ZERO);
        for effect in &effects {
            assert_eq!(effect.accepted, Accepted::Created, "seed {seed}: fired twice: {effect:?}");
            assert!(effect.at >= effect.fire_time, "seed {seed}: early: {effect:?}");
            assert!(token <= Some(effect.token), "seed {seed}: by an old leader: {effect:?}");
            token = Some(effect.token);
            latest = latest.max(effect.at.since(effect.fire_time));
            by_entry.entry(effect.entry.to_string()).or_default().push(effect.fire_time);
        }
        for (name, schedule) in schedules {
            let fired = by_entry.remove(*name).unwrap_or_default();
            let first = *fired.first().unwrap_or_else(|| panic!("seed {seed}: {name} never fired"));
            let before_first = Timestamp::from_millis(first.as_millis() - 1);
            let expected: Vec<_> = schedule.between(before_first, until, usize::MAX).collect();
            let fired: Vec<_> = fired.into_iter().filter(|tick| *tick <= until).collect();
            assert_eq!(fired, expected, "seed {seed}: ticks of {name}");
        }
        latest
    }

    pub(crate) fn set_mishaps(&self, in_thousand: u64) {
        self.net.mishaps.store(in_thousand, Ordering::SeqCst);
    }
}

pub(crate) fn task(name: &str) -> Invocation<AnyTask> {
    Invocation::named(name, &serde_json::json!({})).queue("q")
}
