//! [`Refusal`]: why a notice was not taken, and whether another attempt can help.

use std::{fmt, time::Duration};

use taskq_core::limits::MAX_ALERT_RETRY_AFTER;

use crate::health::{Cause, Reason};

/// Why a notice was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// For people: one short line without secrets.
    pub words: String,
    /// Whether it will not be taken at another attempt either, unless somebody changes something.
    pub is_final: bool,
    /// How long the receiver asks to wait before the next attempt; at most an hour.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// One after which another attempt can help.
    pub(super) fn new(words: impl fmt::Display) -> Self {
        // A reason is short and has no control characters, and that is what words have to be.
        let words = Reason::new(Cause::Answer, words).to_string();
        Self { words, is_final: false, retry_after: None }
    }

    /// One after which none can.
    pub(super) fn last(words: impl fmt::Display) -> Self {
        Self { is_final: true, ..Self::new(words) }
    }

    /// The same, with how long to wait.
    pub(super) fn after(self, pause: Option<Duration>) -> Self {
        Self { retry_after: pause.map(|pause| pause.min(MAX_ALERT_RETRY_AFTER)), ..self }
    }

    /// The same, with who refused.
    pub(super) fn by(self, who: &str) -> Self {
        let named = Self::new(format_args!("{who}: {}", self.words));
        Self { words: named.words, ..self }
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self::new(reason)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for Refusal {}
