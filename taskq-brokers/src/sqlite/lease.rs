//! A worker process's lease on a queue: joined, renewed, left, or taken away. All of a worker's tasks hang on it.
//!
//! `taskq_tasks.lease` says which lease holds a running task, so that what a dead worker held is one index range.

use std::time::Duration;

use rusqlite::{OptionalExtension, params};
use taskq_core::{
    broker::BeatAnswer,
    error::ErrorKind,
    id::{ClaimNumber, Owner, QueueName, TaskKey},
};

use super::{
    failure::Failure,
    queue_row::QueueRow,
    step::Step,
    sweep,
    task_row::{TaskRow, task_columns},
};

/// A lease within a step.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) number: i64,
    /// Up to which number its owner's claims are over.
    pub(super) overtaken: i64,
    alive: bool,
    /// How long each renewal lasts, in milliseconds.
    length: i64,
}

impl Lease {
    fn find(step: &Step<'_>, queue: &QueueRow, owner: Owner) -> Result<Option<Self>, Failure> {
        // in: queue, owner, boot, now; out: the lease, whether it lives, which of its claims are over, its length
        let found = step
            .sql(
                "SELECT lease, boot = ?3 AND expires > ?4 AND expires <= ?4 + length, overtaken, length FROM taskq_leases
                 WHERE queue = ?1 AND owner = ?2",
            )?
            .query_row(
                params![queue.number, owner.to_string(), step.boot().id(), step.boot().millis()],
                |row| Ok(Self { number: row.get(0)?, alive: row.get(1)?, overtaken: row.get(2)?, length: row.get(3)? }),
            )
            .optional()?;
        Ok(found)
    }

    /// The owner's lease if it lives; a lapsed one is none, even before a sweep takes its tasks.
    pub(super) fn living(step: &Step<'_>, queue: &QueueRow, owner: Owner) -> Result<Option<Self>, Failure> {
        Ok(Self::find(step, queue, owner)?.filter(|lease| lease.alive))
    }

    /// From now on the owner's claims up to this number are over.
    pub(super) fn overtake(&self, step: &Step<'_>, last: ClaimNumber) -> Result<(), Failure> {
        // in: lease, number
        step.sql("UPDATE taskq_leases SET overtaken = max(overtaken, ?2) WHERE lease = ?1")?
            .execute([self.number, last.0 as i64])?;
        Ok(())
    }

    fn renew(&self, step: &Step<'_>) -> Result<(), Failure> {
        self.renew_for(step, self.length)
    }

    fn renew_for(&self, step: &Step<'_>, length: i64) -> Result<(), Failure> {
        // in: lease, end, length
        step.sql("UPDATE taskq_leases SET expires = ?2, length = ?3 WHERE lease = ?1")?.execute([
            self.number,
            step.boot().millis().saturating_add(length),
            length,
        ])?;
        Ok(())
    }
}

/// Begins a term. Repeating it renews; a term that lapsed cannot begin again.
pub(super) fn join(step: &Step<'_>, name: &QueueName, owner: Owner, length: Duration) -> Result<(), Failure> {
    let queue = QueueRow::open(step, name)?;
    let length = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
    match Lease::find(step, &queue, owner)? {
        Some(lease) if lease.alive => lease.renew_for(step, length),
        Some(_) => {
            let text = format!("the term {} of this worker lapsed; join with the next one", owner.term);
            Err(Failure::new(ErrorKind::Fenced, text))
        }
        None => {
            let expires = step.boot().millis().saturating_add(length);
            // in: queue, owner, boot, end, length; begins the lease
            step.sql("INSERT INTO taskq_leases (queue, owner, boot, expires, length) VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute(params![queue.number, owner.to_string(), step.boot().id(), expires, length])?;
            Ok(())
        }
    }
}

/// Renews the leases that live, and tells what a worker should know about its queues.
pub(super) fn beat(step: &Step<'_>, beats: &[(Owner, QueueName)]) -> Result<Vec<BeatAnswer>, Failure> {
    beats.iter().map(|(owner, name)| beat_queue(step, *owner, name)).collect()
}

fn beat_queue(step: &Step<'_>, owner: Owner, name: &QueueName) -> Result<BeatAnswer, Failure> {
    let lost = BeatAnswer { alive: false, cancelled: Vec::new(), ready: false, sweep_in: None };
    let Some(queue) = QueueRow::find(step, name)? else { return Ok(lost) };
    let lease = Lease::find(step, &queue, owner)?;
    let alive = lease.as_ref().is_some_and(|lease| lease.alive);
    let cancelled = match &lease {
        Some(lease) => asked_to_stop(step, lease)?,
        None => Vec::new(),
    };
    if let Some(lease) = lease.as_ref().filter(|_| alive) {
        lease.renew(step)?;
    }
    Ok(BeatAnswer {
        alive,
        cancelled,
        ready: queue.paused.is_none() && sweep::has_ready(step, &queue)?,
        sweep_in: sweep::useful_in(step, &queue, lease.map(|lease| lease.number))?,
    })
}

/// The tasks of a lease whose end was asked for.
fn asked_to_stop(step: &Step<'_>, lease: &Lease) -> Result<Vec<TaskKey>, Failure> {
    // in: lease; out: task keys
    let mut statement = step.sql("SELECT key FROM taskq_tasks WHERE lease = ?1 AND cancel = 1")?;
    let keys = statement.query_map([lease.number], |row| row.get::<_, Vec<u8>>(0))?;
    let keys: Vec<_> = keys.collect::<Result<_, _>>()?;
    Ok(keys.iter().filter_map(|key| TaskKey::from_bytes(key).ok()).collect())
}

/// Ends a term: `running -> ready` for all it holds, as if never handed out.
pub(super) fn leave(step: &Step<'_>, name: &QueueName, owner: Owner) -> Result<(), Failure> {
    let Some(queue) = QueueRow::find(step, name)? else { return Ok(()) };
    // What a lapsed lease holds is for the sweep, which counts its deliveries.
    let Some(lease) = Lease::living(step, &queue, owner)? else { return Ok(()) };
    // As many as one process had slots; a term ends whole or not at all.
    for (task, _) in held_rows(step, lease.number, i64::MAX)? {
        task.take_back(step, &queue, name, 0)?;
    }
    forget(step, lease.number)
}

/// Deliveries of a held task, and how many it may have.
pub(super) type Deliveries = (i64, i64);

/// What a lease holds, at most `count` tasks.
pub(super) fn held_rows(step: &Step<'_>, lease: i64, count: i64) -> Result<Vec<(TaskRow, Deliveries)>, Failure> {
    // in: lease, count; out: its tasks
    let mut statement = step.sql(concat!(
        "SELECT ",
        task_columns!(),
        ", deliveries, max_deliveries FROM taskq_tasks WHERE lease = ?1 LIMIT ?2"
    ))?;
    let rows = statement.query_map([lease, count], |row| Ok((TaskRow::read(row)?, (row.get(8)?, row.get(9)?))))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Forgets a lease that holds nothing.
pub(super) fn forget(step: &Step<'_>, lease: i64) -> Result<(), Failure> {
    // in: lease
    step.sql("DELETE FROM taskq_leases WHERE lease = ?1")?.execute([lease])?;
    Ok(())
}
