//! Typed values, or what to write instead.

use std::time::Duration;

use taskq_core::{Error, Result, limits};
use toml::Value;

use super::{
    SharedSlots,
    known::KNOWN,
    settings::{Origin, Setting, Settings},
    wrong,
};

impl Setting {
    /// A text. What stands there instead may hold a password, so it is not shown.
    pub(super) fn text(&self) -> Result<&str> {
        self.value.as_str().ok_or_else(|| self.wrong("is text, in quotes"))
    }

    pub(super) fn truth(&self) -> Result<bool> {
        self.value.as_bool().ok_or_else(|| self.wrong("is true or false"))
    }

    pub(super) fn duration(&self) -> Result<Duration> {
        match parse_duration(self.text()?) {
            Ok(duration) if duration <= limits::MAX_FUTURE => Ok(duration),
            Ok(_) => Err(self.wrong("is at most ten years")),
            Err(cure) => Err(wrong(&self.origin, format!("{}: {cure}", self.key()))),
        }
    }

    /// A whole number above zero.
    pub(super) fn count(&self) -> Result<usize> {
        match self.value.as_integer().and_then(|number| usize::try_from(number).ok()) {
            Some(number) if number > 0 => Ok(number),
            _ => Err(self.wrong(format!("is a whole number above zero, not {}", self.value))),
        }
    }

    /// A whole number from 0 to `most`.
    pub(super) fn up_to(&self, most: u8) -> Result<u8> {
        let number = self.value.as_integer().and_then(|number| u8::try_from(number).ok());
        let number = number.filter(|number| *number <= most);
        number.ok_or_else(|| self.wrong(format!("is a whole number from 0 to {most}, not {}", self.value)))
    }

    #[cfg(feature = "scheduler")]
    pub(super) fn table(&self) -> Result<&toml::Table> {
        self.value.as_table().ok_or_else(|| self.wrong("is a table: { name = value }"))
    }

    /// Says what it should be, with its place.
    pub(super) fn wrong(&self, what: impl std::fmt::Display) -> Error {
        wrong(&self.origin, format!("{} {what}", self.key()))
    }
}

pub(super) fn text(settings: &Settings, key: &'static str) -> Result<String> {
    settings.get(key).map_or(Ok(default_of(key)), Setting::text).map(str::to_owned)
}

fn default_of(key: &str) -> &'static str {
    KNOWN.iter().find(|known| known.key == key).map_or("", |known| known.default)
}

pub(super) fn duration(settings: &Settings, key: &'static str) -> Result<Duration> {
    match settings.get(key) {
        Some(setting) => setting.duration(),
        None => parse_duration(default_of(key)).map_err(|cure| wrong(Origin::Default, format!("{key}: {cure}"))),
    }
}

pub(super) fn lease(settings: &Settings, key: &'static str) -> Result<Duration> {
    let lease = duration(settings, key)?;
    match settings.get(key) {
        Some(setting) if !(limits::MIN_LEASE..=limits::MAX_LEASE).contains(&lease) => {
            Err(setting.wrong(format!("is from 600ms to 10m, not {lease:?}")))
        }
        _ => Ok(lease),
    }
}

/// Reads `90s`, `15m`, `1h 30m`, `500ms`, `2d`, and ISO 8601 durations.
pub(crate) fn parse_duration(text: &str) -> std::result::Result<Duration, String> {
    let cure = || format!("\"{text}\" is no duration; write for example \"90s\", \"15m\" or \"1h 30m\"");
    // Days have 24 hours here: these are lengths of time, not calendar dates.
    let in_hours = match text.trim().strip_suffix('d').map(str::trim).and_then(|days| days.parse::<u64>().ok()) {
        Some(days) => format!("{}h", days.saturating_mul(24)),
        None => text.to_owned(),
    };
    let parsed: jiff::SignedDuration = in_hours.parse().map_err(|_| cure())?;
    Duration::try_from(parsed).map_err(|_| cure())
}

pub(super) fn shared(setting: &Setting) -> Result<Vec<SharedSlots>> {
    let cure = "is a list of tables such as { slots = 50, order = \"strict\", queues = [\"high\", \"low\"] } \
                or { slots = 50, order = \"weighted\", queues = { high = 3, low = 1 } }";
    let one = |value: &Value| -> Option<SharedSlots> {
        let table = value.as_table()?;
        let slots = usize::try_from(table.get("slots")?.as_integer()?).ok().filter(|slots| *slots > 0)?;
        let strict = match table.get("order").map_or(Some("strict"), Value::as_str)? {
            "strict" => true,
            "weighted" => false,
            _ => return None,
        };
        let queues = match table.get("queues")? {
            Value::Array(names) => {
                names.iter().map(|name| Some((name.as_str()?.to_owned(), 1))).collect::<Option<_>>()?
            }
            Value::Table(weights) => weights
                .iter()
                .map(|(name, weight)| Some((name.clone(), u32::try_from(weight.as_integer()?).ok()?)))
                .collect::<Option<_>>()?,
            _ => return None,
        };
        (table.keys().all(|key| ["slots", "order", "queues"].contains(&key.as_str()))).then_some(SharedSlots {
            slots,
            strict,
            queues,
        })
    };
    let lanes = setting.value.as_array().and_then(|lanes| lanes.iter().map(one).collect());
    lanes.ok_or_else(|| setting.wrong(cure))
}
