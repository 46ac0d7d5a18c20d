//! What the crash tests share: the tasks of the worker process, the process itself, and what it has written.

use std::{collections::HashMap, path::Path, process::Command, time::Duration};

use taskq::task;
use taskq_test_support::ChildProcess;

/// The same declaration as in the worker process; its body never runs here.
#[task(queue = "crash")]
pub async fn square(number: u64, pause_micros: u64) -> u64 {
    number * number + pause_micros
}

/// No test waits longer than this for anything.
pub const LONG: Duration = Duration::from_secs(120);

/// A number that an environment variable gives, or else this one.
pub fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Starts worker processes of one program.
#[derive(Clone, Copy, Debug)]
pub struct Program(pub &'static str);

impl Program {
    /// A worker that is ready.
    pub fn worker(self, url: &str, slots: usize, folder: &Path) -> ChildProcess {
        let process = self.doomed_worker(url, slots, folder);
        process.wait_for_line(|line| line.starts_with("ready"), LONG);
        process
    }

    /// A worker whose first task may end it before it says that it is ready.
    pub fn doomed_worker(self, url: &str, slots: usize, folder: &Path) -> ChildProcess {
        let history = folder.join("history");
        let mut command = Command::new(self.0);
        command.arg(url).arg(slots.to_string()).arg(history);
        ChildProcess::spawn(&mut command)
    }
}

/// One of the counts that a worker prints at its end.
pub fn count(tally: &str, name: &str) -> u64 {
    let start = tally.find(&format!("{name}: ")).expect("the tally has it") + name.len() + 2;
    let digits: String = tally[start..].chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

/// Ends a worker as a deployment would, and gives what it printed about itself.
pub fn ending(worker: &ChildProcess) -> String {
    worker.terminate();
    let tally = worker.wait_for_line(|line| line.starts_with("tally"), LONG);
    worker.wait_for_exit(LONG);
    tally
}

/// How often each number was executed.
pub fn executions(folder: &Path) -> HashMap<u64, u64> {
    let history = std::fs::read_to_string(folder.join("history")).expect("was written");
    let mut executions = HashMap::new();
    for line in history.lines() {
        let number = line.split(' ').next().and_then(|number| number.parse().ok()).expect("a number first");
        *executions.entry(number).or_default() += 1;
    }
    executions
}

/// A little pseudo-randomness, so that a failure can be repeated by its seed.
#[derive(Clone, Debug)]
pub struct Seed(pub u64);

impl Seed {
    /// A number below `below`.
    pub fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}
