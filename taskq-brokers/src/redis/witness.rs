//! The newest thing that the server has acknowledged to this process. After a reconnect it is looked up: a server that
//! came back without its last moments, or a replica that took over without them, does not know it any more.
//!
//! Whatever is lost is lost from the end, so if anything that was acknowledged to this process is gone, the newest is.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use taskq_core::{Envelope, TaskId};

/// So long after its acknowledgement a task is certainly known: the shortest class of results lives for a minute.
const KNOWN_FOR: Duration = Duration::from_secs(50);

/// What was acknowledged last, and on which connection.
#[derive(Debug, Default)]
pub(super) struct Witness(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    generation: u64,
    newest: Option<Newest>,
}

/// A task, and what the server has said of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Newest {
    pub(super) id: TaskId,
    /// Its end was acknowledged, and not only its acceptance.
    pub(super) has_ended: bool,
    at: Duration,
}

impl Witness {
    /// The server has acknowledged the acceptance or the end of this task. What leaves no trace is no witness.
    pub(super) fn acknowledged(&self, envelope: &Envelope, has_ended: bool, now: Duration) {
        if envelope.is_tracked() {
            self.seen().newest = Some(Newest { id: envelope.id.clone(), has_ended, at: now });
        }
    }

    /// What is to be looked up, once after each reconnect.
    pub(super) fn to_look_up(&self, generation: u64, now: Duration) -> Option<Newest> {
        let mut seen = self.seen();
        if seen.generation == generation {
            return None;
        }
        seen.generation = generation;
        seen.newest.take().filter(|newest| now.saturating_sub(newest.at) < KNOWN_FOR)
    }

    /// It could not be looked up: the next call tries again.
    pub(super) fn again(&self, newest: Newest) {
        let mut seen = self.seen();
        seen.generation = 0;
        seen.newest.get_or_insert(newest);
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Nothing panics while holding it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use taskq_core::Invocation;

    use super::*;

    #[test]
    fn the_newest_is_looked_up_once_after_a_reconnect_and_only_while_it_must_be_known() {
        let witness = Witness::default();
        let tracked = Invocation::named("noop", &serde_json::json!({})).into_envelope().expect("valid");
        let second = Duration::from_secs(1);
        assert_eq!(witness.to_look_up(1, second), None);
        witness.acknowledged(&tracked, false, second);
        witness.acknowledged(&tracked, true, second * 2);
        assert_eq!(witness.to_look_up(1, second * 3), None, "it is the same connection");
        let newest = witness.to_look_up(2, second * 3).expect("is looked up");
        assert_eq!((newest.id, newest.has_ended), (tracked.id.clone(), true));
        assert_eq!(witness.to_look_up(3, second * 3), None, "it was looked up");
        witness.acknowledged(&tracked, false, second * 4);
        assert_eq!(witness.to_look_up(4, second * 60), None, "it may have been forgotten since");
    }
}
