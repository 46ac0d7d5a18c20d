//! Accepts tasks: all of a call or none, each once, and unique keys in the same step.

use rusqlite::{OptionalExtension, params};
use taskq_core::{
    broker::Accepted,
    clock::Timestamp,
    envelope::Envelope,
    id::{BatchId, QueueName, TaskKey},
    invocation::{Expiry, OnConflict, Start, UniqueKey, UniqueUntil},
    state::State,
};

use super::{
    bounds::BATCH_MEMORY,
    failure::Failure,
    queue_row::{QueueRow, place_outside_the_line},
    step::Step,
    task_row::{End, TaskRow, number_of, task_columns},
};

/// An envelope taken apart into columns, before the writer is bothered.
#[derive(Debug)]
pub(super) struct Arrival {
    key: Vec<u8>,
    priority: u8,
    due: Option<Timestamp>,
    expires: Option<Timestamp>,
    max_deliveries: u8,
    attempts: u32,
    keep_millis: i64,
    is_its_own_memory: bool,
    unique: Option<UniqueKey>,
    body: Vec<u8>,
}

impl Arrival {
    /// An envelope accepted now: what was relative becomes absolute.
    pub(super) fn new(envelope: &Envelope, now: Timestamp) -> Self {
        let mut accepted = envelope.clone();
        accepted.enqueued_at = Some(now);
        let due = match envelope.start {
            Start::Now => None,
            Start::After(delay) => Some(now + delay),
            Start::At(time) => Some(time),
        };
        let expires = envelope.expiry.map(|expiry| match expiry {
            Expiry::After(duration) => now + duration,
            Expiry::At(time) => time,
        });
        Self {
            key: envelope.id.key.to_bytes(),
            priority: envelope.priority,
            due: due.filter(|due| *due > now),
            expires,
            max_deliveries: envelope.max_deliveries,
            attempts: envelope.attempts,
            keep_millis: i64::try_from(envelope.result_ttl.as_millis()).unwrap_or(i64::MAX),
            is_its_own_memory: envelope.is_tracked()
                && !envelope.own_id
                && envelope.unique.is_none()
                && envelope.result_ttl >= BATCH_MEMORY,
            unique: envelope.unique.clone(),
            body: accepted.encode(),
        }
    }
}

/// Accepts a call's tasks, unless the same call was accepted before.
pub(super) fn enqueue(
    step: &Step<'_>,
    name: &QueueName,
    batch: BatchId,
    arrivals: &[Arrival],
) -> Result<Vec<Accepted>, Failure> {
    let mut queue = QueueRow::open(step, name)?;
    let is_new = match arrivals {
        // A lone task whose row outlives every repetition of the call needs no second memory: its key tells.
        [arrival] if arrival.is_its_own_memory => !is_remembered(step, &queue, &arrival.key)?,
        _ => remember(step, &queue, batch.as_bytes())?,
    };
    if !is_new {
        return Ok(vec![Accepted::Duplicate; arrivals.len()]);
    }
    let accepted = arrivals.iter().map(|arrival| accept(step, &mut queue, name, arrival)).collect();
    queue.store(step)?;
    accepted
}

/// Remembers a batch, or the key of a lone task that was dropped, for half an hour. False if it is remembered already.
pub(super) fn remember(step: &Step<'_>, queue: &QueueRow, batch: &[u8]) -> Result<bool, Failure> {
    // in: queue, batch, now; remembers it once
    let remembered = step
        .sql("INSERT INTO taskq_batches (queue, batch, accepted) VALUES (?1, ?2, ?3) ON CONFLICT (queue, batch) DO NOTHING")?
        .execute(params![queue.number, batch, step.millis()])?;
    Ok(remembered == 1)
}

fn is_remembered(step: &Step<'_>, queue: &QueueRow, batch: &[u8]) -> Result<bool, Failure> {
    // in: queue, batch
    Ok(step.sql("SELECT 1 FROM taskq_batches WHERE queue = ?1 AND batch = ?2")?.exists(params![queue.number, batch])?)
}

pub(super) fn accept(
    step: &Step<'_>,
    queue: &mut QueueRow,
    name: &QueueName,
    arrival: &Arrival,
) -> Result<Accepted, Failure> {
    let replaced = match &arrival.unique {
        None => None,
        Some(_) if is_known(step, queue, &arrival.key)? => return Ok(Accepted::Duplicate),
        Some(unique) => match make_room(step, queue, name, unique)? {
            Room::Free => None,
            Room::Replaced(key) => Some(key),
            Room::Held(key) => return Ok(Accepted::Held(key)),
        },
    };
    if !insert(step, queue, name, arrival)? {
        return Ok(Accepted::Duplicate);
    }
    if let Some(unique) = &arrival.unique {
        hold(step, queue, unique, &arrival.key)?;
    }
    Ok(replaced.map_or(Accepted::Created, Accepted::Replaced))
}

/// `-> ready, scheduled`. False if the key is known in any state: one table holds them all.
fn insert(step: &Step<'_>, queue: &mut QueueRow, name: &QueueName, arrival: &Arrival) -> Result<bool, Failure> {
    let (state, place) = match arrival.due {
        None => (State::Ready, queue.last_place(arrival.priority)),
        Some(_) => (State::Scheduled, place_outside_the_line(arrival.priority)),
    };
    let (unique_key, unique_start) = match &arrival.unique {
        Some(UniqueKey { key, until: UniqueUntil::Start, .. }) => (Some(key), true),
        Some(UniqueKey { key, until: UniqueUntil::End, .. }) => (Some(key), false),
        Some(UniqueKey { until: UniqueUntil::After(_), .. }) | None => (None, false),
    };
    // in: the columns; -> ready, scheduled
    let inserted = step
        .sql(
            "INSERT INTO taskq_tasks (queue, key, state, place, due, expires, max_deliveries, attempts, keep, unique_key,
             unique_start, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
             ON CONFLICT (queue, key) DO NOTHING",
        )?
        .execute(params![
            queue.number,
            arrival.key,
            number_of(state),
            place,
            arrival.due.map(Timestamp::as_millis),
            arrival.expires.map(Timestamp::as_millis),
            arrival.max_deliveries,
            arrival.attempts,
            arrival.keep_millis,
            unique_key,
            unique_start,
            arrival.body,
        ])?;
    if inserted == 1 {
        match arrival.due {
            None => step.ring_for_work(name),
            Some(_) => step.ring_for_due(name),
        }
    }
    Ok(inserted == 1)
}

fn is_known(step: &Step<'_>, queue: &QueueRow, key: &[u8]) -> Result<bool, Failure> {
    // in: queue, key
    Ok(step.sql("SELECT 1 FROM taskq_tasks WHERE queue = ?1 AND key = ?2")?.exists(params![queue.number, key])?)
}

/// Whether a unique key can be taken.
enum Room {
    Free,
    Replaced(TaskKey),
    Held(TaskKey),
}

/// Looks who holds a unique key, and cancels a holder that has not started if the new task shall replace it.
fn make_room(step: &Step<'_>, queue: &QueueRow, name: &QueueName, unique: &UniqueKey) -> Result<Room, Failure> {
    // in: queue, unique key, now; out: the task that holds it
    let holder: Option<Vec<u8>> = step
        .sql("SELECT key FROM taskq_uniques WHERE queue = ?1 AND name = ?2 AND (until IS NULL OR until > ?3)")?
        .query_row(params![queue.number, unique.key, step.millis()], |row| row.get(0))
        .optional()?;
    let Some(holder) = holder else { return Ok(Room::Free) };
    let holder_key = TaskKey::from_bytes(&holder).map_err(|_| unreadable_key())?;
    if unique.on_conflict == OnConflict::Skip {
        return Ok(Room::Held(holder_key));
    }
    match find(step, queue, &holder)? {
        Some(task) if matches!(task.state, State::Scheduled | State::Ready | State::Retrying) => {
            task.end(step, queue, name, End::Cancelled, None)?;
            Ok(Room::Replaced(holder_key))
        }
        Some(_) | None => Ok(Room::Held(holder_key)),
    }
}

/// Takes a unique key for a task that was just accepted.
fn hold(step: &Step<'_>, queue: &QueueRow, unique: &UniqueKey, key: &[u8]) -> Result<(), Failure> {
    let until = match unique.until {
        UniqueUntil::Start | UniqueUntil::End => None,
        UniqueUntil::After(duration) => Some((step.now() + duration).as_millis()),
    };
    // in: queue, unique key, task key, until; what is over or was replaced gives way
    step.sql("INSERT OR REPLACE INTO taskq_uniques (queue, name, key, until) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![queue.number, unique.key, key, until])?;
    Ok(())
}

/// The task with this key, in whatever state.
pub(super) fn find(step: &Step<'_>, queue: &QueueRow, key: &[u8]) -> Result<Option<TaskRow>, Failure> {
    // in: queue, key; out: the task
    let found = step
        .sql(concat!("SELECT ", task_columns!(), " FROM taskq_tasks WHERE queue = ?1 AND key = ?2"))?
        .query_row(params![queue.number, key], TaskRow::read)
        .optional()?;
    Ok(found)
}

fn unreadable_key() -> Failure {
    Failure::new(taskq_core::ErrorKind::Internal, "a task key in the file does not read back")
}
