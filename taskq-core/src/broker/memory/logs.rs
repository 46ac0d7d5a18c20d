//! The log lines of one queue's tasks: the rules of [`Logs`](crate::Logs), in plain Rust.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    clock::Timestamp,
    id::TaskKey,
    limits,
    logs::{LogLine, surplus},
};

/// What tasks said.
#[derive(Debug, Default)]
pub(super) struct MemoryLogs {
    by_key: BTreeMap<TaskKey, MemoryLog>,
    by_age: BTreeSet<(Timestamp, TaskKey)>,
}

#[derive(Debug, Default)]
struct MemoryLog {
    lines: Vec<LogLine>,
    /// When the last one came.
    at: Timestamp,
}

impl MemoryLogs {
    pub(super) fn append(&mut self, now: Timestamp, key: &TaskKey, lines: &[LogLine]) {
        self.forget(now);
        if lines.is_empty() {
            return;
        }
        let log = self.by_key.entry(key.clone()).or_default();
        self.by_age.remove(&(log.at, key.clone()));
        self.by_age.insert((now, key.clone()));
        log.at = now;
        log.lines.extend_from_slice(lines);
        log.lines.drain(..surplus(log.lines.iter().map(|line| line.text().len())));
    }

    pub(super) fn lines(&self, now: Timestamp, key: &TaskKey) -> Vec<LogLine> {
        let kept = self.by_key.get(key).filter(|log| log.at + limits::LOG_TTL > now);
        kept.map(|log| log.lines.clone()).unwrap_or_default()
    }

    /// Forgets what nobody has added to for long.
    pub(super) fn forget(&mut self, now: Timestamp) {
        while let Some((at, key)) = self.by_age.first() {
            if *at + limits::LOG_TTL > now {
                return;
            }
            self.by_key.remove(key);
            self.by_age.pop_first();
        }
    }
}
