//! Where a task is, and which moves are allowed. Every broker implements this table; conformance proves it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a task is in its life.
///
/// ```text
///             due                  claim              ok
/// scheduled ------> ready <------------------> running ----> succeeded
///                    ^  ^   lease lost, release  |  |  |
///                    |  +------- retrying <------+  |  +---> dead  <-- too many errors or deliveries
///                    |     due            error     |
///                    +--- replay -- dead            +------> cancelled
/// scheduled, ready, retrying ----> cancelled, expired
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits for its due time.
    Scheduled,
    /// Waits for a free slot.
    Ready,
    /// A worker holds it.
    Running,
    /// An attempt failed, or it was snoozed; waits for the next one.
    Retrying,
    /// Ended well; its result is kept for a while.
    Succeeded,
    /// Will not run again by itself: a dead letter.
    Dead,
    /// Ended by request.
    Cancelled,
    /// Was not started in time.
    Expired,
    /// A task without result that is neither scheduled, running nor dead: waiting or done, nobody keeps which.
    Untracked,
}

impl State {
    /// Every state that a broker stores.
    pub const ALL: [Self; 8] = [
        Self::Scheduled,
        Self::Ready,
        Self::Running,
        Self::Retrying,
        Self::Succeeded,
        Self::Dead,
        Self::Cancelled,
        Self::Expired,
    ];

    /// Whether it stays so unless somebody replays it.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Dead | Self::Cancelled | Self::Expired)
    }

    /// Whether a task in this state may move to `next` in one step.
    pub fn may_become(self, next: Self) -> bool {
        use State::{Cancelled, Dead, Expired, Ready, Retrying, Running, Scheduled, Succeeded};
        matches!(
            (self, next),
            (Scheduled | Retrying, Ready | Cancelled | Expired)
                | (Ready, Running | Cancelled | Expired)
                | (Running, Succeeded | Dead | Cancelled | Retrying | Ready)
                | (Dead, Ready)
        )
    }

    /// Its name, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Succeeded => "succeeded",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Untracked => "untracked",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a task became a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeadReason {
    /// Its attempts are spent.
    Failed,
    /// The body said that no other attempt helps.
    Fatal,
    /// It was handed out too often without ending: it probably kills its worker.
    Crashed,
    /// No worker knew its task name for too long.
    Unregistered,
    /// Its arguments or its envelope do not decode.
    Undecodable,
    /// Its result could not be stored.
    BadResult,
    /// Its signature or encryption is missing, wrong, or of a key that its worker does not have. It was not run.
    Untrusted,
}

impl DeadReason {
    /// Every reason that a broker stores.
    pub const ALL: [Self; 7] = [
        Self::Failed,
        Self::Fatal,
        Self::Crashed,
        Self::Unregistered,
        Self::Undecodable,
        Self::BadResult,
        Self::Untrusted,
    ];

    /// Its name, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Fatal => "fatal",
            Self::Crashed => "crashed",
            Self::Unregistered => "unregistered",
            Self::Undecodable => "undecodable",
            Self::BadResult => "bad_result",
            Self::Untrusted => "untrusted",
        }
    }

    /// Reads its name; an unknown one, of a newer version, counts as failed.
    pub fn from_name(name: &str) -> Self {
        match name {
            "fatal" => Self::Fatal,
            "crashed" => Self::Crashed,
            "unregistered" => Self::Unregistered,
            "undecodable" => Self::Undecodable,
            "bad_result" => Self::BadResult,
            "untrusted" => Self::Untrusted,
            _ => Self::Failed,
        }
    }
}

impl fmt::Display for DeadReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn final_states_lead_nowhere_but_a_dead_letter_can_be_replayed() {
        for state in State::ALL.into_iter().filter(|state| state.is_final()) {
            let next: Vec<_> = State::ALL.into_iter().filter(|next| state.may_become(*next)).collect();
            let expected: &[State] = if state == State::Dead { &[State::Ready] } else { &[] };
            assert_eq!(next, expected);
        }
    }
}
