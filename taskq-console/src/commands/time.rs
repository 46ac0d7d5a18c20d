//! Times as people write them on a command line, and as programs read them.

use std::time::Duration;

use taskq_core::Timestamp;

/// An instant, or how long ago: `2026-11-28T02:00:00Z`, `90s`, `15m`, `2h`, `3d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    At(Timestamp),
    Ago(Duration),
}

impl When {
    /// Reads one, for clap.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let wrong = || "write how long ago, as 90s, 15m, 1h 30m or 3d, or an instant: 2026-11-28T02:00:00Z".to_owned();
        if let Ok(instant) = text.parse::<jiff::Timestamp>() {
            return Ok(Self::At(Timestamp::from_millis(instant.as_millisecond())));
        }
        // Days have 24 hours here: these are lengths of time, not calendar dates.
        let in_hours = match text.trim().strip_suffix('d').and_then(|days| days.trim().parse::<u64>().ok()) {
            Some(days) => format!("{}h", days.saturating_mul(24)),
            None => text.to_owned(),
        };
        let length: jiff::SignedDuration = in_hours.parse().map_err(|_| wrong())?;
        Duration::try_from(length).map(Self::Ago).map_err(|_| wrong())
    }

    pub(super) fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => {
                let millis = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
                Timestamp::from_millis(now.as_millis().saturating_sub(millis))
            }
        }
    }
}

/// `2026-11-28T02:14:34Z`.
pub(super) fn for_machines(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis()).map_or_else(|_| at.as_millis().to_string(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let ago = |seconds| Ok(When::Ago(Duration::from_secs(seconds)));
        assert_eq!(When::read("90s"), ago(90));
        assert_eq!(When::read("2h"), ago(7_200));
        assert_eq!(When::read("1h 30m"), ago(5_400));
        assert_eq!(When::read("3d"), ago(259_200));
        let at = When::read("2026-11-28T02:14:34Z").expect("an instant");
        assert_eq!(at, When::At(Timestamp::from_millis(1_795_832_074_000)));
        for wrong in ["", "h", "5", "5 parsecs", "-3h", "99999999999999999999d", "9999999999999999d", "é"] {
            assert!(When::read(wrong).is_err(), "{wrong}");
        }
        assert_eq!(for_machines(Timestamp::from_millis(1_795_832_074_000)), "2026-11-28T02:14:34Z");
    }
}
