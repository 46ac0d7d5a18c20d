//! [`Field`]: something that a notice says, by its name in templates.

use taskq_core::Timestamp;

use super::notice::Notice;

/// Something that a notice says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Alert,
    Check,
    Event,
    Health,
    Since,
    At,
    Reason,
    Summary,
    Text,
    Id,
    Labels,
    Label(String),
}

const NAMES: [(&str, Field); 11] = [
    ("alert", Field::Alert),
    ("check", Field::Check),
    ("event", Field::Event),
    ("health", Field::Health),
    ("since", Field::Since),
    ("at", Field::At),
    ("reason", Field::Reason),
    ("summary", Field::Summary),
    ("text", Field::Text),
    ("id", Field::Id),
    ("labels", Field::Labels),
];

impl Field {
    /// The field of this name, or what to write instead.
    pub(super) fn read(name: &str) -> Result<Self, String> {
        if let Some(label) = name.strip_prefix("labels.").filter(|label| !label.is_empty()) {
            return Ok(Self::Label(label.to_owned()));
        }
        match NAMES.iter().find(|(known, _)| *known == name) {
            Some((_, field)) => Ok(field.clone()),
            // Not what was written: a text that is no template after all may be a secret.
            None => {
                let known: Vec<_> = NAMES.iter().map(|(known, _)| *known).collect();
                Err(format!("it has an unknown placeholder; there are {} and labels.NAME", known.join(", ")))
            }
        }
    }

    /// What the notice says there.
    pub(super) fn tell(&self, notice: &Notice) -> String {
        match self {
            Self::Alert => notice.alert.clone(),
            Self::Check => notice.check.clone(),
            Self::Event => notice.kind.as_str().to_owned(),
            Self::Health => notice.health.to_string(),
            Self::Since => rfc3339(notice.since),
            Self::At => rfc3339(notice.at),
            Self::Reason => notice.reason.clone().unwrap_or_default(),
            Self::Summary => notice.summary(),
            Self::Text => notice.to_string(),
            Self::Id => notice.key(),
            Self::Labels => {
                let labels: Vec<_> = notice.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
                labels.join(", ")
            }
            Self::Label(name) => notice.labels.get(name).cloned().unwrap_or_default(),
        }
    }
}

/// An instant as text, for example `2030-01-01T00:00:00Z`.
pub(super) fn rfc3339(at: Timestamp) -> String {
    let end = if at < Timestamp::default() { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or(end).to_string()
}
