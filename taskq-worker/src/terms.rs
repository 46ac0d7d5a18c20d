//! Under which owner this worker works in each queue: its process id and the present term there.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use taskq_core::{QueueName, WorkerId, id::Owner};

/// The owner of each queue.
#[derive(Debug)]
pub(crate) struct Terms {
    worker: WorkerId,
    queues: Mutex<HashMap<QueueName, Term>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Term {
    number: u32,
    joined: bool,
}

impl Terms {
    pub(crate) fn new(worker: WorkerId) -> Self {
        Self { worker, queues: Mutex::default() }
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<QueueName, Term>> {
        // Nothing panics while holding it.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn worker(&self) -> WorkerId {
        self.worker
    }

    fn owner(&self, term: Term) -> Owner {
        Owner { worker: self.worker, term: term.number }
    }

    /// The owner to claim as, if it has joined; otherwise the one to join as.
    pub(crate) fn present(&self, queue: &QueueName) -> Result<Owner, Owner> {
        let term = *self.queues().entry(queue.clone()).or_default();
        if term.joined { Ok(self.owner(term)) } else { Err(self.owner(term)) }
    }

    pub(crate) fn joined(&self, queue: &QueueName, owner: Owner) {
        let mut queues = self.queues();
        let term = queues.entry(queue.clone()).or_default();
        term.joined = term.number == owner.term;
    }

    /// The owner's lease is gone: the next term begins. False if that was known already.
    pub(crate) fn lost(&self, queue: &QueueName, owner: Owner) -> bool {
        let mut queues = self.queues();
        let term = queues.entry(queue.clone()).or_default();
        if term.number != owner.term || !term.joined {
            return false;
        }
        *term = Term { number: term.number + 1, joined: false };
        true
    }

    /// The broker refuses to begin this term: it began, lapsed, and its worker never heard of either. The next one begins.
    pub(crate) fn refused(&self, queue: &QueueName, owner: Owner) {
        let mut queues = self.queues();
        let term = queues.entry(queue.clone()).or_default();
        if term.number == owner.term && !term.joined {
            term.number += 1;
        }
    }

    /// Every owner that has joined, for heartbeats and for leaving.
    pub(crate) fn all_joined(&self) -> Vec<(Owner, QueueName)> {
        let queues = self.queues();
        let mut owners: Vec<_> = queues
            .iter()
            .filter(|(_, term)| term.joined)
            .map(|(queue, term)| (self.owner(*term), queue.clone()))
            .collect();
        owners.sort();
        owners
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_that_lapsed_unheard_is_followed_by_the_next_one_and_once_only() {
        let (terms, queue) = (Terms::new(WorkerId::generate()), QueueName::new("q").expect("valid"));
        let first = terms.present(&queue).expect_err("has not joined");
        terms.refused(&queue, first);
        terms.refused(&queue, first);
        let second = terms.present(&queue).expect_err("has not joined");
        assert_eq!((first.term, second.term), (0, 1));
        terms.joined(&queue, second);
        terms.refused(&queue, second);
        assert_eq!(terms.present(&queue), Ok(second));
    }
}
