//! [`StatusBoard`]: what the dashboard needs of health checks. The facade implements it over the scheduler's board.

use std::fmt;

use async_trait::async_trait;
use taskq_core::{Result, Timestamp};

/// Health, as the dashboard shows it.
#[async_trait]
pub trait StatusBoard: fmt::Debug + Send + Sync {
    /// Every check by name.
    async fn rows(&self) -> Result<Vec<StatusRow>>;
}

/// A check, and how its target is.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusRow {
    /// Its name.
    pub name: String,
    /// How the target is.
    pub health: Health,
    /// Whether nobody looks until it is resumed.
    pub is_paused: bool,
    /// Time between two looks, in words.
    pub every: Option<String>,
    /// What it looks at.
    pub target: String,
    /// Since when it is so, if anybody has looked.
    pub since: Option<Timestamp>,
    /// When the newest look began.
    pub looked_at: Option<Timestamp>,
    /// Why it is not healthy.
    pub reason: Option<String>,
    /// Newest latencies, oldest first, in milliseconds.
    pub latencies_ms: Vec<u32>,
    /// Its last changes, oldest first.
    pub changes: Vec<StatusChange>,
}

impl StatusRow {
    /// How it is, in a word.
    pub(super) fn shown(&self) -> &'static str {
        if self.is_paused { "paused" } else { self.health.as_str() }
    }
}

/// A change of a target.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusChange {
    /// When.
    pub at: Timestamp,
    /// How it was from then on.
    pub to: Health,
    /// Why.
    pub reason: Option<String>,
}

/// How a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// It does not work.
    Unhealthy,
    /// It works with a warning.
    Degraded,
    /// Nobody knows.
    Unknown,
    /// As it should be.
    Healthy,
}

impl Health {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unhealthy => "unhealthy",
            Self::Degraded => "degraded",
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
        }
    }
}
