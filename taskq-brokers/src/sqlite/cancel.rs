//! Ends a task by request: one that waits at once, one that runs by telling its worker.

use rusqlite::{OptionalExtension, params};
use taskq_core::{broker::CancelAnswer, id::TaskId, state::State};

use super::{
    failure::Failure,
    queue_row::QueueRow,
    step::Step,
    task_row::{End, TaskRow, task_columns},
};

/// `scheduled, ready, retrying -> cancelled`; a running task is marked, and its worker's next beat tells it.
pub(super) fn cancel(step: &Step<'_>, id: &TaskId) -> Result<CancelAnswer, Failure> {
    let Some(queue) = QueueRow::find(step, &id.queue)? else { return Ok(CancelAnswer::NotFound) };
    // in: queue, key; out: the task and its expiry
    let found: Option<(TaskRow, Option<i64>)> = step
        .sql(concat!("SELECT ", task_columns!(), ", expires FROM taskq_tasks WHERE queue = ?1 AND key = ?2"))?
        .query_row(params![queue.number, id.key.to_bytes()], |row| Ok((TaskRow::read(row)?, row.get(8)?)))
        .optional()?;
    let Some((task, expires)) = found else { return Ok(CancelAnswer::NotFound) };
    match task.state {
        State::Running => {
            // in: task
            step.sql("UPDATE taskq_tasks SET cancel = 1 WHERE task = ?1")?.execute([task.task])?;
            Ok(CancelAnswer::Requested)
        }
        State::Scheduled | State::Ready | State::Retrying
            if expires.is_some_and(|expires| expires <= step.millis()) =>
        {
            task.end(step, &queue, &id.queue, End::Expired, None)?;
            Ok(CancelAnswer::AlreadyEnded)
        }
        State::Scheduled | State::Ready | State::Retrying => {
            task.end(step, &queue, &id.queue, End::Cancelled, None)?;
            Ok(CancelAnswer::Cancelled)
        }
        State::Succeeded | State::Dead | State::Cancelled | State::Expired | State::Untracked => {
            Ok(CancelAnswer::AlreadyEnded)
        }
    }
}
