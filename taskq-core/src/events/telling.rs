//! [`Telling`]: tells what operators change.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;

use super::{Outlet, What};
use crate::{
    control::{Control, Purge, PurgeAnswer},
    error::Result,
    id::{QueueName, TaskId},
};

/// Controls a broker, and tells of what that has changed. Of tasks there can be as many as an operator selects.
#[derive(Debug)]
pub(crate) struct Telling {
    control: Arc<dyn Control>,
    outlet: Arc<Outlet>,
    /// What went in the steps of purges that have not come to their end: a queue of a million is one event.
    purged: Mutex<BTreeMap<(QueueName, Purge), u64>>,
}

impl Telling {
    pub(crate) fn new(control: Arc<dyn Control>, outlet: Arc<Outlet>) -> Self {
        Self { control, outlet, purged: Mutex::default() }
    }

    /// How many went since the beginning of a purge that ends now, if it does.
    fn at_its_end(&self, queue: &QueueName, what: Purge, answer: PurgeAnswer) -> Option<u64> {
        let key = (queue.clone(), what);
        // Nothing panics while holding it.
        let mut purged = self.purged.lock().unwrap_or_else(PoisonError::into_inner);
        let count = purged.remove(&key).unwrap_or_default() + answer.purged as u64;
        if answer.more {
            purged.insert(key, count);
            return None;
        }
        Some(count).filter(|count| *count > 0)
    }
}

#[async_trait]
impl Control for Telling {
    async fn replay(&self, id: &TaskId) -> Result<bool> {
        let is_replayed = self.control.replay(id).await?;
        if is_replayed {
            self.outlet.tell_of_task(What::Replayed { id: id.clone() });
        }
        Ok(is_replayed)
    }

    async fn drop_dead(&self, id: &TaskId) -> Result<bool> {
        let is_dropped = self.control.drop_dead(id).await?;
        if is_dropped {
            self.outlet.tell_of_task(What::Dropped { id: id.clone() });
        }
        Ok(is_dropped)
    }

    async fn run_now(&self, id: &TaskId) -> Result<bool> {
        let is_moved = self.control.run_now(id).await?;
        if is_moved {
            self.outlet.tell_of_task(What::RunNow { id: id.clone() });
        }
        Ok(is_moved)
    }

    async fn pause(&self, queue: &QueueName) -> Result<bool> {
        let is_new = self.control.pause(queue).await?;
        if is_new {
            self.outlet.tell(What::Paused { queue: queue.clone() });
        }
        Ok(is_new)
    }

    async fn resume(&self, queue: &QueueName) -> Result<bool> {
        let is_over = self.control.resume(queue).await?;
        if is_over {
            self.outlet.tell(What::Resumed { queue: queue.clone() });
        }
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
