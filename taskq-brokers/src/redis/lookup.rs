//! What the scripts find out about a task, as a snapshot.

use redis::Value;
use taskq_core::{DeadReason, Payload, Progress, QueueName, Result, Snapshot, State, TaskId, Timestamp};

use super::{element, reply};

/// Reads the answer of `find.lua`; `None` if nothing is known.
pub(super) fn snapshot(id: &TaskId, answer: Value) -> Result<Option<Snapshot>> {
    let mut fields = reply::array(answer)?.into_iter();
    let (Some(state), Some(number), Some(bytes)) = (fields.next(), fields.next(), fields.next()) else {
        return Ok(untracked(id));
    };
    let (number, bytes) = (reply::integer(&number)?, reply::bytes(bytes)?);
    let at = Some(Timestamp::from_millis(number));
    let snapshot = match reply::text(state)?.as_str() {
        "running" => Snapshot {
            owner: owner(fields.next())?,
            progress: progress(fields.next())?,
            ..live(State::Running, &id.queue, &bytes)?
        },
        "scheduled" => Snapshot { due: at, ..live(State::Scheduled, &id.queue, &bytes)? },
        "retrying" => Snapshot { due: at, ..live(State::Retrying, &id.queue, &bytes)? },
        "dead" => Snapshot { ended_at: at, ..dead(&id.queue, &bytes)? },
        "ended" => ended(&bytes)?,
        "expired" => Snapshot { ended_at: at, attempts: attempts_of(&bytes), ..Snapshot::new(State::Expired) },
        _ => Snapshot { attempts: attempts_of(&bytes), ..Snapshot::new(State::Ready) },
    };
    Ok(Some(snapshot).filter(|snapshot| is_kept(id, snapshot.state)).or_else(|| untracked(id)))
}

/// Of an untracked task only these states are kept.
fn is_kept(id: &TaskId, state: State) -> bool {
    !id.key.is_untracked() || matches!(state, State::Scheduled | State::Retrying | State::Running | State::Dead)
}

fn untracked(id: &TaskId) -> Option<Snapshot> {
    id.key.is_untracked().then(|| Snapshot::new(State::Untracked))
}

/// The second byte of a marker.
fn attempts_of(marker: &[u8]) -> u32 {
    marker.get(1).copied().map_or(0, u32::from)
}

fn live(state: State, queue: &QueueName, bytes: &[u8]) -> Result<Snapshot> {
    let mut snapshot = Snapshot::new(state);
    if let Ok(envelope) = element::decode(queue, bytes)?.envelope {
        snapshot.attempts = envelope.attempts;
        if state != State::Running {
            snapshot.last_error = envelope.last_error().map(str::to_owned);
        }
    }
    Ok(snapshot)
}

fn owner(value: Option<Value>) -> Result<Option<taskq_core::id::Owner>> {
    value.map(|value| reply::text(value)?.parse()).transpose()
}

fn progress(value: Option<Value>) -> Result<Option<Progress>> {
    match value {
        Some(Value::BulkString(json)) => Ok(serde_json::from_slice(&json).ok()),
        _ => Ok(None),
    }
}

/// A dead letter as stored: its reason, a line end, its element.
pub(super) fn split_dead(stored: &[u8]) -> Result<(DeadReason, &[u8])> {
    let end = stored.iter().position(|byte| *byte == b'\n').ok_or_else(|| reply::wrong("a dead letter"))?;
    Ok((DeadReason::from_name(&String::from_utf8_lossy(&stored[..end])), &stored[end + 1..]))
}

fn dead(queue: &QueueName, stored: &[u8]) -> Result<Snapshot> {
    let (reason, bytes) = split_dead(stored)?;
    let mut snapshot = Snapshot { reason: Some(reason), ..Snapshot::new(State::Dead) };
    match element::decode(queue, bytes)?.envelope {
        Ok(envelope) => {
            snapshot.attempts = envelope.attempts;
            snapshot.last_error = Some(envelope.last_words(reason));
        }
        Err(error) => snapshot.last_error = Some(error.to_string()),
    }
    Ok(snapshot)
}

/// A final record: state letter, eight bytes of token, attempts `:` time `:` result.
pub(super) fn ended(record: &[u8]) -> Result<Snapshot> {
    let wrong = || reply::wrong("a final record");
    let (letter, rest) = record.split_first().ok_or_else(wrong)?;
    let text = std::str::from_utf8(rest.get(8..).ok_or_else(wrong)?).map_err(|_| wrong())?;
    let mut parts = text.splitn(3, ':');
    let (attempts, at, result) = (parts.next(), parts.next(), parts.next().unwrap_or_default());
    let state = match letter {
        b's' => State::Succeeded,
        b'c' => State::Cancelled,
        _ => State::Expired,
    };
    let result = match result {
        "" => None,
        json => Some(Payload::from_raw(serde_json::from_str(json).map_err(|_| wrong())?)),
    };
    Ok(Snapshot {
        attempts: attempts.and_then(|text| text.parse().ok()).ok_or_else(wrong)?,
        ended_at: at.and_then(|text| text.parse().ok()).map(Timestamp::from_millis),
        result,
        ..Snapshot::new(state)
    })
}
