//! A handle to an enqueued task: its state, its progress, its typed result.

use std::{fmt, marker::PhantomData, time::Duration};

use serde::de::DeserializeOwned;

use crate::{
    broker::{Accepted, CancelAnswer, Snapshot},
    client::Client,
    context::Progress,
    error::{Error, Result},
    id::TaskId,
    invocation::AnyTask,
    limits,
    logs::LogLine,
    state::{DeadReason, State},
    task::Task,
};

/// One enqueued invocation of the task `T`.
pub struct TaskHandle<T> {
    client: Client,
    id: TaskId,
    accepted: Accepted,
    marker: PhantomData<fn() -> T>,
}

/// Why waiting for a result gave none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The bound passed before the task ended; it goes on.
    #[error("{id} is {state} after {bound:?}")]
    TimedOut {
        /// The task.
        id: TaskId,
        /// Where it was at last.
        state: State,
        /// The bound that was given.
        bound: Duration,
    },
    /// The task is a dead letter.
    #[error("{id} is dead ({reason}) after {attempts} failed attempts: {error}")]
    Dead {
        /// The task.
        id: TaskId,
        /// Why it will not run again.
        reason: DeadReason,
        /// Attempts that failed.
        attempts: u32,
        /// The last error.
        error: String,
    },
    /// The task was cancelled.
    #[error("{0} was cancelled")]
    Cancelled(TaskId),
    /// The task was not started in time.
    #[error("{0} expired before it was started")]
    Expired(TaskId),
    /// The id was never accepted, or what was known of it is no longer kept.
    #[error("{0} is not known: never enqueued, or its result is no longer kept")]
    NotFound(TaskId),
    /// The task stores no result, so nobody can tell when it has succeeded.
    #[error("{0} stores no result to wait for")]
    NoResult(TaskId),
    /// The result does not decode into what this task returns: the id belongs to another task or version.
    #[error("the result of {id} is of another type: {error}")]
    OtherType {
        /// The task.
        id: TaskId,
        /// What does not fit, with its place.
        error: String,
    },
    /// The result is encrypted and does not open here, or is not encrypted where that is required.
    #[error(transparent)]
    Untrusted(Error),
    /// The broker could not be asked.
    #[error(transparent)]
    Broker(#[from] Error),
}

impl<T> TaskHandle<T> {
    pub(crate) fn new(client: Client, id: TaskId, accepted: Accepted) -> Self {
        Self { client, id, accepted, marker: PhantomData }
    }

    /// The task's id, `queue/key`.
    pub fn id(&self) -> &TaskId {
        &self.id
    }

    /// Whether the enqueueing that gave this handle made a new task; false if its id or unique key was taken.
    pub fn was_created(&self) -> bool {
        matches!(self.accepted, Accepted::Created | Accepted::Replaced(_))
    }

    /// What the broker answered to the enqueueing.
    pub fn accepted(&self) -> &Accepted {
        &self.accepted
    }

    /// Where the task is; `None` if it is not known.
    pub async fn state(&self) -> Result<Option<State>> {
        Ok(self.snapshot().await?.map(|snapshot| snapshot.state))
    }

    /// The latest progress report, while the task runs.
    pub async fn progress(&self) -> Result<Option<Progress>> {
        Ok(self.snapshot().await?.and_then(|snapshot| snapshot.progress))
    }

    /// Everything that is known of the task.
    pub async fn snapshot(&self) -> Result<Option<Snapshot>> {
        self.client.find(&self.id).await
    }

    /// What the task has logged, oldest first; see [`Client::log_lines`].
    pub async fn log_lines(&self) -> Result<Vec<LogLine>> {
        self.client.log_lines(&self.id).await
    }

    /// Asks for the end of the task.
    pub async fn cancel(&self) -> Result<CancelAnswer> {
        self.client.cancel(&self.id).await
    }

    /// Waits at most `bound` (up to a day) for the task to end, and takes its result as `V`.
    async fn wait_as<V: DeserializeOwned>(&self, bound: Duration) -> Result<V, WaitError> {
        let bound = bound.min(limits::MAX_WAIT);
        let id = || self.id.clone();
        let Some(snapshot) = self.client.wait(&self.id, bound).await? else {
            return Err(WaitError::NotFound(id()));
        };
        match snapshot.state {
            State::Succeeded => match snapshot.result {
                Some(stored) => {
                    let result =
                        self.client.connection().open_result(&self.id, stored).map_err(WaitError::Untrusted)?;
                    result.decode().map_err(|error| WaitError::OtherType { id: id(), error: error.to_string() })
                }
                None => Err(WaitError::NoResult(id())),
            },
            State::Dead => Err(WaitError::Dead {
                id: id(),
                reason: snapshot.reason.unwrap_or(DeadReason::Failed),
                attempts: snapshot.attempts,
                error: snapshot.last_error.unwrap_or_default(),
            }),
            State::Cancelled => Err(WaitError::Cancelled(id())),
            State::Expired => Err(WaitError::Expired(id())),
            State::Untracked => Err(WaitError::NoResult(id())),
            state => Err(WaitError::TimedOut { id: id(), state, bound }),
        }
    }
}

impl<T: Task> TaskHandle<T> {
    /// Waits at most `bound` (up to a day) for the task to end, and returns its result.
    pub async fn wait(&self, bound: Duration) -> Result<T::Output, WaitError> {
        self.wait_as(bound).await
    }
}

impl TaskHandle<AnyTask> {
    /// Waits at most `bound` (up to a day) for the task to end, and returns its result as the type you expect, for
    /// example `serde_json::Value`.
    pub async fn wait<V: DeserializeOwned>(&self, bound: Duration) -> Result<V, WaitError> {
        self.wait_as(bound).await
    }

    /// The same handle for a task that this program links.
    pub fn typed<T: Task>(self) -> TaskHandle<T> {
        TaskHandle { client: self.client, id: self.id, accepted: self.accepted, marker: PhantomData }
    }
}

impl<T> Clone for TaskHandle<T> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), id: self.id.clone(), accepted: self.accepted.clone(), marker: PhantomData }
    }
}

impl<T> fmt::Debug for TaskHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHandle").field("id", &self.id).field("accepted", &self.accepted).finish_non_exhaustive()
    }
}
