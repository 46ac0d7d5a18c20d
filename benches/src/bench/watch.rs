//! What the harness sees of the server while a driver works: memory, processor time, commands, stalls.
//!
//! A driver stops at phases. Between `empty` and `filled` memory is compared; between `begin` and `end` (or `workers` and
//! `end`) processor time, and what the measurement is about besides.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use bench_driver::{Outcome, Report, Value};
use taskq_test_support::RedisServer;

use crate::{
    catalogue::{Row, Way},
    ground::{Ground, Stands},
    monitor::Monitor,
    pinger::Pinger,
    slow_log::SlowLog,
};

/// A closed SQLite file is tidied up within this time.
const FILE_SETTLES_WITHIN: Duration = Duration::from_secs(3);

/// Watches one run.
pub(crate) struct Watch<'a> {
    ground: &'a Ground<'a>,
    row: &'a Row,
    tasks: u64,
    empty: Option<f64>,
    filled: Option<f64>,
    begun: Option<Begun>,
    /// Between all beginnings and ends together.
    stretches: Stretches,
    sights: Vec<Value>,
}

#[derive(Clone, Copy)]
enum When {
    Empty,
    Filled,
}

/// What is under way since a beginning.
struct Begun {
    at: Instant,
    processor: Option<f64>,
    monitor: Option<Monitor>,
    stalls: Option<Stalls>,
}

/// Who looks for stalls: from outside, and in the server's own notes.
struct Stalls {
    pinger: Pinger,
    slow_log: SlowLog,
}

#[derive(Default)]
struct Stretches {
    count: u64,
    seconds: f64,
    processor: f64,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(ground: &'a Ground<'a>, row: &'a Row, tasks: u64) -> Self {
        let (stretches, sights) = (Stretches::default(), Vec::new());
        Self { ground, row, tasks, empty: None, filled: None, begun: None, stretches, sights }
    }

    /// The driver has come to a phase.
    pub(crate) fn phase(&mut self, name: &str) -> Outcome<()> {
        match name {
            "empty" => self.empty = self.bytes(When::Empty)?,
            "filled" => self.filled = self.bytes(When::Filled)?,
            "begin" | "workers" => self.begun = Some(self.begin()?),
            "end" => self.end()?,
            other => return Err(format!("there is no phase \"{other}\"").into()),
        }
        Ok(())
    }

    /// All that was seen.
    pub(crate) fn values(mut self) -> Vec<Value> {
        if let (Some(empty), Some(filled), Some(name)) = (self.empty, self.filled, self.bytes_name()) {
            self.sights.push(value(name, "bytes", (filled - empty) / self.tasks as f64));
        }
        let Stretches { count, seconds, processor } = self.stretches;
        let through = (self.tasks * count) as f64;
        if count > 0 && processor > 0.0 && !matches!(self.row.asks, "idle" | "due_100k" | "start_processes") {
            let name = self.named("redis_us_per_task", "redis_us");
            self.sights.push(value(&name, "us", processor * 1e6 / through));
        }
        if self.row.asks == "processes" {
            self.sights.push(value(&self.named("", "rate"), "/s", through / seconds));
        }
        self.sights
    }

    fn begin(&self) -> Outcome<Begun> {
        let (monitor, stalls) = match (&self.ground.stands_on, self.row.asks) {
            (Stands::Server(server), "idle") => (Some(Monitor::start(server)?), None),
            (Stands::Server(server), "due_100k" | "purge_1m" | "purge_delayed") => {
                let slow_log = SlowLog::start(server);
                (None, Some(Stalls { pinger: Pinger::start(server)?, slow_log }))
            }
            _ => (None, None),
        };
        Ok(Begun { processor: self.processor_seconds()?, monitor, stalls, at: Instant::now() })
    }

    fn end(&mut self) -> Outcome<()> {
        let begun = self.begun.take().ok_or("it came to an end before it began")?;
        let seconds = begun.at.elapsed().as_secs_f64();
        if let (Some(monitor), Stands::Server(server)) = (begun.monitor, &self.ground.stands_on) {
            let commands = monitor.count(server)?;
            self.sights.push(value("idle_commands", "commands/s", commands as f64 / seconds));
        }
        if let (Some(Stalls { pinger, slow_log }), Stands::Server(server)) = (begun.stalls, &self.ground.stands_on) {
            let asks = self.row.asks;
            for (what, longest) in [("stall", pinger.longest()?), ("longest_command", slow_log.longest(server)?)] {
                self.sights.push(value(&format!("{asks}_{what}_ms"), "ms", longest.as_secs_f64() * 1e3));
            }
        }
        if let (Some(before), Some(after)) = (begun.processor, self.processor_seconds()?) {
            self.stretches.processor += after - before;
        }
        self.stretches.count += 1;
        self.stretches.seconds += seconds;
        Ok(())
    }

    fn bytes_name(&self) -> Option<&'static str> {
        match self.row.asks {
            "enqueue_all" => Some("bytes_queued"),
            "enqueue_all_untracked" => Some("bytes_queued_untracked"),
            "fill_delayed" => Some("bytes_delayed"),
            "fill_finished" => Some("bytes_finished"),
            _ => None,
        }
    }

    /// The name of a figure that several measurements bring: that of `drain` has no other.
    fn named(&self, plain: &str, short: &str) -> String {
        match (self.row.way, self.row.asks) {
            (Way::Backlog(backlog), _) => format!("{short}_backlog_{}", in_thousands(backlog)),
            (Way::Workers(count), _) => format!("{short}_processes_{count}"),
            _ => full_name(self.row.asks, plain),
        }
    }

    /// Memory of the server, or length of the file.
    fn bytes(&self, when: When) -> Outcome<Option<f64>> {
        match (&self.ground.stands_on, when) {
            (Stands::Server(server), _) => Ok(Some(fact(server, "memory", "used_memory")?)),
            (Stands::Folder(_), When::Empty) => Ok(Some(0.0)),
            (Stands::Folder(folder), When::Filled) => Ok(settled_length(folder.path())),
        }
    }

    /// Processor time of the server, in seconds; a file has none of its own.
    fn processor_seconds(&self) -> Outcome<Option<f64>> {
        match &self.ground.stands_on {
            Stands::Folder(_) => Ok(None),
            Stands::Server(server) => {
                Ok(Some(fact(server, "cpu", "used_cpu_user")? + fact(server, "cpu", "used_cpu_sys")?))
            }
        }
    }
}

/// The length of the database once its log is in it; `None` if the driver keeps it open, so that nobody can tell.
fn settled_length(folder: &Path) -> Option<f64> {
    let length = |name: &str| std::fs::metadata(folder.join(name)).map_or(0, |file| file.len());
    let begun = Instant::now();
    while length("bench.db-wal") > 0 {
        if begun.elapsed() > FILE_SETTLES_WITHIN {
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Some(length("bench.db") as f64)
}

/// What a driver reports, under names that say from which measurement they are.
pub(crate) fn with_full_names(row: &Row, report: &Report) -> Vec<Value> {
    let rename = |value: &Value| Value { metric: renamed(row, &value.metric), ..value.clone() };
    report.values.iter().map(rename).collect()
}

fn renamed(row: &Row, metric: &str) -> String {
    match row.way {
        Way::Load(percent) => metric.replacen("load", &format!("load_{percent}"), 1),
        Way::Backlog(backlog) => format!("{metric}_{}", in_thousands(backlog)),
        // The peers' drivers have a shorter word.
        _ if metric == "worker_us" => full_name(row.asks, "worker_us_per_task"),
        _ => full_name(row.asks, metric),
    }
}

/// Every drain has a `worker_us_per_task`: those of other measurements than `drain` say whose it is.
fn full_name(asks: &str, metric: &str) -> String {
    let shared = metric.ends_with("_us_per_task") || metric == "worker_rss";
    match shared && asks != "drain" {
        true => format!("{asks}_{metric}"),
        false => metric.to_owned(),
    }
}

fn in_thousands(count: u64) -> String {
    match count {
        0..1_000 => count.to_string(),
        1_000..1_000_000 => format!("{}k", count / 1_000),
        _ => format!("{}m", count / 1_000_000),
    }
}

fn value(metric: &str, unit: &str, value: f64) -> Value {
    Value { metric: metric.to_owned(), unit: unit.to_owned(), value }
}

/// A number that the server tells of itself.
fn fact(server: &RedisServer, section: &str, name: &str) -> Outcome<f64> {
    let told = server.command(&["INFO", section]);
    let line = told.text().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let line = line.ok_or_else(|| format!("the server does not tell its {name}"))?;
    Ok(line.trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::groups;

    fn row(asks: &str, way: Way) -> Row {
        let row = groups().into_iter().flat_map(|group| group.rows).find(|row| row.asks == asks && row.way == way);
        row.unwrap()
    }

    #[test]
    fn figures_that_several_measurements_bring_say_from_which_they_are() {
        assert_eq!(renamed(&row("drain", Way::Alone), "worker_us_per_task"), "worker_us_per_task");
        let results = row("drain_results", Way::Alone);
        assert_eq!(renamed(&results, "worker_us_per_task"), "drain_results_worker_us_per_task");
        assert_eq!(renamed(&results, "worker_us"), "drain_results_worker_us_per_task");
        assert_eq!(renamed(&results, "drain_results"), "drain_results");
        assert_eq!(renamed(&row("load", Way::Load(50)), "load_start_p99_us"), "load_50_start_p99_us");
        assert_eq!(renamed(&row("backlog", Way::Backlog(2_000_000)), "rate_backlog"), "rate_backlog_2m");
    }
}
