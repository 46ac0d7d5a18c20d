//! Which enqueue calls this connection has seen: a first one is told from a repetition without asking the server.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use taskq_core::{Clock, Timestamp, id::BatchId};

/// How many calls are remembered. A call is repeated within seconds or not at all.
const REMEMBERED: usize = 4_096;

/// A call made longer ago may have been sent by another connection.
const FRESH: Duration = Duration::from_millis(500);

/// The newest calls.
#[derive(Debug, Default)]
pub(super) struct Batches(Mutex<(HashSet<BatchId>, VecDeque<BatchId>)>);

impl Batches {
    /// Whether this call is sent for the first time; from now on it is not.
    pub(super) fn is_first(&self, clock: &Clock, batch: BatchId) -> bool {
        let made = Timestamp::from_millis(i64::try_from(batch.made_at_millis()).unwrap_or(0));
        if clock.now().since(made) > FRESH {
            return false;
        }
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (set, order) = &mut *seen;
        if !set.insert(batch) {
            return false;
        }
        order.push_back(batch);
        if order.len() > REMEMBERED
            && let Some(oldest) = order.pop_front()
        {
            set.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_new_call_is_a_first_one() {
        let (clock, batches) = (Clock::system(), Batches::default());
        let batch = BatchId::generate();
        assert!(batches.is_first(&clock, batch));
        assert!(!batches.is_first(&clock, batch));
        for _ in 0..2 * REMEMBERED {
            assert!(batches.is_first(&clock, BatchId::generate()));
        }
        assert!(batches.0.lock().expect("not poisoned").0.len() <= REMEMBERED);
        let (stopped, _simulation) = Clock::simulated(Timestamp::from_millis(4_000_000_000_000));
        assert!(!batches.is_first(&stopped, BatchId::generate()), "made long ago");
    }
}
