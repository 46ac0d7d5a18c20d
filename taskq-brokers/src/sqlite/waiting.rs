//! Who waits for what in this connection, and what a change wakes. A wake-up is a hint: whoever is woken looks for itself.
//!
//! What can be waited for is a [`Topic`]: a number that every process computes alike from a queue's or task's name. Two
//! names with one number would only cause a needless look.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use taskq_core::{
    id::{Namespace, QueueName, TaskKey},
    retry::scramble,
};
use tokio::sync::Notify;

/// A waiting caller is woken by the slow net at every fourth poll at most: thousands of them must not all look each time.
const POLLS_PER_LOOK: u64 = 4;

/// Up to this many waiting callers, all look at every poll.
const FEW: usize = 64;

/// What can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Topic(pub(super) u64);

impl Topic {
    /// Everything at once: for a bell that cannot name all.
    pub(super) const ALL: Self = Self(0);

    /// Tasks became ready in a queue.
    pub(super) fn work(namespace: &Namespace, queue: &QueueName) -> Self {
        Self(hashed(hashed(1, namespace.as_str().as_bytes()), queue.as_str().as_bytes()))
    }

    /// Tasks of a queue will be due: whoever waits for work may have to set its alarm anew.
    pub(super) fn due(namespace: &Namespace, queue: &QueueName) -> Self {
        Self(hashed(hashed(2, namespace.as_str().as_bytes()), queue.as_str().as_bytes()))
    }

    /// The leadership of schedulers is free.
    pub(super) fn leader(namespace: &Namespace) -> Self {
        Self(hashed(3, namespace.as_str().as_bytes()))
    }

    /// A task ended.
    pub(super) fn ended(namespace: &Namespace, queue: &QueueName, key: &TaskKey) -> Self {
        Self::work(namespace, queue).of(&key.to_bytes())
    }

    /// The end of the task with these key bytes, where `self` is its queue's work.
    pub(super) fn of(self, key: &[u8]) -> Self {
        Self(hashed(self.0, key))
    }
}

/// The same on every machine and in every version, unlike the standard library's hashes. Never zero.
fn hashed(seed: u64, bytes: &[u8]) -> u64 {
    let length = scramble(seed ^ bytes.len() as u64);
    let hash = bytes.chunks(8).fold(length, |hash, chunk| {
        let word = chunk.iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
        scramble(hash ^ word)
    });
    hash.max(1)
}

/// Everybody who waits in this connection.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    board: Mutex<Board>,
}

#[derive(Debug, Default)]
struct Board {
    waiters: HashMap<Topic, Vec<Place>>,
    count: usize,
    next_number: u64,
    polls: u64,
}

/// What the board has of a waiter.
#[derive(Debug)]
struct Place {
    number: u64,
    woken: Arc<Notify>,
    /// Not woken when nobody knows of what.
    by_name_only: bool,
}

/// One caller's place on the board, until it is dropped.
#[derive(Debug)]
pub(super) struct Waiter {
    waiting: Arc<Waiting>,
    topics: Vec<Topic>,
    number: u64,
    woken: Arc<Notify>,
}

impl Waiting {
    /// From now on a change of any of these wakes the waiter. Register first, then look, then wait.
    pub(super) fn register(self: &Arc<Self>, topics: Vec<Topic>) -> Waiter {
        self.register_as(topics, false)
    }

    /// The same for a waiter that is only woken when one of these was named, not when something may have changed.
    pub(super) fn register_by_name(self: &Arc<Self>, topics: Vec<Topic>) -> Waiter {
        self.register_as(topics, true)
    }

    fn register_as(self: &Arc<Self>, topics: Vec<Topic>, by_name_only: bool) -> Waiter {
        let woken = Arc::new(Notify::new());
        let mut board = self.board();
        board.next_number += 1;
        board.count += 1;
        let number = board.next_number;
        for topic in &topics {
            board.waiters.entry(*topic).or_default().push(Place { number, woken: Arc::clone(&woken), by_name_only });
        }
        Waiter { waiting: Arc::clone(self), topics, number, woken }
    }

    /// Wakes whoever waits for one of these.
    pub(super) fn wake(&self, topics: &[Topic]) {
        let board = self.board();
        if board.count == 0 {
            return;
        }
        for topic in topics {
            match *topic {
                Topic::ALL => board.unnamed().for_each(|place| place.woken.notify_one()),
                topic => board.waiters.get(&topic).into_iter().flatten().for_each(|place| place.woken.notify_one()),
            }
        }
    }

    /// Somebody wrote and perhaps no bell was heard: wakes everybody if they are few, else a part of them.
    pub(super) fn wake_some(&self) {
        let mut board = self.board();
        board.polls += 1;
        let (turn, few) = (board.polls % POLLS_PER_LOOK, board.count <= FEW);
        let some = board.unnamed().filter(|place| few || place.number % POLLS_PER_LOOK == turn);
        some.for_each(|place| place.woken.notify_one());
    }

    /// Whether anybody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.board().count == 0
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        // Nothing panics while holding it, and a lost entry would only cost a poll.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Board {
    /// Whom a change of nobody knows what may concern.
    fn unnamed(&self) -> impl Iterator<Item = &Place> {
        self.waiters.values().flatten().filter(|place| !place.by_name_only)
    }
}

impl Waiter {
    /// Returns at the next wake-up; at once if there was one since the last call.
    pub(super) async fn woken(&self) {
        self.woken.notified().await;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut board = self.waiting.board();
        board.count -= 1;
        for topic in &self.topics {
            if let Some(waiters) = board.waiters.get_mut(topic) {
                waiters.retain(|place| place.number != self.number);
                if waiters.is_empty() {
                    board.waiters.remove(topic);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::pin, task::Poll};

    use super::*;

    fn was_woken(waiter: &Waiter) -> bool {
        let woken = pin!(waiter.woken());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        matches!(woken.poll(&mut context), Poll::Ready(()))
    }

    #[test]
    fn only_who_waits_for_it_is_woken_and_nobody_stays_on_the_board() {
        let waiting = Arc::new(Waiting::default());
        let (namespace, queue) = (Namespace::new("n").expect("valid"), QueueName::new("q").expect("valid"));
        let key = TaskKey::generate();
        let worker = waiting.register(vec![Topic::work(&namespace, &queue)]);
        let client = waiting.register(vec![Topic::ended(&namespace, &queue, &key)]);
        waiting.wake(&[Topic::work(&namespace, &queue)]);
        assert!(was_woken(&worker) && !was_woken(&client));
        waiting.wake(&[Topic::work(&namespace, &queue).of(&key.to_bytes())]);
        assert!(!was_woken(&worker) && was_woken(&client));
        waiting.wake(&[Topic::due(&namespace, &queue)]);
        assert!(!was_woken(&worker) && !was_woken(&client));
        waiting.wake(&[Topic::ALL]);
        assert!(was_woken(&worker) && was_woken(&client));
        let by_name = waiting.register_by_name(vec![Topic::work(&namespace, &queue)]);
        waiting.wake(&[Topic::ALL]);
        waiting.wake_some();
        assert!(!was_woken(&by_name) && was_woken(&client));
        waiting.wake(&[Topic::work(&namespace, &queue)]);
        assert!(was_woken(&by_name));
        drop(by_name);
        drop((worker, client));
        assert!(waiting.is_empty() && waiting.board().waiters.is_empty());
    }

    #[test]
    fn of_many_waiters_each_poll_wakes_a_part_and_four_polls_wake_all() {
        let waiting = Arc::new(Waiting::default());
        let waiters: Vec<_> = (1..=1_000).map(|topic| waiting.register(vec![Topic(topic)])).collect();
        let woken = || waiters.iter().filter(|waiter| was_woken(waiter)).count();
        let each: Vec<usize> = (0..4)
            .map(|_| {
                waiting.wake_some();
                woken()
            })
            .collect();
        assert_eq!(each, [250; 4]);
    }
}
