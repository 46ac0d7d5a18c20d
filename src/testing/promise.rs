//! What every history has to keep, and what a checker says when one does not.

use std::{fmt, time::Duration};

/// Something that must not happen, and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When, since the simulation began.
    pub at: Duration,
    /// What was broken.
    pub promise: Promise,
    /// What happened.
    pub text: String,
}

/// What every history has to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Promise {
    /// What was accepted ends, or is still there.
    NothingLost,
    /// An id or batch that was accepted is not accepted again, and a refusal has its reason.
    AcceptedOnce,
    /// A task is held by one living lease at a time, and each hand-out is counted and has a newer token.
    HandedOutOnce,
    /// Only the present holder, under its token and a living lease, ends or touches an attempt.
    StaleRefused,
    /// The present holder is not refused.
    HolderAccepted,
    /// What ended keeps its end and its result.
    EndsOnce,
    /// Nothing runs before it is due, or after it has expired.
    NeverEarly,
    /// What was cancelled does not begin again.
    CancelHonoured,
    /// Only a failure spends an attempt.
    AttemptsCounted,
    /// Nothing is handed out of a paused queue.
    PauseHonoured,
    /// A unique key is held by one task, as long as it asks for and no longer.
    UniqueKeyHeldOnce,
    /// Nothing runs that was not handed out.
    NoPhantom,
    /// A worker that nothing happened to keeps its lease.
    LeaseKept,
    /// With a free slot a ready task begins at once.
    StartsAtOnce,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10.3}s {:?}: {}", self.at.as_secs_f64(), self.promise, self.text)
    }
}
