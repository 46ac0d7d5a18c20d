//! The contract for operators: what they change of that which a broker holds.

use std::{fmt, future::Future};

use async_trait::async_trait;

use crate::{
    error::Result,
    id::{QueueName, TaskId},
    limits,
};

/// Changes what a broker holds, for operators.
#[async_trait]
pub trait Control: fmt::Debug + Send + Sync {
    /// Makes a dead letter ready again with all attempts. False if there is no such dead letter.
    async fn replay(&self, id: &TaskId) -> Result<bool>;

    /// Forgets a dead letter. False if there is no such dead letter.
    async fn drop_dead(&self, id: &TaskId) -> Result<bool>;

    /// Makes a scheduled or retrying task ready at once, as if it were due. False if no such task waits for its time.
    async fn run_now(&self, id: &TaskId) -> Result<bool>;

    /// Hands out nothing more of a queue until it is resumed. What runs goes on, and tasks are accepted as before. False
    /// if it was paused already.
    async fn pause(&self, queue: &QueueName) -> Result<bool>;

    /// Hands out tasks of a queue again. False if it was not paused.
    async fn resume(&self, queue: &QueueName) -> Result<bool>;

    /// One step of emptying a queue: at most `limit` items go, and never more than [`limits::PURGE_BATCH`], so that no
    /// purge stalls the broker. Waiting tasks end as [`Broker::cancel`](crate::Broker::cancel) ends them, those first that would start next; dead
    /// letters go as [`drop_dead`](Self::drop_dead) drops them, oldest first. Running tasks are left alone.
    async fn purge(&self, queue: &QueueName, what: Purge, limit: usize) -> Result<PurgeAnswer>;
}

/// What operators do in many steps of [`Control`].
pub trait ControlExt: Control {
    /// Purges until nothing is left, and answers how many went. After every step `progress` hears how many that are so
    /// far. Somebody who goes on enqueueing keeps it going; dropping the future stops it between two steps.
    ///
    /// ```
    /// # use taskq_core::{Clock, ControlExt, Purge, QueueName, broker::memory};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> taskq_core::Result<()> {
    /// # let connection = memory::connect(Clock::system());
    /// let queue = QueueName::new("mail")?;
    /// let purged = connection.control().purge_all(&queue, Purge::Waiting, |purged| println!("{purged} so far")).await?;
    /// # assert_eq!(purged, 0);
    /// # Ok(())
    /// # }
    /// ```
    fn purge_all(
        &self,
        queue: &QueueName,
        what: Purge,
        mut progress: impl FnMut(u64) + Send,
    ) -> impl Future<Output = Result<u64>> + Send {
        async move {
            let mut purged = 0;
            loop {
                let answer = self.purge(queue, what, limits::PURGE_BATCH).await?;
                purged += answer.purged as u64;
                progress(purged);
                if !answer.more {
                    return Ok(purged);
                }
            }
        }
    }
}

impl<C: Control + ?Sized> ControlExt for C {}

/// What a purge takes out of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purge {
    /// Tasks that wait: ready, scheduled and retrying ones. They become cancelled, or expired if their time is over.
    Waiting,
    /// Dead letters. They are forgotten.
    DeadLetters,
}

/// What one step of a purge did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PurgeAnswer {
    /// How many tasks or dead letters went.
    pub purged: usize,
    /// Whether more is left. A step can also stop early, or find nothing but traces of what had ended before.
    pub more: bool,
}
