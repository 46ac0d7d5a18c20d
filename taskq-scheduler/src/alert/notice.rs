//! [`Notice`]: what people are told.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use taskq_core::Timestamp;

use crate::health::Health;

/// Something about one check, for one alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The alert's name.
    pub alert: String,
    /// The check's name.
    pub check: String,
    /// What happened.
    pub kind: NoticeKind,
    /// How the target is.
    pub health: Health,
    /// Since when.
    pub since: Timestamp,
    /// When the look began that gave rise to the notice.
    pub at: Timestamp,
    /// Why it is not healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The check's labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// The target is in trouble.
    Began,
    /// It still is.
    Lasts,
    /// It no longer is.
    Recovered,
    /// It comes and goes, and nothing more is told until it has stayed as it is for a while.
    Flapping,
}

impl Notice {
    /// An id for its delivery, the same whoever makes it: names, which have no `+`, and a time.
    pub fn key(&self) -> String {
        format!("{}+{}@{}", self.check, self.alert, self.at.as_millis())
    }

    /// What happened, without the reason: `shop is unhealthy`.
    pub fn summary(&self) -> String {
        match self.kind {
            NoticeKind::Began => format!("{} is {}", self.check, self.health),
            NoticeKind::Lasts => format!("{} is still {}", self.check, self.health),
            NoticeKind::Recovered => format!("{} is {} again", self.check, self.health),
            NoticeKind::Flapping => format!("{} comes and goes, and is {} now", self.check, self.health),
        }
    }
}

impl NoticeKind {
    /// Its name in lower case, as in its serde form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Began => "began",
            Self::Lasts => "lasts",
            Self::Recovered => "recovered",
            Self::Flapping => "flapping",
        }
    }
}

/// One line for people: `shop is unhealthy: connection refused`.
impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary())?;
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}
