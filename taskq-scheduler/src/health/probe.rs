//! [`Probe`]: what is looked at. One kind, one file.

use std::time::Duration;

use serde_json::Value;
use taskq_core::Result;

use super::{
    NOUN,
    command::CommandProbe,
    engines::{RedisProbe, SqliteProbe},
    http::HttpProbe,
    task::TaskProbe,
    tcp::TcpProbe,
};
use crate::table::{Table, wrong};

/// The keys by which the kinds are told apart.
pub(super) const KINDS: [&str; 6] = ["http", "tcp", "redis", "sqlite", "command", "task"];

/// What a health check looks at. [`Check`](super::Check) has the forms.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Probe {
    /// One request, and its answer.
    Http(Box<HttpProbe>),
    /// A connection opens.
    Tcp(TcpProbe),
    /// A server answers `PING`.
    Redis(RedisProbe),
    /// A file is a database that can be read.
    Sqlite(SqliteProbe),
    /// A program exits with 0.
    Command(CommandProbe),
    /// A task succeeds. [`Observer`](super::Observer) does not run it: whoever has a broker does.
    Task(TaskProbe),
}

impl Probe {
    /// Takes the one kind out of the table of a check.
    pub(super) fn take(table: &mut Table, timeout: Duration) -> Result<Self> {
        let mut named = KINDS.into_iter().filter_map(|kind| table.value(kind).map(|form| (kind, form)));
        match (named.next(), named.next()) {
            (Some((kind, form)), None) => Self::read(kind, form, timeout),
            (None, _) => Err(wrong(NOUN, "", format!("it looks at nothing; give it one of {}", KINDS.join(", ")))),
            (Some((one, _)), Some((other, _))) => {
                Err(wrong(NOUN, "", format!("it has both {one} and {other}; give it one, and write another check")))
            }
        }
    }

    fn read(kind: &str, form: Value, timeout: Duration) -> Result<Self> {
        match kind {
            "http" => HttpProbe::read(form, timeout).map(Box::new).map(Self::Http),
            "tcp" => TcpProbe::read(form).map(Self::Tcp),
            "redis" => RedisProbe::read(form).map(Self::Redis),
            "sqlite" => SqliteProbe::read(form).map(Self::Sqlite),
            "command" => CommandProbe::read(form).map(Self::Command),
            _ => TaskProbe::read(NOUN, form).map(Self::Task),
        }
    }

    pub(super) fn form(&self) -> Value {
        match self {
            Self::Http(probe) => probe.form(),
            Self::Tcp(probe) => probe.form(),
            Self::Redis(probe) => probe.form(),
            Self::Sqlite(probe) => probe.form(),
            Self::Command(probe) => probe.form(),
            Self::Task(probe) => probe.form(),
        }
    }

    /// The key of its kind: `http`, `tcp`, `redis`, `sqlite`, `command` or `task`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Tcp(_) => "tcp",
            Self::Redis(_) => "redis",
            Self::Sqlite(_) => "sqlite",
            Self::Command(_) => "command",
            Self::Task(_) => "task",
        }
    }

    /// What it looks at, for people: a URL without credentials and query, a path, the name of a program or a task.
    pub fn target(&self) -> String {
        match self {
            Self::Http(probe) => probe.shown(),
            Self::Tcp(probe) => probe.shown(),
            Self::Redis(probe) => probe.shown(),
            Self::Sqlite(probe) => probe.path().display().to_string(),
            Self::Command(probe) => probe.program().to_owned(),
            Self::Task(probe) => probe.name.to_string(),
        }
    }
}
