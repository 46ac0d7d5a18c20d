//! [`Memory`]: what an alert has told of a check, kept with the check's record.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use taskq_core::Timestamp;

use crate::health::Health;

/// What an alert has told of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The trouble that was told and is not over, as far as was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) told: Option<Health>,
    /// When something was told last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) told_at: Option<Timestamp>,
    /// The trouble at the last look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) trouble: Option<Health>,
    /// When trouble began, changed or ended, as far back as the rule for flapping looks.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    pub(super) turns: VecDeque<Timestamp>,
    #[serde(default)]
    pub(super) is_flapping: bool,
}

impl Memory {
    /// Whether there is nothing to remember.
    pub fn is_blank(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it has told of something after this notice, which then is no news.
    pub fn supersedes(&self, at: Timestamp) -> bool {
        self.told_at.is_some_and(|told_at| told_at > at)
    }

    /// When it changed last.
    pub fn changed_at(&self) -> Option<Timestamp> {
        self.told_at.max(self.turns.back().copied())
    }
}
