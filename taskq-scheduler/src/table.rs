//! [`Table`]: a table of a configuration, taken apart key by key. Each refusal names the key and the cure, and shows no
//! value: any of them may be a secret that was written in the wrong place.

use std::{collections::BTreeMap, ops::RangeInclusive, path::PathBuf, time::Duration};

use serde_json::{Map, Value};
use taskq_core::{
    Error, Result,
    limits::{MAX_HEALTH_LIST, MAX_HEALTH_TEXT},
};

use crate::length;

/// The keys of a table that nobody has taken yet.
pub(crate) struct Table {
    /// What the table describes, for example `health check`.
    noun: &'static str,
    /// Where it stands, for example `http.json`; empty at the top.
    path: String,
    values: Map<String, Value>,
}

impl Table {
    /// The table `value` at `path` of a `noun`, whose keys are all known.
    pub(crate) fn open(noun: &'static str, path: &str, value: Value, known: &[&str]) -> Result<Self> {
        let Value::Object(mut values) = value else {
            return Err(wrong(noun, path, format!("write a table with the keys {}", known.join(", "))));
        };
        // A key without a value is none.
        values.retain(|_, value| !value.is_null());
        let table = Self { noun, path: path.to_owned(), values };
        match table.values.keys().find(|key| !known.contains(&key.as_str())) {
            Some(unknown) => Err(table.unknown(unknown, known)),
            None => Ok(table),
        }
    }

    fn unknown(&self, key: &str, known: &[&str]) -> Error {
        let nearest = known.iter().min_by_key(|known| strsim::levenshtein(known, key)).unwrap_or(&"");
        let shown: String = key.chars().take(40).flat_map(char::escape_debug).collect();
        let cure = match strsim::levenshtein(nearest, key) {
            0..=3 => format!("unknown key \"{shown}\"; did you mean \"{nearest}\"?"),
            _ => format!("unknown key \"{shown}\"; the keys are {}", known.join(", ")),
        };
        wrong(self.noun, &self.path, cure)
    }

    /// Where a key of this table stands.
    pub(crate) fn place(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// A refusal of the value at a key.
    pub(crate) fn wrong(&self, key: &str, cure: impl Into<String>) -> Error {
        wrong(self.noun, &self.place(key), cure)
    }

    pub(crate) fn value(&mut self, key: &str) -> Option<Value> {
        self.values.remove(key)
    }

    pub(crate) fn text(&mut self, key: &str) -> Result<Option<String>> {
        self.text_of_at_most(key, MAX_HEALTH_TEXT)
    }

    pub(crate) fn text_of_at_most(&mut self, key: &str, bytes: usize) -> Result<Option<String>> {
        match self.value(key) {
            None => Ok(None),
            Some(value) => text(self.noun, &self.place(key), value, bytes).map(Some),
        }
    }

    /// Text that has to be there.
    pub(crate) fn required(&mut self, key: &str, example: &str) -> Result<String> {
        self.text(key)?.ok_or_else(|| self.wrong(key, format!("it is missing; write for example {example}")))
    }

    pub(crate) fn length(&mut self, key: &str, bounds: RangeInclusive<Duration>) -> Result<Option<Duration>> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        let read = length::read("length", &text)
            .map_err(|_| self.wrong(key, "write a length of time, for example \"500ms\", \"30s\" or \"5m\""))?;
        if length::whole_millis(read).is_none() {
            return Err(self.wrong(key, "use whole milliseconds"));
        }
        let (least, most) = (length::write(*bounds.start()), length::write(*bounds.end()));
        match bounds.contains(&read) {
            true => Ok(Some(read)),
            false => Err(self.wrong(key, format!("use at least {least} and at most {most}"))),
        }
    }

    pub(crate) fn number(&mut self, key: &str, bounds: RangeInclusive<u32>) -> Result<Option<u32>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        match value.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|number| bounds.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(self.wrong(key, format!("write a whole number from {} to {}", bounds.start(), bounds.end()))),
        }
    }

    pub(crate) fn flag(&mut self, key: &str) -> Result<Option<bool>> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(self.wrong(key, "write true or false")),
        }
    }

    /// A path of a file.
    pub(crate) fn path(&mut self, key: &str) -> Result<Option<PathBuf>> {
        Ok(self.text(key)?.map(PathBuf::from))
    }

    pub(crate) fn list(&mut self, key: &str, example: &str) -> Result<Option<Vec<Value>>> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Array(members)) if (1..=MAX_HEALTH_LIST).contains(&members.len()) => Ok(Some(members)),
            Some(_) => {
                Err(self.wrong(key, format!("write a list with 1 to {MAX_HEALTH_LIST} members, for example {example}")))
            }
        }
    }

    /// A list of texts.
    pub(crate) fn texts(&mut self, key: &str, example: &str) -> Result<Option<Vec<String>>> {
        let Some(members) = self.list(key, example)? else { return Ok(None) };
        let (noun, place) = (self.noun, self.place(key));
        members.into_iter().map(|member| text(noun, &place, member, MAX_HEALTH_TEXT)).collect::<Result<_>>().map(Some)
    }

    /// A table from text to text, of any keys.
    pub(crate) fn pairs(&mut self, key: &str, most: usize) -> Result<BTreeMap<String, String>> {
        match self.value(key) {
            None => Ok(BTreeMap::new()),
            Some(Value::Object(pairs)) if pairs.len() <= most => {
                let (noun, place) = (self.noun, self.place(key));
                pairs.into_iter().map(|(name, value)| Ok((name, text(noun, &place, value, MAX_HEALTH_TEXT)?))).collect()
            }
            Some(_) => Err(self.wrong(key, format!("write a table of at most {most} texts"))),
        }
    }
}

/// A refusal of what stands at `place` of a `noun`.
pub(crate) fn wrong(noun: &'static str, place: &str, cure: impl Into<String>) -> Error {
    Error::invalid(noun, place, cure.into())
}

fn text(noun: &'static str, place: &str, value: Value, bytes: usize) -> Result<String> {
    match value {
        Value::String(text) if text.len() > bytes => Err(wrong(noun, place, format!("it has more than {bytes} bytes"))),
        Value::String(text) if !text.is_empty() => Ok(text),
        Value::String(_) => Err(wrong(noun, place, "it is empty; leave it out, or write something")),
        _ => Err(wrong(noun, place, "write text, in quotes")),
    }
}
