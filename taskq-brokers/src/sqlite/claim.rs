//! Hands out tasks: highest priority first, oldest first within one, each counted and fenced in the same step.

use std::time::Duration;

use rusqlite::{OptionalExtension, params};
use taskq_core::{
    broker::{ClaimAnswer, Claimed},
    clock::Timestamp,
    envelope::Envelope,
    error::{ErrorKind, Result as CoreResult},
    id::{ClaimNumber, DeliveryToken, Owner, QueueName, TaskId, TaskKey},
    invocation::Expiry,
    limits,
    state::DeadReason,
};

use super::{
    bounds::{ENDED_BY_CLAIM, PROMOTED_BY_CLAIM},
    failure::Failure,
    lease::Lease,
    queue_row::QueueRow,
    step::Step,
    sweep,
    task_row::{End, TaskRow, task_columns},
};

/// In: queue; out: the earliest due times of scheduled and of retrying tasks, each the beginning of a range of an index.
pub(super) const EARLIEST_DUE: &str =
    "SELECT (SELECT min(due) FROM taskq_tasks WHERE queue = ?1 AND state = 0 AND due IS NOT NULL),
     (SELECT min(due) FROM taskq_tasks WHERE queue = ?1 AND state = 3 AND due IS NOT NULL)";

/// Takes up to `count` ready tasks for the owner.
pub(super) fn claim(
    step: &Step<'_>,
    name: &QueueName,
    owner: Owner,
    count: usize,
    number: ClaimNumber,
) -> Result<ClaimAnswer, Failure> {
    let count = count.min(limits::CLAIM_BATCH);
    let Some(mut queue) = QueueRow::find(step, name)? else { return Err(Failure::no_lease(owner)) };
    let Some(lease) = Lease::living(step, &queue, owner)? else { return Err(Failure::no_lease(owner)) };
    if number.0 as i64 <= lease.overtaken {
        return Err(Failure::new(ErrorKind::Fenced, "the worker has given this claim up"));
    }
    if queue.paused.is_some() {
        // Whoever waits hears of the end of the pause; no due time could tell it more.
        return Ok(ClaimAnswer::default());
    }
    let mut next_due = next_due(step, &queue)?;
    if next_due == Some(Duration::ZERO) {
        sweep::promote_due(step, &mut queue, name, PROMOTED_BY_CLAIM)?;
        next_due = self::next_due(step, &queue)?;
    }
    let mut claimed = Vec::with_capacity(count);
    let mut ended = 0;
    while claimed.len() < count && ended < ENDED_BY_CLAIM {
        let first = first_in_line(step, &queue, count - claimed.len())?;
        if first.is_empty() {
            break;
        }
        for ready in first {
            match hand_out(step, &mut queue, name, &lease, ready)? {
                Some(task) => claimed.push(task),
                None => ended += 1,
            }
        }
    }
    queue.store(step)?;
    Ok(ClaimAnswer { claimed, next_due })
}

/// A ready task, about to be handed out.
struct Ready {
    task: TaskRow,
    expires: Option<i64>,
    deliveries: u8,
    body: Option<Vec<u8>>,
}

fn first_in_line(step: &Step<'_>, queue: &QueueRow, count: usize) -> Result<Vec<Ready>, Failure> {
    // in: queue, count; out: ready tasks in their order
    let mut statement = step.sql(concat!(
        "SELECT ",
        task_columns!(),
        ", expires, deliveries, body FROM taskq_tasks WHERE queue = ?1 AND state = 1 ORDER BY place LIMIT ?2"
    ))?;
    let rows = statement.query_map(params![queue.number, count as i64], |row| {
        Ok(Ready { task: TaskRow::read(row)?, expires: row.get(8)?, deliveries: row.get(9)?, body: row.get(10)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// `ready -> running`; or expired, or dead if its bytes do not decode: then there is nothing to hand out.
fn hand_out(
    step: &Step<'_>,
    queue: &mut QueueRow,
    name: &QueueName,
    lease: &Lease,
    ready: Ready,
) -> Result<Option<Claimed>, Failure> {
    let task = &ready.task;
    if ready.expires.is_some_and(|expires| expires <= step.millis()) {
        task.end(step, queue, name, End::Expired, None)?;
        return Ok(None);
    }
    let Ok(envelope) = decode(name, &task.key, ready.body.as_deref().unwrap_or_default(), ready.expires) else {
        task.bury(step, queue, name, DeadReason::Undecodable)?;
        return Ok(None);
    };
    let freed = task.free_unique_key_at_start(step, queue)?;
    let token = queue.next_token();
    let deliveries = ready.deliveries.saturating_add(1);
    // in: task, lease, token, deliveries, whether the unique key was freed; ready -> running
    step.sql(
        "UPDATE taskq_tasks SET state = 2, lease = ?2, token = ?3, deliveries = ?4,
         unique_key = CASE WHEN ?5 THEN NULL ELSE unique_key END WHERE task = ?1",
    )?
    .execute(params![task.task, lease.number, token.0 as i64, deliveries, freed])?;
    Ok(Some(Claimed { token, deliveries, envelope: envelope.into() }))
}

/// The envelope of a row: its bytes, its key, and the expiry, which is a column.
pub(super) fn decode(name: &QueueName, key: &[u8], body: &[u8], expires: Option<i64>) -> CoreResult<Envelope> {
    let id = TaskId::new(name.clone(), TaskKey::from_bytes(key)?);
    let mut envelope = Envelope::decode(id, body)?;
    envelope.expiry = expires.map(|expires| Expiry::At(Timestamp::from_millis(expires)));
    Ok(envelope)
}

/// How long it is until a scheduled or retrying task is due.
pub(super) fn next_due(step: &Step<'_>, queue: &QueueRow) -> Result<Option<Duration>, Failure> {
    Ok(earliest_due(step, queue)?.map(|due| Timestamp::from_millis(due).since(step.now())))
}

/// When a scheduled or retrying task is due next.
pub(super) fn earliest_due(step: &Step<'_>, queue: &QueueRow) -> Result<Option<i64>, Failure> {
    let earliest: [Option<i64>; 2] =
        step.sql(EARLIEST_DUE)?.query_row([queue.number], |row| Ok([row.get(0)?, row.get(1)?]))?;
    Ok(earliest.into_iter().flatten().min())
}

/// Everything that the owner holds, under the tokens it was handed out with; its claims so far are over.
pub(super) fn held(
    step: &Step<'_>,
    name: &QueueName,
    owner: Owner,
    last: ClaimNumber,
) -> Result<Vec<Claimed>, Failure> {
    let Some(queue) = QueueRow::find(step, name)? else { return Err(Failure::no_lease(owner)) };
    let Some(lease) = Lease::living(step, &queue, owner)? else { return Err(Failure::no_lease(owner)) };
    lease.overtake(step, last)?;
    // in: lease; out: its tasks in the order of their hand-out
    let mut statement =
        step.sql("SELECT key, token, deliveries, expires, body FROM taskq_tasks WHERE lease = ?1 ORDER BY token")?;
    let rows = statement
        .query_map([lease.number], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))?;
    let mut held = Vec::new();
    for row in rows {
        let (key, token, deliveries, expires, body): (Vec<u8>, i64, u8, Option<i64>, Vec<u8>) = row?;
        // It decoded when it was handed out.
        if let Ok(envelope) = decode(name, &key, &body, expires) {
            held.push(Claimed { token: DeliveryToken(token.unsigned_abs()), deliveries, envelope: envelope.into() });
        }
    }
    Ok(held)
}

/// Whether this row, found by queue and key, is held under `token` by a living lease of the owner.
pub(super) fn is_held(
    step: &Step<'_>,
    queue: &QueueRow,
    lease: &Lease,
    key: &[u8],
    token: DeliveryToken,
) -> Result<Option<i64>, Failure> {
    // in: queue, key, lease, token; out: the task
    let task = step
        .sql("SELECT task FROM taskq_tasks WHERE queue = ?1 AND key = ?2 AND lease = ?3 AND token = ?4 AND state = 2")?
        .query_row(params![queue.number, key, lease.number, token.0 as i64], |row| row.get(0))
        .optional()?;
    Ok(task)
}
