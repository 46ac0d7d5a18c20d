//! What the clients of a connection count.

use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock},
};

use crate::{
    broker::Accepted,
    counter::Counter,
    figures::{self, Figures, QueueFigures},
    id::QueueName,
    limits,
};

/// What was enqueued, by queue, and what went wrong. At most [`limits::MAX_COUNTED_QUEUES`] queues are counted by their
/// names: a program may have one for each of its customers.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    queues: RwLock<BTreeMap<QueueName, QueueMeter>>,
    others: QueueMeter,
    pub(crate) broker_errors: Counter,
}

#[derive(Debug, Default)]
struct QueueMeter {
    enqueued: Counter,
    not_enqueued: Counter,
}

impl Meter {
    /// Counts the answer to one call. It locks nothing that anybody holds for longer than a look: only a queue that is met
    /// for the first time is written down.
    pub(crate) fn enqueued(&self, queue: &QueueName, accepted: &[Accepted]) {
        let is_new = |accepted: &&Accepted| matches!(accepted, Accepted::Created | Accepted::Replaced(_));
        let created = accepted.iter().filter(is_new).count();
        let not_created = accepted.len() - created;
        let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
        match queues.get(queue) {
            Some(meter) => meter.count(created, not_created),
            None if queues.len() >= limits::MAX_COUNTED_QUEUES => self.others.count(created, not_created),
            None => {
                drop(queues);
                let mut queues = self.queues.write().unwrap_or_else(PoisonError::into_inner);
                // Another call may have taken the last place meanwhile.
                match queues.len() < limits::MAX_COUNTED_QUEUES || queues.contains_key(queue) {
                    true => queues.entry(queue.clone()).or_default().count(created, not_created),
                    false => self.others.count(created, not_created),
                }
            }
        }
    }

    pub(crate) fn figures(&self) -> Figures {
        let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: BTreeMap<_, _> = queues.iter().map(|(queue, meter)| (queue.clone(), meter.figures())).collect();
        let others = self.others.figures();
        if !figures::Figure::is_nothing(&others) {
            // A queue may really have this name: then they are counted together.
            figures::Figure::add_up(all.entry(figures::other_queue()).or_default(), &others);
        }
        Figures { queues: all, broker_errors: self.broker_errors.get(), ..Figures::default() }
    }
}

impl QueueMeter {
    fn count(&self, created: usize, not_created: usize) {
        if created > 0 {
            self.enqueued.add(created as u64);
        }
        if not_created > 0 {
            self.not_enqueued.add(not_created as u64);
        }
    }

    fn figures(&self) -> QueueFigures {
        let (enqueued, not_enqueued) = (self.enqueued.get(), self.not_enqueued.get());
        QueueFigures { enqueued, not_enqueued, ..QueueFigures::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_queues_make_a_bounded_number_of_figures_and_none_is_lost() {
        let meter = Meter::default();
        for number in 0..10_000 {
            let queue = QueueName::new(format!("tenant-{number}")).expect("valid");
            meter.enqueued(&queue, &[Accepted::Created, Accepted::Duplicate]);
        }
        let figures = meter.figures();
        assert_eq!(figures.queues.len(), limits::MAX_COUNTED_QUEUES + 1);
        assert_eq!(figures.queues.values().map(|queue| queue.enqueued).sum::<u64>(), 10_000);
        assert_eq!(figures.queues.values().map(|queue| queue.not_enqueued).sum::<u64>(), 10_000);
        let rest = figures.queue(figures::OTHER).expect("the rest").enqueued;
        assert_eq!(rest as usize, 10_000 - limits::MAX_COUNTED_QUEUES);
    }
}
