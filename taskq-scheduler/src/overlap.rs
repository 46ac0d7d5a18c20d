//! What becomes of a tick while the task of an earlier one has not ended.
//!
//! Only ticks begin runs of an entry, and only the leader fires ticks. So what the leader sees can change in one way: the
//! run that it looks at ends. A look before the tick is as good as one in the same step.

use serde::{Deserialize, Serialize};
use taskq_core::{Connection, EntryId, FireTime, Result, TaskId, client::tell_cancelled};

/// What becomes of a tick while the task that the entry enqueued last waits, runs or is retried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It is fired all the same.
    #[default]
    Allow,
    /// It is skipped.
    Skip,
    /// It is fired when that task has ended; of several that wait the last one, and the others are skipped.
    ///
    /// Which ticks wait is in the leader's memory. After a change of leaders the policy for missed ticks decides.
    QueueOne,
    /// The old task is cancelled, and the tick is fired at once. A body that does not heed the cancellation runs on for its
    /// grace time.
    CancelOld,
}

/// What a tick may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Free,
    Skip,
    Wait,
}

impl Overlap {
    /// Looks at the last run; cancels it if that is the policy.
    pub(crate) async fn way(self, connection: &Connection, id: &EntryId, last: Option<FireTime>) -> Result<Way> {
        let broker = connection.broker();
        let Some(last) = last.filter(|_| self != Self::Allow) else { return Ok(Way::Free) };
        let task = TaskId::new(id.queue.clone(), id.name.tick_key(last));
        let has_ended = broker.find(&task).await?.is_none_or(|snapshot| snapshot.state.is_final());
        match self {
            _ if has_ended => Ok(Way::Free),
            Self::Allow => Ok(Way::Free),
            Self::Skip => Ok(Way::Skip),
            Self::QueueOne => Ok(Way::Wait),
            Self::CancelOld => {
                tell_cancelled(connection, &task, broker.cancel(&task).await?);
                Ok(Way::Free)
            }
        }
    }
}
