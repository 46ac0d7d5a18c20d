//! Lanes: a number of slots and the queues that they serve.

use std::sync::Arc;

use taskq_core::{QueueName, retry::scramble};
use tokio::sync::{Notify, Semaphore};

use crate::readiness::Ear;

/// In which order the queues that share slots are asked for work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The first queue as long as it has work, then the second, and so on. A busy first queue starves the others.
    Strict,
    /// At random, each as often as its weight says. Nothing starves.
    Weighted,
}

/// Slots and the queues that they serve.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) size: usize,
    pub(crate) order: Order,
    pub(crate) queues: Vec<(QueueName, u32)>,
    /// Tells its fetcher to look again.
    pub(crate) nudge: Notify,
    /// What its fetcher hears from the broker.
    pub(crate) ear: Ear,
}

impl Lane {
    pub(crate) fn new(size: usize, order: Order, queues: Vec<(QueueName, u32)>) -> Self {
        Self { slots: Arc::new(Semaphore::new(size)), size, order, queues, nudge: Notify::new(), ear: Ear::default() }
    }

    pub(crate) fn serves(&self, queue: &QueueName) -> bool {
        self.queues.iter().any(|(name, _)| name == queue)
    }

    /// Its queues, joined by commas.
    pub(crate) fn name(&self) -> String {
        self.queues.iter().map(|(queue, _)| queue.as_str()).collect::<Vec<_>>().join(",")
    }

    /// The queues in the order to ask them in this round; `seed` decides the weighted draw.
    pub(crate) fn in_order(&self, seed: u64) -> Vec<QueueName> {
        let mut left = self.queues.clone();
        if self.order == Order::Strict || left.len() == 1 {
            return left.into_iter().map(|(name, _)| name).collect();
        }
        let mut drawn = Vec::with_capacity(left.len());
        while !left.is_empty() {
            let total: u64 = left.iter().map(|(_, weight)| u64::from(*weight)).sum();
            let mut ticket = scramble(seed.wrapping_add(drawn.len() as u64)) % total.max(1);
            let winner = left.iter().position(|(_, weight)| {
                let wins = ticket < u64::from(*weight);
                ticket = ticket.saturating_sub(u64::from(*weight));
                wins
            });
            drawn.push(left.swap_remove(winner.unwrap_or(0)).0);
        }
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> QueueName {
        QueueName::new(name).expect("valid")
    }

    #[test]
    fn a_weighted_lane_asks_each_queue_first_as_often_as_its_weight_says() {
        let lane = Lane::new(1, Order::Weighted, vec![(name("often"), 3), (name("seldom"), 1)]);
        let first_often = (0..4_000).filter(|seed| lane.in_order(*seed)[0].as_str() == "often").count();
        assert!((2_800..3_200).contains(&first_often), "{first_often} of 4000");
    }

    #[test]
    fn a_strict_lane_keeps_its_order() {
        let lane = Lane::new(1, Order::Strict, vec![(name("b"), 1), (name("a"), 9)]);
        assert!((0..100).all(|seed| lane.in_order(seed) == [name("b"), name("a")]));
    }
}
