//! What a worker counts of its queues and tasks, while it works.
//!
//! The promise: counting is no work. Whoever counts has found the place once, for a whole claim; nothing is locked, and
//! nothing is allocated but the place of a task that is met for the first time. Attempts that end at once are noted by the
//! future that runs them and counted together: two threads that count into the same place one by one would take it from
//! each other each time.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use taskq_core::{
    Envelope, QueueName, SettledAs, TaskName, Timestamp,
    counter::Counter,
    figures::{self, Calls, Gathered, LiveHistogram, QueueFigures, Sizes, TaskFigures, Times},
    limits,
};

use crate::registry::{Known, Registry, TaskNumber};

/// What a worker counts, by queue.
#[derive(Debug)]
pub(crate) struct Meter {
    queues: BTreeMap<QueueName, Arc<QueueMeter>>,
}

/// What a worker counts of one queue.
#[derive(Debug)]
pub(crate) struct QueueMeter {
    /// The names of the places in `tasks` but the last.
    names: Arc<[TaskName]>,
    /// A place for each task that is counted by its name, and one for the rest.
    tasks: Box<[OnceLock<Box<TaskMeter>>]>,
    pub(crate) redelivered: Counter,
    pub(crate) fenced: Counter,
    pub(crate) unclear: Counter,
    pub(crate) leases_lost: Counter,
    pub(crate) claims: CallMeter,
    pub(crate) settles: CallMeter,
}

/// What a worker counts of one task in one queue.
#[derive(Debug, Default)]
pub(crate) struct TaskMeter {
    started: Counter,
    outcomes: [Counter; OUTCOMES],
    pub(crate) panicked: Counter,
    pub(crate) timed_out: Counter,
    run: LiveHistogram<Times>,
    wait: LiveHistogram<Times>,
}

/// Answered calls, how long they took and how many tasks they carried.
#[derive(Debug, Default)]
pub(crate) struct CallMeter {
    took: LiveHistogram<Times>,
    tasks: LiveHistogram<Sizes>,
}

/// Which place of a [`QueueMeter`] counts an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(u16);

/// What an attempt ended in, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    Succeeded,
    Retried,
    Dead,
    Cancelled,
    PutOff,
    Released,
}

impl Counted {
    /// As an event tells it.
    pub(crate) fn told(self) -> SettledAs {
        match self {
            Self::Succeeded => SettledAs::Succeeded,
            Self::Retried => SettledAs::Retried,
            Self::Dead => SettledAs::Dead,
            Self::Cancelled => SettledAs::Cancelled,
            Self::PutOff => SettledAs::PutOff,
            Self::Released => SettledAs::Released,
        }
    }

    /// Whether an error has ended it.
    pub(crate) fn is_failure(self) -> bool {
        matches!(self, Self::Retried | Self::Dead)
    }
}

const OUTCOMES: usize = 6;

/// Where an ended attempt is counted when the broker has taken its settlement, and as what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) place: Place,
    pub(crate) counted: Counted,
}

impl Meter {
    /// Tasks are counted from the start in the queue that they declare: to whoever asks again and again how far a count has
    /// risen, one that first appears as 1 has not.
    pub(crate) fn new<'a>(queues: impl Iterator<Item = &'a QueueName>, registry: &Registry) -> Self {
        let counted: Vec<_> = registry.tasks().take(limits::MAX_COUNTED_TASKS).collect();
        let name = |task: &&Known| TaskName::new(task.registration.name).expect("was checked when the worker started");
        let names: Arc<[TaskName]> = counted.iter().map(name).collect();
        let meter_of = |queue: &QueueName| {
            let meter = QueueMeter::new(Arc::clone(&names));
            for (place, _) in meter.tasks.iter().zip(&counted).filter(|(_, task)| task.queue() == queue.as_str()) {
                place.get_or_init(Box::default);
            }
            (queue.clone(), Arc::new(meter))
        };
        Self { queues: queues.map(meter_of).collect() }
    }

    /// Where this queue is counted: one that the worker serves.
    pub(crate) fn queue(&self, queue: &QueueName) -> &Arc<QueueMeter> {
        self.queues.get(queue).expect("a worker claims only from queues that it serves")
    }

    pub(crate) fn figures(&self) -> BTreeMap<QueueName, QueueFigures> {
        self.queues.iter().map(|(queue, meter)| (queue.clone(), meter.figures())).collect()
    }
}

impl QueueMeter {
    fn new(names: Arc<[TaskName]>) -> Self {
        Self {
            tasks: (0..=names.len()).map(|_| OnceLock::new()).collect(),
            names,
            redelivered: Counter::default(),
            fenced: Counter::default(),
            unclear: Counter::default(),
            leases_lost: Counter::default(),
            claims: CallMeter::default(),
            settles: CallMeter::default(),
        }
    }

    /// The place of a task: that of the rest if there is none of its own, or if the worker does not know the task.
    pub(crate) fn place(&self, number: Option<TaskNumber>) -> Place {
        let number = number.map_or(self.names.len(), |number| number.0.min(self.names.len()));
        Place(u16::try_from(number).expect("as many places as tasks are counted"))
    }

    pub(crate) fn task(&self, place: Place) -> &TaskMeter {
        self.tasks[usize::from(place.0)].get_or_init(Box::default)
    }

    /// Counts settlements that the broker has taken.
    pub(crate) fn settled<'a>(&self, notes: impl Iterator<Item = &'a Note>) {
        let mut notes = notes.peekable();
        // Most of what is settled together ended alike.
        while let Some(note) = notes.next() {
            let mut alike = 1;
            while notes.next_if_eq(&note).is_some() {
                alike += 1;
            }
            self.task(note.place).outcomes[note.counted as usize].add(alike);
        }
    }

    fn figures(&self) -> QueueFigures {
        let mut figures = QueueFigures::default();
        figures.redelivered = self.redelivered.get();
        figures.fenced = self.fenced.get();
        figures.unclear = self.unclear.get();
        figures.leases_lost = self.leases_lost.get();
        figures.claims = self.claims.figures();
        figures.settles = self.settles.figures();
        let names = self.names.iter().cloned().chain([figures::other_task()]);
        for (name, task) in names.zip(&self.tasks) {
            // A task may really have the name of the rest: then they are counted together.
            if let Some(task) = task.get() {
                figures::Figure::add_up(figures.tasks.entry(name).or_default(), &task.figures());
            }
        }
        figures
    }
}

impl TaskMeter {
    /// Counts an attempt that goes on in a future of its own.
    pub(crate) fn begun(&self, wait: Option<Duration>) {
        self.started.add(1);
        if let Some(wait) = wait {
            self.wait.record(nanos(wait));
        }
    }

    /// The same attempt has ended.
    pub(crate) fn ended(&self, run: Duration) {
        self.run.record(nanos(run));
    }

    /// An attempt that nobody settles, since its task was given back.
    pub(crate) fn released(&self) {
        self.outcomes[Counted::Released as usize].add(1);
    }

    fn figures(&self) -> TaskFigures {
        let mut figures = TaskFigures::default();
        figures.started = self.started.get();
        let [succeeded, retried, dead, cancelled, put_off, released] = self.outcomes.each_ref().map(Counter::get);
        (figures.succeeded, figures.retried, figures.dead) = (succeeded, retried, dead);
        (figures.cancelled, figures.put_off, figures.released) = (cancelled, put_off, released);
        figures.panicked = self.panicked.get();
        figures.timed_out = self.timed_out.get();
        figures.run = self.run.snapshot();
        figures.wait = self.wait.snapshot();
        figures
    }
}

impl CallMeter {
    pub(crate) fn record(&self, took: Duration, tasks: usize) {
        self.took.record(nanos(took));
        self.tasks.record(tasks as u64);
    }

    fn figures(&self) -> Calls {
        let mut calls = Calls::default();
        calls.took = self.took.snapshot();
        calls.tasks = self.tasks.snapshot();
        calls
    }
}

/// Attempts in a row that ended at once, before they are counted: as long as they are of one task.
#[derive(Debug)]
pub(crate) struct Row {
    place: Place,
    started: u64,
    run: Gathered<Times>,
    wait: Gathered<Times>,
}

impl Row {
    pub(crate) fn new() -> Self {
        Self { place: Place(0), started: 0, run: Gathered::default(), wait: Gathered::default() }
    }

    /// Notes an attempt that has ended.
    pub(crate) fn note(&mut self, meter: &QueueMeter, place: Place, run: Duration, wait: Option<Duration>) {
        if place != self.place {
            self.count(meter);
            self.place = place;
        }
        self.started += 1;
        self.run.add(nanos(run));
        if let Some(wait) = wait {
            self.wait.add(nanos(wait));
        }
    }

    /// Counts what was noted.
    pub(crate) fn count(&mut self, meter: &QueueMeter) {
        if self.started == 0 {
            return;
        }
        let task = meter.task(self.place);
        task.started.add(std::mem::take(&mut self.started));
        task.run.take(&mut self.run);
        task.wait.take(&mut self.wait);
    }
}

/// How long a task was in its queue when an attempt begins at `now`, if that is known.
pub(crate) fn wait_of(envelope: &Envelope, now: Timestamp) -> Option<Duration> {
    envelope.due_since().map(|since| now.since(since))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
