//! [`Field`]: one field of a cron text, as the set of its values.

use std::collections::BTreeSet;

use taskq_core::{BoxError, Error, Result, limits};

use super::quoted;

/// The values that a field allows.
pub(super) struct Field {
    values: BTreeSet<u16>,
    is_restricted: bool,
    is_full: bool,
}

impl Field {
    /// The values in order.
    pub(super) fn values(&self) -> impl Iterator<Item = u16> + '_ {
        self.values.iter().copied()
    }

    /// Whether it was written without a star at its beginning. That decides how days of month and of week go together.
    pub(super) fn is_restricted(&self) -> bool {
        self.is_restricted
    }

    /// Whether it allows every value, however it was written.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }
}

/// What may stand in a field.
pub(super) struct FieldRule {
    /// What it is called in errors.
    pub(super) name: &'static str,
    first: u16,
    /// Where a star ends.
    last: u16,
    /// The greatest number that is read: Sunday is 0 and 7.
    greatest: u16,
    /// Names of the values from `first` on, whole and in their first three letters.
    names: &'static [&'static str],
}

pub(super) const SECOND: FieldRule = FieldRule::numbers("second", 0, 59);
pub(super) const MINUTE: FieldRule = FieldRule::numbers("minute", 0, 59);
pub(super) const HOUR: FieldRule = FieldRule::numbers("hour", 0, 23);
pub(super) const DAY_OF_MONTH: FieldRule = FieldRule::numbers("day of month", 1, 31);
pub(super) const YEAR: FieldRule = FieldRule::numbers("year", 1970, limits::LAST_SCHEDULED_YEAR.unsigned_abs());

pub(super) const MONTH: FieldRule = FieldRule {
    names: &[
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ],
    ..FieldRule::numbers("month", 1, 12)
};

pub(super) const DAY_OF_WEEK: FieldRule = FieldRule {
    greatest: 7,
    names: &["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"],
    ..FieldRule::numbers("day of week", 0, 6)
};

impl FieldRule {
    const fn numbers(name: &'static str, first: u16, last: u16) -> Self {
        Self { name, first, last, greatest: last, names: &[] }
    }

    /// Reads a field: a list of values, ranges and stars, each with a step if wanted. `whole` is the text around it.
    pub(super) fn read(&self, text: &str, whole: &str) -> Result<Field> {
        let mut values = BTreeSet::new();
        for item in text.split(',') {
            let (base, step) = match item.split_once('/') {
                Some((base, step)) => (base, Some(self.step(step, whole)?)),
                None => (item, None),
            };
            let (from, to) = match self.range(base, whole)? {
                // From the other Sunday on, nothing would be left of the week.
                (from, None) if step.is_some() && from > self.last => (self.first, self.last),
                (from, None) if step.is_some() => (from, self.last),
                (from, None) => (from, from),
                (from, Some(to)) => (from, to),
            };
            values.extend((from..=to).step_by(step.unwrap_or(1)));
        }
        if self.greatest > self.last && values.remove(&self.greatest) {
            values.insert(self.first);
        }
        // The matcher would take an empty list for a field that is not there.
        debug_assert!(!values.is_empty(), "{text} allows nothing");
        let is_full = values.len() == usize::from(self.last - self.first) + 1;
        Ok(Field { values, is_restricted: !text.starts_with(['*', '?']), is_full })
    }

    /// The first and, unless it is a single value, the last of a range.
    fn range(&self, text: &str, whole: &str) -> Result<(u16, Option<u16>)> {
        if text == "*" {
            return Ok((self.first, Some(self.last)));
        }
        if text == "?" {
            return if self.is_of_days() {
                Ok((self.first, Some(self.last)))
            } else {
                Err(self.refuse(text, whole, "a ? stands for a day of month or week only: use *"))
            };
        }
        let Some((from_text, to_text)) = text.split_once('-') else {
            return Ok((self.value(text, whole)?, None));
        };
        let (from, to) = (self.value(from_text, whole)?, self.value(to_text, whole)?);
        match to {
            to if from <= to => Ok((from, Some(to))),
            // Monday to Sunday: the Sunday at the end of the week, not the one at its beginning.
            to if self.greatest > self.last && to == self.first => Ok((from, Some(self.greatest))),
            _ => {
                let cure = format!("a range runs upwards: use {from_text}-{},{}-{to_text}", self.last, self.first);
                Err(self.refuse(text, whole, cure))
            }
        }
    }

    fn value(&self, text: &str, whole: &str) -> Result<u16> {
        self.known(text).ok_or_else(|| match self.unsupported(text) {
            Some(cure) => self.refuse(text, whole, cure),
            None => self.refuse(text, whole, self.allowed()),
        })
    }

    /// The value of a number or a name.
    fn known(&self, text: &str) -> Option<u16> {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().ok().filter(|number| (self.first..=self.greatest).contains(number));
        }
        let lower = text.to_ascii_lowercase();
        let position = self.names.iter().position(|name| *name == lower || name[..3] == *lower)?;
        (self.first..).nth(position)
    }

    fn step(&self, text: &str, whole: &str) -> Result<usize> {
        let most = usize::from(self.last - self.first) + 1;
        let step = text.parse().ok().filter(|step| (1..=most).contains(step) && !text.starts_with('+'));
        step.ok_or_else(|| {
            let cure = format!("use a step of 1 to {most}, or every for longer times");
            self.refuse(&format!("/{text}"), whole, cure)
        })
    }

    /// The cure for what other crons can read: `L`, `5L`, `friL`, `15W`, `LW`, `mon#2`.
    fn unsupported(&self, text: &str) -> Option<&'static str> {
        if !self.is_of_days() {
            return None;
        }
        let upper = text.to_ascii_uppercase();
        let is_day = |text: &str| text.is_empty() || text == "L" || self.known(text).is_some();
        if upper.contains('#') {
            return Some("# is not supported: use a calendar, or days of month such as 1-7 and a check in the task");
        }
        if upper.strip_suffix('W').is_some_and(is_day) {
            return Some("W is not supported: use days of month, and a check in the task");
        }
        if !upper.strip_suffix('L').is_some_and(is_day) {
            return None;
        }
        if self.name == DAY_OF_MONTH.name {
            return Some("L is not supported: use a calendar of months from a day 31");
        }
        Some("L is not supported: use a calendar, and a check in the task")
    }

    fn is_of_days(&self) -> bool {
        self.name == DAY_OF_MONTH.name || self.name == DAY_OF_WEEK.name
    }

    fn allowed(&self) -> String {
        match self.names {
            [] => format!("use {} to {}", self.first, self.greatest),
            [first, .., last] => {
                format!("use {} to {} or {} to {}", self.first, self.greatest, &first[..3], &last[..3])
            }
            [only] => format!("use {} or {only}", self.first),
        }
    }

    fn refuse(&self, value: &str, whole: &str, cure: impl Into<BoxError>) -> Error {
        let value = match value {
            "" => "\"\"".to_owned(),
            value => value.escape_debug().to_string(),
        };
        Error::invalid(self.name, format!("{value} in {}", quoted(whole)), cure)
    }
}
