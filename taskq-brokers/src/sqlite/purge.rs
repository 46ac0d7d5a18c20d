//! Empties a queue in bounded steps: what waits is cancelled, dead letters are forgotten.

use rusqlite::params;
use taskq_core::{PurgeAnswer, id::QueueName};

use super::{
    control::forget_dead,
    failure::Failure,
    queue_row::QueueRow,
    step::Step,
    task_row::{End, TaskRow, task_columns},
};

/// A waiting task and its expiry.
type Waiting = (TaskRow, Option<i64>);

/// `ready, scheduled, retrying -> cancelled`, those first that would start next; `-> expired` where that time is over.
pub(super) fn purge_waiting(step: &Step<'_>, name: &QueueName, limit: usize) -> Result<PurgeAnswer, Failure> {
    let Some(queue) = QueueRow::find(step, name)? else { return Ok(PurgeAnswer::default()) };
    let mut purged = 0;
    for source in [
        // in: queue, limit; out: ready tasks and their expiry
        concat!(
            "SELECT ",
            task_columns!(),
            ", expires FROM taskq_tasks WHERE queue = ?1 AND state = 1 ORDER BY place LIMIT ?2"
        ),
        // in: queue, limit; out: scheduled and retrying tasks and their expiry
        concat!(
            "SELECT ",
            task_columns!(),
            ", expires, due FROM taskq_tasks WHERE queue = ?1 AND state = 0 AND due IS NOT NULL UNION ALL SELECT ",
            task_columns!(),
            ", expires, due FROM taskq_tasks WHERE queue = ?1 AND state = 3 AND due IS NOT NULL ORDER BY due, task LIMIT ?2"
        ),
    ] {
        for (task, expires) in waiting(step, &queue, source, limit - purged)? {
            let is_expired = expires.is_some_and(|expires| expires <= step.millis());
            task.end(step, &queue, name, if is_expired { End::Expired } else { End::Cancelled }, None)?;
            purged += 1;
        }
    }
    // in: queue
    let rest = "SELECT 1 FROM taskq_tasks WHERE queue = ?1 AND state = 1
                UNION ALL SELECT 1 FROM taskq_tasks WHERE queue = ?1 AND due IS NOT NULL LIMIT 1";
    Ok(PurgeAnswer { purged, more: step.sql(rest)?.exists([queue.number])? })
}

fn waiting(step: &Step<'_>, queue: &QueueRow, source: &'static str, limit: usize) -> Result<Vec<Waiting>, Failure> {
    let mut statement = step.sql(source)?;
    let rows = statement.query_map(params![queue.number, limit as i64], |row| {
        Ok((TaskRow::read(row)?, row.get::<_, Option<i64>>(8)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// `dead -> forgotten`, oldest first.
pub(super) fn purge_dead(step: &Step<'_>, name: &QueueName, limit: usize) -> Result<PurgeAnswer, Failure> {
    let Some(queue) = QueueRow::find(step, name)? else { return Ok(PurgeAnswer::default()) };
    // in: queue, limit; out: dead letters
    let mut statement = step.sql(concat!(
        "SELECT ",
        task_columns!(),
        " FROM taskq_tasks WHERE queue = ?1 AND state = 5 ORDER BY ended, task LIMIT ?2"
    ))?;
    let rows = statement.query_map(params![queue.number, limit as i64], TaskRow::read)?;
    let letters: Vec<TaskRow> = rows.collect::<Result<_, _>>()?;
    for letter in &letters {
        forget_dead(step, &queue, letter)?;
    }
    // in: queue
    let rest = "SELECT 1 FROM taskq_tasks WHERE queue = ?1 AND state = 5 LIMIT 1";
    Ok(PurgeAnswer { purged: letters.len(), more: step.sql(rest)?.exists([queue.number])? })
}
