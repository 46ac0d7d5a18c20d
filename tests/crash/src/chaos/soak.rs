//! A steady flow for many minutes: whether memory, open files, keys and bytes are at its end what they were near its
//! beginning.

use std::time::{Duration, Instant};

use serde::Serialize;
use taskq_test_support::ChildProcess;

use crate::{clock, theatre::Theatre};

/// What grows at first is not what leaks: caches, pools, the allocator. After so long it has grown.
const WARM: Duration = Duration::from_secs(60);

/// Results are kept for up to two minutes here, and then swept; that a batch was enqueued is remembered for ten minutes.
const FORGOTTEN_WITHIN: Duration = Duration::from_secs(13 * 60);

/// The resources of one worker that is never restarted, of one producer, and of the server.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Resources {
    pub(crate) worker_kib: u64,
    pub(crate) worker_files: u64,
    pub(crate) producer_kib: u64,
    pub(crate) producer_files: u64,
    pub(crate) keys: u64,
    /// Those of them that do not end by themselves.
    pub(crate) lasting_keys: u64,
    pub(crate) server_bytes: u64,
}

/// Resources over time.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Wear {
    /// Before the first task: of the server alone.
    pub(crate) before: Resources,
    /// When all was warm.
    pub(crate) warm: Option<Resources>,
    /// The last ones under load.
    pub(crate) last: Resources,
    /// When all was done and forgotten: of the server alone.
    pub(crate) after: Resources,
    #[serde(skip)]
    begun: Duration,
}

impl Wear {
    pub(crate) fn new(before: Resources) -> Self {
        Self { before, warm: None, last: before, after: before, begun: clock::now() }
    }

    fn note(&mut self, present: Resources) {
        self.last = present;
        let elapsed = clock::now().saturating_sub(self.begun);
        if self.warm.is_none() && elapsed >= WARM {
            self.warm = Some(present);
        }
        eprintln!("{:>5} s: {present:?}", elapsed.as_secs());
    }

    /// What is worse than it was: a tenth and two MiB more memory, three more files, four more keys that last, a tenth and a
    /// MiB more bytes. What is remembered of an owner for an hour ends by itself.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let Some(warm) = self.warm else { return vec![format!("it ended before all was warm, in {WARM:?}")] };
        let (last, before, after) = (self.last, self.before, self.after);
        let memory = |kib: u64| kib + kib / 10 + 2_048;
        [
            ("memory of a worker, KiB", last.worker_kib, memory(warm.worker_kib)),
            ("memory of a producer, KiB", last.producer_kib, memory(warm.producer_kib)),
            ("open files of a worker", last.worker_files, warm.worker_files + 3),
            ("open files of a producer", last.producer_files, warm.producer_files + 3),
            ("keys that last", after.lasting_keys, before.lasting_keys + 4),
            ("bytes of the server", after.server_bytes, before.server_bytes + before.server_bytes / 10 + 1_048_576),
        ]
        .into_iter()
        .filter(|(_, found, most)| found > most)
        .map(|(what, found, most)| format!("{what}: {found}, at most {most}"))
        .collect()
    }
}

impl Theatre<'_> {
    /// Every second time ends a worker, by force or not; and kills connections otherwise. Then looks at the resources.
    pub(crate) async fn wear_out(&mut self) {
        let from = clock::now();
        match self.seed.next(4) {
            0 => {
                let last = self.fleet.workers.len() - 1;
                self.fleet.kill(last);
            }
            1 => self.fleet.redeploy_last(),
            2 => drop(self.stage.server().command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"])),
            _ => drop(self.stage.server().command(&["CLIENT", "KILL", "TYPE", "pubsub"])),
        }
        self.fleet.all_troubled_since(from);
        let present = self.resources();
        if let Some(wear) = &mut self.wear {
            wear.note(present);
        }
    }

    fn resources(&mut self) -> Resources {
        let of_server = self.of_the_server();
        let worker = &self.fleet.workers[0];
        let producer = &self.fleet.producers[0];
        let last = self.wear.as_ref().map(|wear| wear.last).unwrap_or_default();
        // A producer that is done has left nothing to look at but what it had before.
        let (producer_kib, producer_files) = match producer.is_running() {
            true => (resident_kib(producer), open_files(producer)),
            false => (last.producer_kib, last.producer_files),
        };
        Resources {
            worker_kib: resident_kib(worker),
            worker_files: open_files(worker),
            producer_kib,
            producer_files,
            ..of_server
        }
    }

    pub(crate) fn of_the_server(&mut self) -> Resources {
        let server = self.stage.server();
        let keyspace = server.command(&["INFO", "keyspace"]);
        let count = |name: &str| {
            let rest = keyspace.text().split_once(name).map_or("", |(_, rest)| rest);
            rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0)
        };
        let (keys, ending): (u64, u64) = (count("keys="), count("expires="));
        let info = server.command(&["INFO", "memory"]);
        let bytes = info.text().lines().find_map(|line| line.strip_prefix("used_memory:")?.trim().parse().ok());
        Resources { keys, lasting_keys: keys - ending, server_bytes: bytes.unwrap_or(0), ..Resources::default() }
    }

    /// Waits until results are forgotten, as the sweeps of idle workers do it.
    pub(crate) async fn rest(&mut self) {
        let Some(mut wear) = self.wear.take() else { return };
        let begun = Instant::now();
        loop {
            wear.after = self.of_the_server();
            if wear.complaints().is_empty() || begun.elapsed() > FORGOTTEN_WITHIN {
                break;
            }
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        eprintln!("after {} s of rest: {:?}", begun.elapsed().as_secs(), wear.after);
        self.wear = Some(wear);
    }
}

fn resident_kib(process: &ChildProcess) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok()).unwrap_or(0)
}

fn open_files(process: &ChildProcess) -> u64 {
    std::fs::read_dir(format!("/proc/{}/fd", process.id())).map_or(0, |files| files.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grew_is_told_and_what_did_not_is_not() {
        let resources = |kib: u64, files: u64, keys: u64| Resources {
            worker_kib: kib,
            worker_files: files,
            producer_kib: kib,
            producer_files: files,
            keys,
            lasting_keys: keys,
            server_bytes: keys * 1_000,
        };
        let before = resources(0, 0, 10);
        let wear =
            |last, after| Wear { before, warm: Some(resources(10_000, 20, 900)), last, after, begun: Duration::ZERO };
        assert!(wear(resources(11_000, 22, 999), before).complaints().is_empty());
        let leaks = wear(resources(14_000, 40, 999), resources(0, 0, 2_000)).complaints();
        assert_eq!(leaks.len(), 6, "{leaks:?}");
        assert!(leaks.contains(&"open files of a worker: 40, at most 23".to_owned()), "{leaks:?}");
        assert_eq!(Wear::new(before).complaints().len(), 1, "it was too short");
    }
}
