//! Housekeeping of a queue in bounded steps: due tasks into the line, dead workers' tasks back, old records out.

use std::time::Duration;

use rusqlite::{OptionalExtension, params};
use taskq_core::{broker::SweepAnswer, clock::Timestamp, id::QueueName, state::DeadReason};

use super::{
    bounds::BATCH_MEMORY,
    claim::earliest_due,
    failure::Failure,
    lease::{self, held_rows},
    logs,
    queue_row::QueueRow,
    step::Step,
    task_row::TaskRow,
};

/// Logs that one sweep forgets. Each may have [`MAX_LOG_LINES`](taskq_core::limits::MAX_LOG_LINES) lines.
const FORGET_LOGS: usize = 20;

/// In: queue, now, limit; out: due tasks in the order of their times, merged from two ranges of an index.
pub(super) const DUE: &str = "SELECT task, place, due FROM taskq_tasks WHERE queue = ?1 AND state = 0 AND due <= ?2
     UNION ALL SELECT task, place, due FROM taskq_tasks WHERE queue = ?1 AND state = 3 AND due <= ?2
     ORDER BY due, task LIMIT ?3";

/// In: queue; out: when the first record is to be forgotten.
pub(super) const EARLIEST_OLD: &str =
    "SELECT min(at) FROM (SELECT min(prune) AS at FROM taskq_tasks WHERE queue = ?1 AND prune IS NOT NULL
     UNION ALL SELECT min(until) FROM taskq_uniques WHERE queue = ?1 AND until IS NOT NULL
     UNION ALL SELECT min(until) FROM taskq_logs WHERE queue = ?1)";

/// One sweep: at most `limit` items of each kind.
pub(super) fn sweep(step: &Step<'_>, name: &QueueName, limit: usize) -> Result<SweepAnswer, Failure> {
    let Some(mut queue) = QueueRow::find(step, name)? else { return Ok(SweepAnswer::default()) };
    let mut answer = SweepAnswer { due: promote_due(step, &mut queue, name, limit)?, ..SweepAnswer::default() };
    let spared = reclaim(step, &queue, name, limit, &mut answer)?;
    answer.pruned = prune(step, &queue, limit)?;
    let forgotten = forget_keys(step, &queue, limit)?.max(forget_batches(step, limit)?);
    let logs = logs::forget(step, &queue, limit.min(FORGET_LOGS))?;
    answer.more = spared || logs == FORGET_LOGS || [answer.due, answer.pruned, forgotten].contains(&limit);
    queue.store(step)?;
    Ok(answer)
}

/// `scheduled, retrying -> ready`, in the order of their due times, at the end of the line.
pub(super) fn promote_due(
    step: &Step<'_>,
    queue: &mut QueueRow,
    name: &QueueName,
    limit: usize,
) -> Result<usize, Failure> {
    let mut due = step.sql(DUE)?;
    let rows =
        due.query_map(params![queue.number, step.millis(), limit as i64], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let rows: Vec<(i64, i64)> = rows.collect::<Result<_, _>>()?;
    for (task, place) in &rows {
        // in: task, place; scheduled, retrying -> ready
        step.sql("UPDATE taskq_tasks SET state = 1, due = NULL, place = ?2 WHERE task = ?1")?
            .execute([*task, queue.last_place_beside(*place)])?;
    }
    if !rows.is_empty() {
        step.ring_for_work(name);
    }
    Ok(rows.len())
}

/// Takes the tasks of lapsed leases away from them. True if some are left for the next sweep.
fn reclaim(
    step: &Step<'_>,
    queue: &QueueRow,
    name: &QueueName,
    limit: usize,
    answer: &mut SweepAnswer,
) -> Result<bool, Failure> {
    for lease in lapsed_leases(step, queue)? {
        let left = limit.saturating_sub(answer.reclaimed + answer.buried);
        // One more than may be taken tells whether something stays.
        let held = held_rows(step, lease, left as i64 + 1)?;
        for (task, deliveries) in held.iter().take(left) {
            match reclaim_one(step, queue, name, task, *deliveries)? {
                Reclaimed::Ready => answer.reclaimed += 1,
                Reclaimed::Ended => answer.buried += 1,
            }
        }
        if held.len() > left {
            return Ok(true);
        }
        lease::forget(step, lease)?;
    }
    Ok(false)
}

enum Reclaimed {
    Ready,
    Ended,
}

/// `running -> ready` in its old place; or cancelled, if that was asked for; or dead, if it was handed out too often.
fn reclaim_one(
    step: &Step<'_>,
    queue: &QueueRow,
    name: &QueueName,
    task: &TaskRow,
    (deliveries, max_deliveries): lease::Deliveries,
) -> Result<Reclaimed, Failure> {
    if !task.cancel && deliveries >= max_deliveries {
        task.bury(step, queue, name, DeadReason::Crashed)?;
        return Ok(Reclaimed::Ended);
    }
    task.take_back(step, queue, name, deliveries)?;
    Ok(if task.cancel { Reclaimed::Ended } else { Reclaimed::Ready })
}

fn lapsed_leases(step: &Step<'_>, queue: &QueueRow) -> Result<Vec<i64>, Failure> {
    // in: queue, boot, now; out: leases that are over
    let mut statement = step.sql(
        "SELECT lease FROM taskq_leases WHERE queue = ?1 AND (boot <> ?2 OR expires <= ?3 OR expires > ?3 + length)
         ORDER BY lease",
    )?;
    let boot = step.boot();
    let rows = statement.query_map(params![queue.number, boot.id(), boot.millis()], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Drops results, ends and dead letters whose time is over.
fn prune(step: &Step<'_>, queue: &QueueRow, limit: usize) -> Result<usize, Failure> {
    // in: queue, now, limit; drops ended tasks
    Ok(step
        .sql(
            "DELETE FROM taskq_tasks WHERE task IN
             (SELECT task FROM taskq_tasks WHERE queue = ?1 AND prune <= ?2 ORDER BY prune LIMIT ?3)",
        )?
        .execute(params![queue.number, step.millis(), limit as i64])?)
}

/// Drops unique keys whose time is over; they are free already.
fn forget_keys(step: &Step<'_>, queue: &QueueRow, limit: usize) -> Result<usize, Failure> {
    // in: queue, now, limit; drops unique keys
    Ok(step
        .sql(
            "DELETE FROM taskq_uniques WHERE queue = ?1 AND name IN
             (SELECT name FROM taskq_uniques WHERE queue = ?1 AND until <= ?2 ORDER BY until LIMIT ?3)",
        )?
        .execute(params![queue.number, step.millis(), limit as i64])?)
}

/// Drops batches, of any queue, that no client repeats any more. They are numbered in the order of their acceptance.
fn forget_batches(step: &Step<'_>, limit: usize) -> Result<usize, Failure> {
    let before = step.millis().saturating_sub(BATCH_MEMORY.as_millis() as i64);
    // in: before, limit; drops batches
    Ok(step
        .sql(
            "DELETE FROM taskq_batches WHERE accepted <= ?1 AND number IN
             (SELECT number FROM taskq_batches ORDER BY number LIMIT ?2)",
        )?
        .execute(params![before, limit as i64])?)
}

/// Whether tasks stand in the line.
pub(super) fn has_ready(step: &Step<'_>, queue: &QueueRow) -> Result<bool, Failure> {
    // in: queue
    Ok(step.sql("SELECT 1 FROM taskq_tasks WHERE queue = ?1 AND state = 1 LIMIT 1")?.exists([queue.number])?)
}

/// How long it is until a sweep finds something: a due task, an old record, or another worker's lapsed lease.
pub(super) fn useful_in(
    step: &Step<'_>,
    queue: &QueueRow,
    own_lease: Option<i64>,
) -> Result<Option<Duration>, Failure> {
    let old: Option<i64> = step.sql(EARLIEST_OLD)?.query_row([queue.number], |row| row.get(0))?;
    let by_wall = old.into_iter().chain(earliest_due(step, queue)?).min();
    let by_wall = by_wall.map(|at| Timestamp::from_millis(at).since(step.now()));
    let boot = step.boot();
    // in: queue, own lease, boot, now; out: the earliest end of another's lease, one of another boot being over
    let by_boot: Option<i64> = step
        .sql(
            "SELECT min(CASE WHEN boot = ?3 THEN min(expires, ?4 + length) ELSE ?4 END) FROM taskq_leases
             WHERE queue = ?1 AND lease IS NOT ?2",
        )?
        .query_row(params![queue.number, own_lease, boot.id(), boot.millis()], |row| row.get(0))
        .optional()?
        .flatten();
    let by_boot =
        by_boot.map(|expires| Duration::from_millis(u64::try_from(expires.saturating_sub(boot.millis())).unwrap_or(0)));
    Ok(by_wall.into_iter().chain(by_boot).min())
}
