//! Ends attempts: result kept, unique key freed, waiting callers told, in the step that checks who may.

use rusqlite::{OptionalExtension, params};
use taskq_core::{
    broker::{Ending, Settled, Settlement},
    clock::Timestamp,
    codec::Payload,
    context::Progress,
    envelope::Envelope,
    error::ErrorKind,
    id::{DeliveryToken, Owner, QueueName, TaskKey},
    state::{DeadReason, State},
};

use super::{
    claim::is_held,
    failure::Failure,
    lease::Lease,
    queue_row::{QueueRow, place_outside_the_line},
    step::Step,
    task_row::{End, TaskRow, dead_until, task_columns},
};

/// A settlement taken apart, before the writer is bothered.
#[derive(Debug)]
pub(super) struct Closing {
    key: Vec<u8>,
    token: DeliveryToken,
    attempts: u32,
    priority: u8,
    keep_millis: i64,
    ending: ClosingEnding,
}

#[derive(Debug)]
enum ClosingEnding {
    Succeeded(Option<Payload>),
    /// When it is due, and the envelope with its failures.
    Retry(Timestamp, Vec<u8>),
    Dead(DeadReason, Vec<u8>),
    Cancelled,
    Released(Vec<u8>),
}

impl Closing {
    /// A settlement made now: what is relative becomes absolute.
    pub(super) fn new(settlement: &Settlement, now: Timestamp) -> Self {
        let envelope: &Envelope = &settlement.envelope;
        let ending = match &settlement.ending {
            Ending::Succeeded(result) => ClosingEnding::Succeeded(envelope.stores_result.then(|| result.clone())),
            Ending::Retry(delay) => ClosingEnding::Retry(now + *delay, envelope.encode()),
            Ending::Dead(reason) => ClosingEnding::Dead(*reason, envelope.encode()),
            Ending::Cancelled => ClosingEnding::Cancelled,
            Ending::Released => ClosingEnding::Released(envelope.encode()),
        };
        Self {
            key: envelope.id.key.to_bytes(),
            token: settlement.token,
            attempts: envelope.attempts,
            priority: envelope.priority,
            keep_millis: i64::try_from(envelope.result_ttl.as_millis()).unwrap_or(i64::MAX),
            ending,
        }
    }
}

/// Ends the attempts that the owner still holds; the others are fenced.
pub(super) fn settle(
    step: &Step<'_>,
    name: &QueueName,
    owner: Owner,
    closings: &[Closing],
) -> Result<Vec<Settled>, Failure> {
    let Some(mut queue) = QueueRow::find(step, name)? else { return Ok(vec![Settled::Fenced; closings.len()]) };
    let lease = Lease::living(step, &queue, owner)?;
    let settled = closings.iter().map(|closing| close(step, &mut queue, name, lease.as_ref(), closing)).collect();
    queue.store(step)?;
    settled
}

fn close(
    step: &Step<'_>,
    queue: &mut QueueRow,
    name: &QueueName,
    lease: Option<&Lease>,
    closing: &Closing,
) -> Result<Settled, Failure> {
    let Some(HeldTask { task, held_by, token }) = find(step, queue, &closing.key)? else { return Ok(Settled::Fenced) };
    if token != Some(closing.token.0 as i64) {
        return Ok(Settled::Fenced);
    }
    if task.state != State::Running {
        // Only a settlement leaves its token behind, so this one itself was applied before and its answer got lost.
        return Ok(Settled::Applied);
    }
    if held_by.is_none() || held_by != lease.map(|lease| lease.number) {
        return Ok(Settled::Fenced);
    }
    match &closing.ending {
        // What somebody cancelled is not handed out again.
        ClosingEnding::Retry(..) | ClosingEnding::Released(_) if task.cancel => {
            keep_attempts(step, &task, closing)?;
            task.end(step, queue, name, End::Cancelled, Some(closing.token))?;
        }
        ClosingEnding::Succeeded(result) => succeed(step, queue, name, &task, closing, result.as_ref())?,
        ClosingEnding::Dead(reason, body) => die(step, queue, name, &task, closing, *reason, body)?,
        ClosingEnding::Cancelled => task.end(step, queue, name, End::Cancelled, Some(closing.token))?,
        ClosingEnding::Retry(due, body) => retry(step, name, &task, closing, *due, body)?,
        ClosingEnding::Released(body) => release(step, name, &task, closing, body)?,
    }
    Ok(Settled::Applied)
}

/// Counts the failures that the last attempt added.
fn keep_attempts(step: &Step<'_>, task: &TaskRow, closing: &Closing) -> Result<(), Failure> {
    // in: task, failed attempts
    step.sql("UPDATE taskq_tasks SET attempts = ?2 WHERE task = ?1")?.execute(params![task.task, closing.attempts])?;
    Ok(())
}

/// A task and who holds it: the lease and the token of its last hand-out.
struct HeldTask {
    task: TaskRow,
    held_by: Option<i64>,
    token: Option<i64>,
}

fn find(step: &Step<'_>, queue: &QueueRow, key: &[u8]) -> Result<Option<HeldTask>, Failure> {
    // in: queue, key; out: the task, its lease and token
    let found = step
        .sql(concat!("SELECT ", task_columns!(), ", lease, token FROM taskq_tasks WHERE queue = ?1 AND key = ?2"))?
        .query_row(params![queue.number, key], |row| {
            Ok(HeldTask { task: TaskRow::read(row)?, held_by: row.get(8)?, token: row.get(9)? })
        })
        .optional()?;
    Ok(found)
}

/// `running -> succeeded`; an untracked task leaves nothing behind.
fn succeed(
    step: &Step<'_>,
    queue: &QueueRow,
    name: &QueueName,
    task: &TaskRow,
    closing: &Closing,
    result: Option<&Payload>,
) -> Result<(), Failure> {
    task.free_unique_key(step, queue)?;
    step.ring_for_end(name, &task.key);
    if task.is_untracked() {
        return task.forget(step);
    }
    let prune = step.millis().saturating_add(closing.keep_millis);
    // in: task, now, when to forget it, failed attempts, result; running -> succeeded
    step.sql(
        "UPDATE taskq_tasks SET state = 4, ended = ?2, prune = ?3, attempts = ?4, body = ?5, lease = NULL, cancel = 0,
         deliveries = 0, progress = NULL, unique_key = NULL WHERE task = ?1",
    )?
    .execute(params![
        task.task,
        step.millis(),
        prune,
        closing.attempts,
        result.map(|result| result.as_str().as_bytes())
    ])?;
    Ok(())
}

/// `running -> dead`.
fn die(
    step: &Step<'_>,
    queue: &QueueRow,
    name: &QueueName,
    task: &TaskRow,
    closing: &Closing,
    reason: DeadReason,
    body: &[u8],
) -> Result<(), Failure> {
    task.free_unique_key(step, queue)?;
    step.ring_for_end(name, &task.key);
    // in: task, now, when to forget it, failed attempts, reason, envelope; running -> dead
    step.sql(
        "UPDATE taskq_tasks SET state = 5, ended = ?2, prune = ?3, attempts = ?4, reason = ?5, body = ?6, lease = NULL,
         token = NULL, cancel = 0, deliveries = 0, progress = NULL, unique_key = NULL WHERE task = ?1",
    )?
    .execute(params![task.task, step.millis(), dead_until(step), closing.attempts, reason.as_str(), body])?;
    Ok(())
}

/// `running -> retrying`.
fn retry(
    step: &Step<'_>,
    name: &QueueName,
    task: &TaskRow,
    closing: &Closing,
    due: Timestamp,
    body: &[u8],
) -> Result<(), Failure> {
    // in: task, due, failed attempts, place, envelope; running -> retrying
    step.sql(
        "UPDATE taskq_tasks SET state = 3, due = ?2, attempts = ?3, place = ?4, body = ?5, lease = NULL, token = NULL,
         deliveries = 0, progress = NULL WHERE task = ?1",
    )?
    .execute(params![
        task.task,
        due.as_millis(),
        closing.attempts,
        place_outside_the_line(closing.priority),
        body
    ])?;
    step.ring_for_due(name);
    Ok(())
}

/// `running -> ready`, at its old place: it was never started.
fn release(step: &Step<'_>, name: &QueueName, task: &TaskRow, closing: &Closing, body: &[u8]) -> Result<(), Failure> {
    // in: task, failed attempts, envelope; running -> ready
    step.sql(
        "UPDATE taskq_tasks SET state = 1, attempts = ?2, body = ?3, lease = NULL, token = NULL, deliveries = 0,
         progress = NULL WHERE task = ?1",
    )?
    .execute(params![task.task, closing.attempts, body])?;
    step.ring_for_work(name);
    Ok(())
}

/// Keeps a progress report of a running attempt, if the owner still holds it.
pub(super) fn report(
    step: &Step<'_>,
    name: &QueueName,
    owner: Owner,
    key: &TaskKey,
    token: DeliveryToken,
    progress: &Progress,
) -> Result<Settled, Failure> {
    let Some(queue) = QueueRow::find(step, name)? else { return Ok(Settled::Fenced) };
    let Some(lease) = Lease::living(step, &queue, owner)? else { return Ok(Settled::Fenced) };
    let Some(task) = is_held(step, &queue, &lease, &key.to_bytes(), token)? else { return Ok(Settled::Fenced) };
    let text = serde_json::to_string(progress).map_err(|error| Failure::new(ErrorKind::Codec, error.to_string()))?;
    // in: task, report
    step.sql("UPDATE taskq_tasks SET progress = ?2 WHERE task = ?1")?.execute(params![task, text])?;
    Ok(Settled::Applied)
}
