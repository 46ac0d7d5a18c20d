//! [`Telling`]: tells what operators change.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;

use super::{Event, Outlet, What};
use crate::{
    clock::Clock,
    control::{Control, Purge, PurgeAnswer},
    error::Result,
    id::{QueueName, TaskId},
};

/// Controls a broker, and tells of what that has changed.
#[derive(Debug)]
pub(crate) struct Telling {
    control: Arc<dyn Control>,
    outlet: Arc<Outlet>,
    clock: Clock,
    /// What went in the steps of purges that have not come to their end: a queue of a million is one event.
    purged: Mutex<BTreeMap<(QueueName, bool), u64>>,
}

impl Telling {
    pub(crate) fn new(control: Arc<dyn Control>, outlet: Arc<Outlet>, clock: Clock) -> Self {
        Self { control, outlet, clock, purged: Mutex::default() }
    }

    /// Of tasks there can be as many as an operator selects.
    fn of_task(&self, is_changed: bool, what: impl FnOnce() -> What) {
        if is_changed {
            self.outlet.tell_of_tasks(1, std::iter::once_with(|| Event::new(self.clock.now(), what())));
        }
    }

    fn of_queue(&self, is_changed: bool, what: impl FnOnce() -> What) {
        if is_changed {
            self.outlet.tell(what());
        }
    }

    /// How many went since the beginning of a purge that ends now, if it does.
    fn at_its_end(&self, queue: &QueueName, what: Purge, answer: PurgeAnswer) -> Option<u64> {
        let key = (queue.clone(), what == Purge::DeadLetters);
        // Nothing panics while holding it.
        let mut purged = self.purged.lock().unwrap_or_else(PoisonError::into_inner);
        if answer.more {
            *purged.entry(key).or_default() += answer.purged as u64;
            return None;
        }
        let before = purged.remove(&key).unwrap_or_default();
        Some(before + answer.purged as u64).filter(|count| *count > 0)
    }
}

#[async_trait]
impl Control for Telling {
    async fn replay(&self, id: &TaskId) -> Result<bool> {
        let is_replayed = self.control.replay(id).await?;
        self.of_task(is_replayed, || What::Replayed { id: id.clone() });
        Ok(is_replayed)
    }

    async fn drop_dead(&self, id: &TaskId) -> Result<bool> {
        let is_dropped = self.control.drop_dead(id).await?;
        self.of_task(is_dropped, || What::Dropped { id: id.clone() });
        Ok(is_dropped)
    }

    async fn run_now(&self, id: &TaskId) -> Result<bool> {
        let is_moved = self.control.run_now(id).await?;
        self.of_task(is_moved, || What::RunNow { id: id.clone() });
        Ok(is_moved)
    }

    async fn pause(&self, queue: &QueueName) -> Result<bool> {
        let is_new = self.control.pause(queue).await?;
        self.of_queue(is_new, || What::Paused { queue: queue.clone() });
        Ok(is_new)
    }

    async fn resume(&self, queue: &QueueName) -> Result<bool> {
        let is_over = self.control.resume(queue).await?;
        self.of_queue(is_over, || What::Resumed { queue: queue.clone() });
        Ok(is_over)
    }

    async fn purge(&self, queue: &QueueName, what: Purge, limit: usize) -> Result<PurgeAnswer> {
        let answer = self.control.purge(queue, what, limit).await?;
        if let Some(count) = self.at_its_end(queue, what, answer) {
            self.outlet.tell(What::Purged { queue: queue.clone(), dead: what == Purge::DeadLetters, count });
        }
        Ok(answer)
    }
}
