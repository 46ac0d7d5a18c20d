//! What is known of one task, and whether a queue has work: looks that change nothing.

use std::time::Duration;

use rusqlite::{OptionalExtension, Row, params};
use serde_json::value::RawValue;
use taskq_core::{
    broker::Snapshot,
    clock::Timestamp,
    codec::Payload,
    envelope::Envelope,
    id::{Owner, QueueName, TaskId, TaskKey},
    state::{DeadReason, State},
};

use super::{
    claim::{decode, next_due},
    failure::Failure,
    queue_row::QueueRow,
    step::Step,
    sweep::has_ready,
    task_row::state_of,
};

/// A task as it was seen.
#[derive(Debug)]
pub(super) struct Seen {
    /// What a caller may know.
    pub(super) snapshot: Snapshot,
    /// When it ends by itself: it waits, and expires then.
    pub(super) expires_in: Option<Duration>,
}

impl Seen {
    /// Whether waiting can tell more: it has not ended, and its end will be known.
    pub(super) fn may_change(&self) -> bool {
        !self.snapshot.state.is_final() && self.snapshot.state != State::Untracked
    }
}

/// What is known of a task; `None` if nothing is, and nothing need be.
pub(super) fn find(step: &Step<'_>, id: &TaskId) -> Result<Option<Seen>, Failure> {
    let seen = match QueueRow::find(step, &id.queue)? {
        Some(queue) => look(step, &queue, id)?,
        None => None,
    };
    // Of an untracked task only some states are exact; "untracked" is never wrong.
    let seen = seen.filter(|seen| !id.key.is_untracked() || is_exact(seen.snapshot.state));
    Ok(seen.or_else(|| untracked(&id.key)))
}

/// Whether an untracked task's state is known when it is this.
pub(super) fn is_exact(state: State) -> bool {
    matches!(state, State::Scheduled | State::Retrying | State::Running | State::Dead)
}

/// What is known of a task that nobody keeps.
pub(super) fn untracked(key: &TaskKey) -> Option<Seen> {
    key.is_untracked().then(|| Seen { snapshot: Snapshot::new(State::Untracked), expires_in: None })
}

/// The columns of a look, undecoded.
pub(super) struct Columns {
    pub(super) state: State,
    attempts: u32,
    pub(super) due: Option<i64>,
    pub(super) expires: Option<i64>,
    ended: Option<i64>,
    pub(super) progress: Option<String>,
    reason: Option<String>,
    pub(super) owner: Option<String>,
    pub(super) body: Option<Vec<u8>>,
}

fn look(step: &Step<'_>, queue: &QueueRow, id: &TaskId) -> Result<Option<Seen>, Failure> {
    // in: queue, key; out: the columns, the body only where it tells something
    let columns = step
        .sql(
            "SELECT t.state, t.attempts, t.due, t.expires, t.ended, t.progress, t.reason, l.owner,
             CASE WHEN t.state IN (3, 4, 5) THEN t.body END
             FROM taskq_tasks t LEFT JOIN taskq_leases l ON l.lease = t.lease WHERE t.queue = ?1 AND t.key = ?2",
        )?
        .query_row(params![queue.number, id.key.to_bytes()], read_columns)
        .optional()?;
    Ok(columns.map(|columns| {
        // Only these tell of their failed attempts.
        let failed = matches!(columns.state, State::Retrying | State::Dead);
        let envelope = columns.body.as_deref().filter(|_| failed).and_then(|body| envelope(id, body));
        seen(step, columns, envelope.as_ref())
    }))
}

/// Reads state, attempts, due, expires, ended, progress, reason, owner and body, in this order.
pub(super) fn read_columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok(Columns {
        state: state_of(row.get(0)?),
        attempts: row.get(1)?,
        due: row.get(2)?,
        expires: row.get(3)?,
        ended: row.get(4)?,
        progress: row.get(5)?,
        reason: row.get(6)?,
        owner: row.get(7)?,
        body: row.get(8)?,
    })
}

/// What the columns tell, and the envelope of what retries or is dead.
pub(super) fn seen(step: &Step<'_>, columns: Columns, envelope: Option<&Envelope>) -> Seen {
    let waits = matches!(columns.state, State::Scheduled | State::Ready | State::Retrying);
    let expires = columns.expires.filter(|_| waits).map(Timestamp::from_millis);
    if let Some(expired) = expires.filter(|expires| *expires <= step.now()) {
        // No worker has come by to write it down, but it will not be started any more.
        let snapshot =
            Snapshot { attempts: columns.attempts, ended_at: Some(expired), ..Snapshot::new(State::Expired) };
        return Seen { snapshot, expires_in: None };
    }
    Seen { expires_in: expires.map(|expires| expires.since(step.now())), snapshot: snapshot(columns, envelope) }
}

fn snapshot(columns: Columns, envelope: Option<&Envelope>) -> Snapshot {
    let base = Snapshot {
        attempts: columns.attempts,
        ended_at: columns.ended.filter(|_| columns.state.is_final()).map(Timestamp::from_millis),
        ..Snapshot::new(columns.state)
    };
    let due = columns.due.map(Timestamp::from_millis);
    match columns.state {
        State::Scheduled => Snapshot { due, ..base },
        State::Retrying => {
            let last_error = envelope.and_then(Envelope::last_error).map(str::to_owned);
            Snapshot { due, last_error, ..base }
        }
        State::Running => Snapshot {
            owner: columns.owner.and_then(|owner| owner.parse::<Owner>().ok()),
            progress: columns.progress.and_then(|text| serde_json::from_str(&text).ok()),
            ..base
        },
        State::Succeeded => Snapshot { result: columns.body.as_deref().and_then(result), ..base },
        State::Dead => {
            let reason = DeadReason::from_name(columns.reason.as_deref().unwrap_or_default());
            let last_words = envelope.map_or_else(|| reason.to_string(), |envelope| envelope.last_words(reason));
            Snapshot { reason: Some(reason), last_error: Some(last_words), ..base }
        }
        State::Ready | State::Cancelled | State::Expired | State::Untracked => base,
    }
}

fn envelope(id: &TaskId, body: &[u8]) -> Option<Envelope> {
    decode(&id.queue, &id.key.to_bytes(), body, None).ok()
}

/// The result as it was checked when it was stored.
fn result(body: &[u8]) -> Option<Payload> {
    let raw: Box<RawValue> = serde_json::from_slice(body).ok()?;
    Some(Payload::from_raw(raw))
}

/// Whether one of the queues has work now; if not, how long it is until one has.
pub(super) fn work(step: &Step<'_>, queues: &[QueueName]) -> Result<Work, Failure> {
    let mut earliest: Option<Duration> = None;
    for name in queues {
        let Some(queue) = QueueRow::find(step, name)?.filter(|queue| queue.paused.is_none()) else { continue };
        if has_ready(step, &queue)? {
            return Ok(Work::Now);
        }
        earliest = earliest.into_iter().chain(next_due(step, &queue)?).min();
    }
    Ok(match earliest {
        Some(Duration::ZERO) => Work::Now,
        Some(wait) => Work::In(wait),
        None => Work::Unknown,
    })
}

/// When there is work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Tasks are ready.
    Now,
    /// A task is due after this long.
    In(Duration),
    /// Nothing is known.
    Unknown,
}
