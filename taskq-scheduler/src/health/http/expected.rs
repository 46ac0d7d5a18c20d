//! [`Expected`]: what an answer has to be. Reasons have nothing of what it was, as a body may hold anything.

use std::{fmt, ops::RangeInclusive};

use regex::{Regex, RegexBuilder};
use reqwest::StatusCode;
use serde_json::{Map, Value};
use taskq_core::{
    Result,
    limits::{HEALTH_BODY, HEALTH_PATTERN},
};

use super::{
    super::{
        NOUN,
        finding::{Cause, Reason},
    },
    answer::Body,
};
use crate::table::Table;

/// The statuses that there are.
const STATUSES: RangeInclusive<u16> = 100..=599;

/// Status and body of a good answer.
#[derive(Clone, PartialEq)]
pub(super) struct Expected {
    statuses: Vec<RangeInclusive<u16>>,
    contains: Option<String>,
    matches: Option<Pattern>,
    json: Option<JsonValue>,
}

/// A pattern, which is the same as another one if its text is.
#[derive(Clone)]
struct Pattern(Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// A value in a JSON body.
#[derive(Clone, PartialEq)]
struct JsonValue {
    pointer: String,
    equals: Option<Value>,
}

impl Expected {
    pub(super) fn take(table: &mut Table) -> Result<Self> {
        let statuses = match table.list("status", "[\"200-299\", 304]")? {
            None => vec![200..=299],
            Some(members) => members.iter().map(statuses).collect::<Option<_>>().ok_or_else(|| {
                table.wrong("status", "list numbers and ranges from 100 to 599, for example [\"200-299\", 304]")
            })?,
        };
        let contains = table.text("contains")?;
        let matches = match table.text("matches")? {
            None => None,
            Some(text) => Some(pattern(&text).map_err(|cure| table.wrong("matches", cure))?),
        };
        let json = match table.value("json") {
            None => None,
            Some(form) => Some(JsonValue::read(form)?),
        };
        Ok(Self { statuses, contains, matches, json })
    }

    pub(super) fn put(&self, put: &mut impl FnMut(&str, Value)) {
        put("status", self.statuses.iter().map(written).collect());
        if let Some(text) = &self.contains {
            put("contains", text.as_str().into());
        }
        if let Some(Pattern(pattern)) = &self.matches {
            put("matches", pattern.as_str().into());
        }
        if let Some(JsonValue { pointer, equals }) = &self.json {
            let mut form = Map::new();
            form.insert("pointer".to_owned(), pointer.as_str().into());
            if let Some(equals) = equals {
                form.insert("equals".to_owned(), equals.clone());
            }
            put("json", Value::Object(form));
        }
    }

    pub(super) fn judge_status(&self, status: StatusCode) -> Result<(), Reason> {
        match self.statuses.iter().any(|range| range.contains(&status.as_u16())) {
            true => Ok(()),
            false => Err(bad(format!("it answered {status}"))),
        }
    }

    /// Whether the body matters at all.
    pub(super) fn asks_for_a_body(&self) -> bool {
        self.contains.is_some() || self.matches.is_some() || self.json.is_some()
    }

    pub(super) async fn judge_body(&self, body: Body) -> Result<(), Reason> {
        let text = String::from_utf8_lossy(&body.bytes);
        let part = if body.is_cut { format!(" in its first {} KiB", HEALTH_BODY / 1024) } else { String::new() };
        if self.contains.as_ref().is_some_and(|wanted| !text.contains(wanted.as_str())) {
            return Err(bad(format!("the answer does not have the text of contains{part}")));
        }
        if let Some(json) = &self.json {
            json.judge(&body)?;
        }
        match &self.matches {
            Some(Pattern(pattern)) if !is_match(pattern.clone(), text.into_owned()).await? => {
                Err(bad(format!("the answer does not match the pattern of matches{part}")))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Expected {
    /// Without what a body has to have: a service may tell whom it knows by it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expected").field("statuses", &self.statuses).finish_non_exhaustive()
    }
}

impl JsonValue {
    fn read(form: Value) -> Result<Self> {
        let mut table = Table::open(NOUN, "http.json", form, &["pointer", "equals"])?;
        let pointer = table.required("pointer", "\"/status\"")?;
        if !pointer.starts_with('/') {
            return Err(table.wrong("pointer", "write a JSON pointer, for example \"/status\" or \"/checks/0/state\""));
        }
        Ok(Self { pointer, equals: table.value("equals") })
    }

    fn judge(&self, body: &Body) -> Result<(), Reason> {
        if body.is_cut {
            return Err(bad(format!("the answer is longer than {} KiB, too long for json", HEALTH_BODY / 1024)));
        }
        let Ok(answer) = serde_json::from_slice::<Value>(&body.bytes) else {
            return Err(bad("the answer is not JSON".to_owned()));
        };
        match (answer.pointer(&self.pointer), &self.equals) {
            (None, _) => Err(bad(format!("the answer has no {}", self.pointer))),
            (Some(value), Some(equals)) if !are_equal(value, equals) => {
                Err(bad(format!("the answer has another value at {}", self.pointer)))
            }
            (Some(_), _) => Ok(()),
        }
    }
}

fn bad(words: String) -> Reason {
    Reason::new(Cause::Answer, words)
}

/// On a thread of its own: the largest pattern and body take long enough to hold up others.
async fn is_match(pattern: Regex, text: String) -> Result<bool, Reason> {
    let matched = tokio::task::spawn_blocking(move || pattern.is_match(&text)).await;
    matched.map_err(|_| Reason::new(Cause::Setup, "the runtime is shutting down"))
}

/// 1 and 1.0 are the same number.
fn are_equal(value: &Value, other: &Value) -> bool {
    match (value.as_f64(), other.as_f64()) {
        (Some(value), Some(other)) => value == other,
        _ => value == other,
    }
}

fn pattern(text: &str) -> Result<Pattern, String> {
    RegexBuilder::new(text).size_limit(HEALTH_PATTERN).dfa_size_limit(HEALTH_PATTERN).build().map(Pattern).map_err(
        |error| match error {
            regex::Error::CompiledTooBig(_) => {
                "it is too large when compiled; use fewer and smaller repetitions".to_owned()
            }
            // The driver draws the place in several lines, which no error of ours has.
            _ => "it is no regular expression; docs.rs/regex has the syntax".to_owned(),
        },
    )
}

/// `304`, `"304"` or `"200-299"`.
fn statuses(member: &Value) -> Option<RangeInclusive<u16>> {
    let number = |text: &str| {
        let is_plain = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|status| is_plain && STATUSES.contains(status))
    };
    let range = match member {
        Value::Number(status) => {
            let status = number(&status.to_string())?;
            status..=status
        }
        Value::String(text) => match text.split_once('-') {
            Some((first, last)) => number(first.trim())?..=number(last.trim())?,
            None => number(text)?..=number(text)?,
        },
        _ => return None,
    };
    (!range.is_empty()).then_some(range)
}

fn written(range: &RangeInclusive<u16>) -> Value {
    match range.start() == range.end() {
        true => (*range.start()).into(),
        false => format!("{}-{}", range.start(), range.end()).into(),
    }
}
