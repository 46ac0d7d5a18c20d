//! [`TaskRow`]: a task in a list.

use taskq_core::{Shelf, State, TaskView, Timestamp};

use super::{fields::encoded, limits, mask::short_json};
use crate::words::{counted, machine_instant, preview, relative};

/// A task in a list.
#[derive(Clone, Debug)]
pub(super) struct TaskRow {
    pub(super) id: String,
    pub(super) link: String,
    pub(super) key: String,
    pub(super) name: String,
    pub(super) state: State,
    pub(super) attempts: String,
    pub(super) tags: Vec<String>,
    pub(super) arguments: String,
    pub(super) error: String,
    /// The time that matters in its state, and what it is.
    pub(super) when: String,
    pub(super) when_exactly: String,
}

impl TaskRow {
    pub(super) fn of(view: &TaskView, now: Timestamp) -> Self {
        let envelope = view.envelope.as_ref();
        let snapshot = &view.snapshot;
        let when = match Shelf::of(snapshot.state) {
            Some(Shelf::Scheduled | Shelf::Retrying) => snapshot.due,
            Some(Shelf::Dead) => snapshot.ended_at,
            _ => snapshot.ended_at.or_else(|| envelope.and_then(|envelope| envelope.enqueued_at)),
        };
        let is_sealed = envelope.is_some_and(is_encrypted);
        let arguments = match envelope {
            _ if is_sealed => "encrypted".to_owned(),
            Some(envelope) => preview(&short_json(envelope.payload.as_str()), limits::PREVIEW),
            None => String::new(),
        };
        let id = view.id.to_string();
        Self {
            link: encoded(&id),
            key: view.id.key.to_string(),
            id,
            name: envelope.map_or_else(|| "cannot be read".to_owned(), |envelope| envelope.task.to_string()),
            state: snapshot.state,
            attempts: if snapshot.attempts == 0 { String::new() } else { counted(snapshot.attempts.into(), "failure") },
            tags: envelope.map(|envelope| envelope.tags.clone()).unwrap_or_default(),
            arguments,
            error: snapshot.last_error.as_deref().map(|error| preview(error, limits::PREVIEW)).unwrap_or_default(),
            when: when.map(|at| relative(at, now)).unwrap_or_default(),
            when_exactly: when.map(machine_instant).unwrap_or_default(),
        }
    }
}

/// Whether nobody without a key can read the arguments.
pub(super) fn is_encrypted(envelope: &taskq_core::Envelope) -> bool {
    envelope.seal.as_ref().is_some_and(|seal| seal.encryption.is_some())
}
