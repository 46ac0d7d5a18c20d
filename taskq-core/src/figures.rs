//! [`Figures`]: what a process has counted since it began. They can be kept as JSON, subtracted from later ones of the same
//! process, and added up over processes.
//!
//! The promise: however many tasks and names a process meets, its figures stay small. Queues and task names are bounded by
//! [`limits`]; what is beyond them is counted as [`OTHER`]. Whoever reads figures of an older or newer version
//! gets what both know.

mod gathered;
mod histogram;
mod live;
mod scale;

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

pub use gathered::Gathered;
pub use histogram::Histogram;
pub use live::LiveHistogram;
pub use scale::{Scale, Sizes, Times};

use crate::{
    error::{Error, ErrorKind, Result},
    id::{QueueName, TaskName},
    limits,
};

/// The name under which everything is counted for whose own name there is no room.
pub const OTHER: &str = "other";

/// Something that was counted: by one process, or by several together.
pub trait Figure: Clone + Default {
    /// What was added since `earlier`, which the same process had counted. What has become less, since it was another
    /// process after all, counts as nothing.
    #[must_use]
    fn since(&self, earlier: &Self) -> Self;

    /// Adds what another process has counted.
    fn add_up(&mut self, other: &Self);

    /// Whether there is nothing to tell.
    fn is_nothing(&self) -> bool;
}

impl Figure for u64 {
    fn since(&self, earlier: &Self) -> Self {
        self.saturating_sub(*earlier)
    }

    fn add_up(&mut self, other: &Self) {
        *self = self.saturating_add(*other);
    }

    fn is_nothing(&self) -> bool {
        *self == 0
    }
}

impl<K: Clone + Ord, V: Figure> Figure for BTreeMap<K, V> {
    fn since(&self, earlier: &Self) -> Self {
        let before = |key: &K| earlier.get(key).cloned().unwrap_or_default();
        self.iter().map(|(key, figure)| (key.clone(), figure.since(&before(key)))).collect()
    }

    fn add_up(&mut self, other: &Self) {
        for (key, figure) in other {
            self.entry(key.clone()).or_default().add_up(figure);
        }
    }

    fn is_nothing(&self) -> bool {
        self.values().all(Figure::is_nothing)
    }
}

/// A struct of figures, which is itself one: each field for itself.
macro_rules! figures {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        #[non_exhaustive]
        pub struct $name {
            $(
                $(#[$field_doc])*
                #[serde(skip_serializing_if = "Figure::is_nothing")]
                pub $field: $kind,
            )*
        }

        impl Figure for $name {
            fn since(&self, earlier: &Self) -> Self {
                Self { $($field: self.$field.since(&earlier.$field),)* }
            }

            fn add_up(&mut self, other: &Self) {
                $(self.$field.add_up(&other.$field);)*
            }

            fn is_nothing(&self) -> bool {
                $(self.$field.is_nothing())&&*
            }
        }
    };
}

figures! {
    /// What a process has counted: a worker, a client, or several of them added up.
    ///
    /// ```
    /// use taskq_core::figures::{Figure, Figures};
    ///
    /// let earlier = Figures::decode(br#"{"queues":{"mail":{"tasks":{"send":{"started":40}}}}}"#)?;
    /// let later = Figures::decode(br#"{"queues":{"mail":{"tasks":{"send":{"started":55}}}}}"#)?;
    /// assert_eq!(later.since(&earlier).queue("mail").expect("known").total().started, 15);
    /// # Ok::<(), taskq_core::Error>(())
    /// ```
    Figures {
        /// What concerns a queue.
        queues: BTreeMap<QueueName, QueueFigures>,
        /// Slots and how many are taken, by the names of the queues that share them, joined by commas.
        lanes: BTreeMap<String, Slots>,
        /// Broker calls that failed; most of them were repeated.
        broker_errors: u64,
        /// How often the way to the broker was opened again after it had broken.
        reconnects: u64,
    }
}

figures! {
    /// What a process has counted of one queue.
    QueueFigures {
        /// Tasks that the broker has accepted from this process.
        enqueued: u64,
        /// Tasks that it has not: they were known, or their unique key was held.
        not_enqueued: u64,
        /// Hand-outs of tasks whose hand-out before did not end: their worker died, or lost its lease.
        redelivered: u64,
        /// Stale writes that the broker refused.
        fenced: u64,
        /// Settlements repeated after a lost answer and then refused: applied the first time, or stale.
        unclear: u64,
        /// Leases that were lost.
        leases_lost: u64,
        /// Answered claims.
        claims: Calls,
        /// Answered settlements.
        settles: Calls,
        /// What became of tasks, by their names.
        tasks: BTreeMap<TaskName, TaskFigures>,
    }
}

figures! {
    /// What a worker has counted of the attempts of one task.
    ///
    /// Every attempt that was started is running, or was settled or fenced, or its settlement was given up.
    TaskFigures {
        /// Attempts that were begun.
        started: u64,
        /// Attempts that succeeded. This and the following ones are counted when the broker has taken the settlement.
        succeeded: u64,
        /// Attempts that failed and are followed by another.
        retried: u64,
        /// Attempts after which the task became a dead letter.
        dead: u64,
        /// Attempts that ended because their task was cancelled.
        cancelled: u64,
        /// Tasks put off without spending an attempt: snoozed, or of a name that the worker does not know.
        put_off: u64,
        /// Tasks given back without spending an attempt, as the worker ended or was to stop them.
        released: u64,
        /// Bodies that panicked; counted among those that failed too.
        panicked: u64,
        /// Attempts that took longer than their timeout; counted among those that failed too.
        timed_out: u64,
        /// How long attempts took that have ended.
        run: Histogram<Times>,
        /// How long tasks were in the queue, from when they were due until an attempt began. Left out where that is not known.
        wait: Histogram<Times>,
    }
}

figures! {
    /// Broker calls that carry several tasks.
    Calls {
        /// How long they took.
        took: Histogram<Times>,
        /// How many tasks each carried.
        tasks: Histogram<Sizes>,
    }
}

/// Slots of a worker at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Slots {
    /// How many there are.
    pub all: u64,
    /// How many a task has taken.
    pub busy: u64,
}

/// A state and not a count: since an earlier moment it is what it is now, and over processes it adds up.
impl Figure for Slots {
    fn since(&self, _earlier: &Self) -> Self {
        *self
    }

    fn add_up(&mut self, other: &Self) {
        self.all.add_up(&other.all);
        self.busy.add_up(&other.busy);
    }

    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Figures {
    /// Counts all tasks of each queue as [`OTHER`]: what is left is small.
    pub fn forget_task_names(&mut self) {
        for queue in self.queues.values_mut() {
            let total = queue.total();
            queue.tasks = BTreeMap::from([(other_task(), total)]);
        }
    }

    /// Its JSON.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("names and numbers are always JSON")
    }

    /// Reads what a process of this or another version has encoded.
    ///
    /// # Errors
    /// If it is longer than [`limits::MAX_FIGURES`] or not of this form.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let wrong = |kind, why: String| Error::new(kind, "decode", "figures").because(why);
        if bytes.len() > limits::MAX_FIGURES {
            let why = format!("they have {} bytes; the limit is {}", bytes.len(), limits::MAX_FIGURES);
            return Err(wrong(ErrorKind::TooLarge, why));
        }
        serde_json::from_slice(bytes).map_err(|error| wrong(ErrorKind::Codec, error.to_string()))
    }

    /// What concerns this queue.
    pub fn queue(&self, queue: &str) -> Option<&QueueFigures> {
        self.queues.get(queue)
    }

    /// The same without tasks of which nothing was counted yet.
    #[must_use]
    pub fn without_idle_tasks(mut self) -> Self {
        self.queues.values_mut().for_each(|queue| queue.tasks.retain(|_, task| !task.is_nothing()));
        self
    }

    /// The same without the names of tasks, which a report of many processes can do without: each queue has only
    /// [`OTHER`], with all that its tasks have counted.
    #[must_use]
    pub fn without_tasks(mut self) -> Self {
        let other = other_task();
        for queue in self.queues.values_mut() {
            let total = queue.total();
            queue.tasks.clear();
            if !total.is_nothing() {
                queue.tasks.insert(other.clone(), total);
            }
        }
        self
    }
}

impl QueueFigures {
    /// What all tasks of the queue have counted together.
    pub fn total(&self) -> TaskFigures {
        let mut total = TaskFigures::default();
        self.tasks.values().for_each(|task| total.add_up(task));
        total
    }
}

impl TaskFigures {
    /// Attempts whose end the broker has taken, whatever it was.
    pub fn settled(&self) -> u64 {
        self.outcomes().iter().map(|(_, count)| count).sum()
    }

    /// How many attempts ended how, by the outcome's name as in metrics.
    pub fn outcomes(&self) -> [(&'static str, u64); 6] {
        [
            ("succeeded", self.succeeded),
            ("retried", self.retried),
            ("dead", self.dead),
            ("cancelled", self.cancelled),
            ("put_off", self.put_off),
            ("released", self.released),
        ]
    }
}

impl Calls {
    /// How many calls there were.
    pub fn count(&self) -> u64 {
        self.took.count()
    }

    /// How long they took in all.
    pub fn time(&self) -> Duration {
        self.took.sum()
    }
}

/// [`OTHER`] as the name of a task.
pub fn other_task() -> TaskName {
    TaskName::new(OTHER).expect("a valid name")
}

/// [`OTHER`] as the name of a queue.
pub fn other_queue() -> QueueName {
    QueueName::new(OTHER).expect("a valid name")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(started: u64, run: &[u64]) -> Figures {
        let mut task = TaskFigures { started, succeeded: run.len() as u64, ..TaskFigures::default() };
        let live = LiveHistogram::<Times>::default();
        run.iter().for_each(|millis| live.record(millis * 1_000_000));
        task.run = live.snapshot();
        let tasks = [(TaskName::new("send").expect("valid"), task)].into();
        let queue = QueueFigures { tasks, enqueued: started, ..QueueFigures::default() };
        let lanes = [("mail".to_owned(), Slots { all: 4, busy: started })].into();
        let queues = [(QueueName::new("mail").expect("valid"), queue)].into();
        Figures { queues, lanes, ..Figures::default() }
    }

    #[test]
    fn figures_read_back_as_themselves_and_leave_out_what_is_nothing() {
        let figures = figures(3, &[1, 20, 300]);
        let text = String::from_utf8(figures.encode()).expect("JSON");
        assert_eq!(
            text,
            r#"{"queues":{"mail":{"enqueued":3,"tasks":{"send":{"started":3,"succeeded":3,"run":{"sum":321000000,"from":4,"counts":[1,0,0,0,1,0,0,0,1]}}}}},"lanes":{"mail":{"all":4,"busy":3}}}"#
        );
        assert_eq!(Figures::decode(text.as_bytes()).expect("reads"), figures);
        assert_eq!(Figures::default().encode(), b"{}");
    }

    #[test]
    fn the_difference_of_two_moments_and_the_sum_of_two_processes_add_up() {
        let (earlier, later) = (figures(2, &[1]), figures(5, &[1, 1, 400]));
        let since = later.since(&earlier);
        let total = since.queue("mail").expect("known").total();
        assert_eq!((total.started, total.run.count(), total.run.sum()), (3, 2, Duration::from_millis(401)));
        assert_eq!(since.lanes["mail"], Slots { all: 4, busy: 5 }, "slots are what they are now");
        let mut again = earlier.clone();
        again.add_up(&since);
        assert_eq!(again.queue("mail").expect("known").total(), later.queue("mail").expect("known").total());
        assert_eq!(earlier.since(&later).queue("mail").expect("known").total().started, 0, "never less than nothing");
    }

    #[test]
    fn what_an_older_or_newer_process_wrote_is_read_as_far_as_it_is_known() {
        let newer = br#"{"queues":{"mail":{"tasks":{"send":{"started":1,"teleported":7}},"moons":2}},"colour":"red"}"#;
        assert_eq!(Figures::decode(newer).expect("reads").queue("mail").expect("known").total().started, 1);
        assert_eq!(Figures::decode(b"{}").expect("reads"), Figures::default());
        for wrong in [&b"7"[..], b"", br#"{"queues":{"a b":{}}}"#, br#"{"broker_errors":-1}"#] {
            assert!(Figures::decode(wrong).is_err());
        }
        let endless = vec![b' '; limits::MAX_FIGURES + 1];
        assert_eq!(Figures::decode(&endless).expect_err("too long").kind(), ErrorKind::TooLarge);
    }

    #[test]
    fn a_report_names_no_task_that_has_counted_nothing() {
        let mut all = figures(3, &[1]);
        let queue = all.queues.get_mut("mail").expect("known");
        queue.tasks.insert("never".parse().expect("valid"), TaskFigures::default());
        assert_eq!(all.without_idle_tasks(), figures(3, &[1]));
    }

    #[test]
    fn without_names_of_tasks_nothing_is_lost_of_a_queue() {
        let figures = figures(3, &[1, 20, 300]);
        let short = figures.clone().without_tasks();
        let (short, long) = (short.queue("mail").expect("known"), figures.queue("mail").expect("known"));
        assert_eq!(short.total(), long.total());
        assert_eq!(short.tasks.keys().map(TaskName::as_str).collect::<Vec<_>>(), [OTHER]);
    }
}
