//! What was set, and where: the file, then the environment, which wins.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use taskq_core::Result;
use toml::{
    Spanned, Value,
    de::{DeTable, DeValue},
};

use super::{
    known::{is_known, is_section, leads_somewhere, nearest},
    wrong,
};

/// Every value that was set, by its key as shown. A named table has one too, without keys in it: for its place.
pub(super) type Settings = BTreeMap<String, Setting>;

/// One value and where it came from.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) path: Vec<String>,
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A file, at a line and column, 1-based.
    File(PathBuf, usize, usize),
    /// An environment variable.
    Environment(String),
    /// An argument of the command line.
    CommandLine(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line, column) => write!(f, "{}:{line}:{column}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::CommandLine(option) => f.write_str(option),
        }
    }
}

impl Setting {
    /// Its key as it is written in a file.
    pub(super) fn key(&self) -> String {
        shown_key(&self.path)
    }

    /// The last name of its key.
    pub(super) fn name(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }

    /// Whether it may hold a secret: arguments and headers, and what knows how to get in elsewhere.
    pub(super) fn may_be_secret(&self) -> bool {
        let kinds: &[&str] = match self.path[0].as_str() {
            "schedule" => &["args", "headers"],
            "health" => &["http", "redis", "command", "task"],
            "alert" => &["webhook", "slack", "email", "task"],
            _ => &[],
        };
        self.path.len() > 2 && kinds.contains(&self.name())
    }

    /// Whether it only tells where a named table begins.
    pub(super) fn is_heading(&self) -> bool {
        is_section(&self.path)
    }
}

/// A key as it is written in a file: names that are not plain are in quotes.
fn shown_key(path: &[String]) -> String {
    let is_plain =
        |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    let name = |name: &String| if is_plain(name) { name.clone() } else { format!("\"{}\"", name.escape_debug()) };
    path.iter().map(name).collect::<Vec<_>>().join(".")
}

fn unknown(place: impl fmt::Display, path: &[String]) -> taskq_core::Error {
    let key = shown_key(path);
    wrong(place, format!("unknown key \"{key}\"; the nearest known one is \"{}\"", nearest(path)))
}

// The file ------------------------------------------------------------------------------------------------

pub(super) fn of_file(file: &Path, text: &str) -> Result<Settings> {
    let table = DeTable::parse(text).map_err(|error| {
        let (line, column) = error.span().map_or((1, 1), |span| place_of(text, span.start));
        wrong(Origin::File(file.into(), line, column), error.message().to_owned())
    })?;
    let mut settings = Settings::new();
    let file = File { path: file, text };
    file.collect(&mut Vec::new(), table.get_ref(), &mut settings)?;
    Ok(settings)
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

impl File<'_> {
    /// Walks the tables down to the keys that may be set.
    fn collect(&self, path: &mut Vec<String>, table: &DeTable<'_>, into: &mut Settings) -> Result<()> {
        for (name, value) in table {
            path.push(name.get_ref().to_string());
            let (line, column) = place_of(self.text, name.span().start);
            let origin = Origin::File(self.path.into(), line, column);
            match value.get_ref() {
                DeValue::Table(inner) if !is_known(path) && leads_somewhere(path) => {
                    if is_section(path) {
                        put(into, path, Value::Table(toml::Table::new()), origin);
                    }
                    self.collect(path, inner, into)?;
                }
                _ if is_known(path) => put(into, path, plain(value, &origin)?, origin),
                _ => return Err(unknown(origin, path)),
            }
            path.pop();
        }
        Ok(())
    }
}

fn put(settings: &mut Settings, path: &[String], value: Value, origin: Origin) {
    settings.insert(shown_key(path), Setting { path: path.to_vec(), value, origin });
}

/// A value without its place.
fn plain(value: &Spanned<DeValue<'_>>, origin: &Origin) -> Result<Value> {
    let text = match value.get_ref() {
        DeValue::String(text) => return Ok(Value::String(text.to_string())),
        DeValue::Array(items) => {
            return items.iter().map(|item| plain(item, origin)).collect::<Result<_>>().map(Value::Array);
        }
        DeValue::Table(table) => {
            let entries = table.iter().map(|(name, value)| Ok((name.get_ref().to_string(), plain(value, origin)?)));
            return entries.collect::<Result<_>>().map(Value::Table);
        }
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(time) => time.to_string(),
    };
    text.parse().map_err(|error: toml::de::Error| wrong(origin, error.message().to_owned()))
}

fn place_of(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..offset.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

// The environment -----------------------------------------------------------------------------------------

pub(super) fn of_environment(variables: impl IntoIterator<Item = (String, String)>) -> Result<Settings> {
    let mut settings = Settings::new();
    for (variable, text) in variables {
        let Some(rest) = variable.strip_prefix("TASKQ__") else { continue };
        let path: Vec<_> = rest.split("__").map(str::to_lowercase).collect();
        if !is_known(&path) {
            return Err(unknown(&variable, &path));
        }
        // What reads as a TOML number, list or quoted text is one; anything else is text as it stands.
        let value = text.parse().unwrap_or(Value::String(text));
        put(&mut settings, &path, value, Origin::Environment(variable));
    }
    Ok(settings)
}
