//! What is running now: every claimed task from its claim until its settlement has been answered.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasherDefault, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use taskq_core::{
    QueueName, TaskKey,
    broker::Claimed,
    context::{AttemptContext, StopReason},
    id::{DeliveryToken, Owner},
    retry::scramble,
};
use tokio::sync::Notify;

use crate::runner::Ready;

/// Which delivery of which task of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeliveryId {
    pub(crate) key: TaskKey,
    pub(crate) token: DeliveryToken,
}

impl DeliveryId {
    fn of(attempt: &AttemptContext) -> Self {
        Self { key: attempt.id().key.clone(), token: attempt.token() }
    }

    pub(crate) fn of_claimed(claimed: &Claimed) -> Self {
        Self { key: claimed.envelope.id.key.clone(), token: claimed.token }
    }
}

/// Keys and tokens are the broker's and the client's making: there is nobody to guard against with a slow hash.
impl Hash for DeliveryId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let tail = self.key.as_bytes().last_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        state.write_u64(scramble(self.token.0 ^ tail.rotate_left(32)));
    }
}

/// Passes on the number that [`DeliveryId`] is hashed to.
#[derive(Default)]
pub(crate) struct Passing(u64);

impl Hasher for Passing {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = scramble(self.0 ^ u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// The attempts of one queue.
type Running = HashMap<DeliveryId, (Owner, Arc<AttemptContext>), BuildHasherDefault<Passing>>;

/// All attempts of this worker.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    queues: Mutex<BTreeMap<QueueName, Running>>,
    /// Where somebody lists what is held: what ended since.
    ended: Mutex<HashMap<QueueName, Vec<DeliveryId>>>,
    changed: Notify,
}

impl Attempts {
    fn queues(&self) -> MutexGuard<'_, BTreeMap<QueueName, Running>> {
        // Nothing panics while holding it.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins attempts of one claim, and keeps in `claimed` only them: not those whose very delivery is under way.
    pub(crate) fn begin(&self, queue: &QueueName, owner: Owner, claimed: &mut Vec<Ready>) {
        let mut queues = self.queues();
        let were_none = queues.values().all(HashMap::is_empty);
        let running = match queues.get_mut(queue) {
            Some(running) => running,
            None => queues.entry(queue.clone()).or_default(),
        };
        claimed.retain(|attempt| {
            let delivery = DeliveryId::of(&attempt.context);
            let is_new = !running.contains_key(&delivery);
            if is_new {
                running.insert(delivery, (owner, Arc::clone(&attempt.context)));
            }
            is_new
        });
        drop(queues);
        if were_none && !claimed.is_empty() {
            self.changed.notify_waiters();
        }
    }

    /// Whether this very delivery is under way.
    pub(crate) fn is_running(&self, queue: &QueueName, claimed: &Claimed) -> bool {
        self.queues().get(queue).is_some_and(|running| running.contains_key(&DeliveryId::of_claimed(claimed)))
    }

    /// From now on remembers what ends in this queue, until [`looked`](Self::looked).
    pub(crate) fn look(&self, queue: &QueueName) {
        self.ended().insert(queue.clone(), Vec::new());
    }

    /// What ended in this queue since [`look`](Self::look).
    pub(crate) fn looked(&self, queue: &QueueName) -> Vec<DeliveryId> {
        self.ended().remove(queue).unwrap_or_default()
    }

    fn ended(&self) -> MutexGuard<'_, HashMap<QueueName, Vec<DeliveryId>>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends attempts: they are settled, or nobody will settle them any more.
    pub(crate) fn end(&self, queue: &QueueName, deliveries: impl Iterator<Item = DeliveryId>) {
        let mut queues = self.queues();
        if let Some(running) = queues.get_mut(queue) {
            let mut ended = self.ended();
            let mut noted = ended.get_mut(queue);
            for delivery in deliveries {
                running.remove(&delivery);
                if let Some(noted) = &mut noted {
                    noted.push(delivery);
                }
            }
        }
        let are_none = queues.values().all(HashMap::is_empty);
        drop(queues);
        if are_none {
            self.changed.notify_waiters();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queues().values().all(HashMap::is_empty)
    }

    /// Every attempt that is under way.
    pub(crate) fn all(&self) -> Vec<Arc<AttemptContext>> {
        self.queues().values().flat_map(HashMap::values).map(|(_, attempt)| Arc::clone(attempt)).collect()
    }

    /// How many there are of a queue.
    pub(crate) fn count(&self, queue: &QueueName) -> usize {
        self.queues().get(queue).map_or(0, HashMap::len)
    }

    /// Returns when the first attempt begins, or the last ends, after this call.
    pub(crate) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    pub(crate) fn stop_cancelled(&self, queue: &QueueName, owner: Owner, keys: &[TaskKey]) {
        if keys.is_empty() {
            return;
        }
        self.stop(StopReason::Cancelled, |of, attempt, holder| {
            of == queue && holder == owner && keys.contains(&attempt.id().key)
        });
    }

    pub(crate) fn stop_lost(&self, queue: &QueueName, owner: Owner) {
        self.stop(StopReason::LeaseLost, |of, _, holder| of == queue && holder == owner);
    }

    pub(crate) fn stop_all(&self) {
        self.stop(StopReason::Shutdown, |_, _, _| true);
    }

    fn stop(&self, reason: StopReason, is_meant: impl Fn(&QueueName, &AttemptContext, Owner) -> bool) {
        let queues = self.queues();
        let all =
            queues.iter().flat_map(|(queue, running)| running.values().map(move |(owner, run)| (queue, owner, run)));
        let meant = all.filter(|(queue, owner, attempt)| is_meant(queue, attempt, **owner));
        let mut attempts: Vec<Arc<AttemptContext>> = meant.map(|(_, _, attempt)| Arc::clone(attempt)).collect();
        drop(queues);
        // In the order of their hand-out, so that a simulation goes the same way each time.
        attempts.sort_by(|a, b| (a.token(), a.id()).cmp(&(b.token(), b.id())));
        // Outside the lock: a stop wakes whoever waits for it.
        attempts.iter().for_each(|attempt| attempt.stop().stop(reason));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskq_core::{Client, Clock, Invocation, LogLine, Progress, TaskId, Timestamp, WorkerId, context::Host};

    struct Nobody(Client);

    impl Host for Nobody {
        fn app(&self) -> &(dyn std::any::Any + Send + Sync) {
            &()
        }

        fn report(&self, _: &TaskId, _: DeliveryToken, _: Progress) {}

        fn log(&self, _: &TaskId, _: LogLine) {}

        fn client(&self) -> &Client {
            &self.0
        }

        fn clock(&self) -> &Clock {
            self.0.connection().clock()
        }
    }

    fn attempt(token: u64) -> Ready {
        let nothing = std::collections::BTreeMap::<String, u8>::new();
        let envelope = Invocation::named("noop", &nothing).into_envelope();
        let host = Arc::new(Nobody(taskq_core::broker::memory::connect(Clock::system()).client()));
        let (envelope, token) = (Arc::new(envelope.expect("valid")), DeliveryToken(token));
        let context = Arc::new(AttemptContext::new(envelope, token, Timestamp::default(), host));
        Ready { context, task: None }
    }

    #[test]
    fn a_delivery_begins_once_and_its_end_is_noted_by_whoever_looks() {
        let (attempts, queue) = (Attempts::default(), QueueName::new("q").expect("valid"));
        let owner = Owner { worker: WorkerId::generate(), term: 0 };
        let (first, second) = (attempt(1), attempt(2));
        let mut claimed = vec![first.clone(), second.clone()];
        attempts.begin(&queue, owner, &mut claimed);
        let mut again = vec![first.clone()];
        attempts.begin(&queue, owner, &mut again);
        assert_eq!((claimed.len(), again.len()), (2, 0));

        attempts.end(&queue, std::iter::once(DeliveryId::of(&first.context)));
        attempts.look(&queue);
        attempts.end(&queue, std::iter::once(DeliveryId::of(&second.context)));
        assert_eq!(attempts.looked(&queue), [DeliveryId::of(&second.context)], "only what ended since");
        assert!(attempts.is_empty() && attempts.looked(&queue).is_empty());
    }
}
