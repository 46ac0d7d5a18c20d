//! The worker and producer processes of a campaign, and what was done to them.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use taskq_crash_tests::{LONG, count, ending};
use taskq_test_support::ChildProcess;

use crate::clock;

/// Slots of each worker.
const SLOTS: usize = 8;

/// Something was done to one process, or to all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trouble {
    pub(crate) process: Option<u32>,
    pub(crate) from: Duration,
    pub(crate) until: Duration,
    pub(crate) is_kill: bool,
}

/// Every process of a campaign.
#[derive(Debug)]
pub(crate) struct Fleet {
    program: PathBuf,
    url: String,
    folder: PathBuf,
    started: usize,
    pub(crate) workers: Vec<ChildProcess>,
    producers: Vec<ChildProcess>,
    pub(crate) troubles: Vec<Trouble>,
}

/// What workers counted until their end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tallies {
    pub(crate) fenced: u64,
    pub(crate) retried: u64,
    pub(crate) dead: u64,
    pub(crate) leases_lost: u64,
}

impl Fleet {
    /// So many workers, ready.
    pub(crate) fn start(url: &str, folder: &Path, workers: usize) -> std::io::Result<Self> {
        let mut fleet = Self {
            program: std::env::current_exe()?,
            url: url.to_owned(),
            folder: folder.to_owned(),
            started: 0,
            workers: Vec::new(),
            producers: Vec::new(),
            troubles: Vec::new(),
        };
        (0..workers).for_each(|_| fleet.start_worker());
        fleet.workers.iter().for_each(|worker| drop(worker.wait_for_line(|line| line.starts_with("ready"), LONG)));
        Ok(fleet)
    }

    fn journal(&mut self) -> PathBuf {
        self.started += 1;
        self.folder.join(format!("{}.journal", self.started))
    }

    fn start_worker(&mut self) {
        let journal = self.journal();
        let mut command = Command::new(&self.program);
        command.arg("worker").arg(&self.url).arg(SLOTS.to_string()).arg(journal);
        self.workers.push(ChildProcess::spawn(&mut command));
    }

    /// Starts a producer of these numbers.
    pub(crate) fn start_producer(&mut self, seed: u64, first: u64, count: u64, seconds: f64) {
        let journal = self.journal();
        let numbers = [seed.to_string(), first.to_string(), count.to_string(), seconds.to_string()];
        let mut command = Command::new(&self.program);
        command.arg("producer").arg(&self.url).args(numbers).arg(journal);
        self.producers.push(ChildProcess::spawn(&mut command));
    }

    /// Kills a worker and starts another one in its place.
    pub(crate) fn kill(&mut self, index: usize) {
        let worker = self.workers.swap_remove(index);
        worker.kill();
        let now = clock::now();
        self.troubles.push(Trouble { process: Some(worker.id()), from: now, until: Duration::MAX, is_kill: true });
        self.start_worker();
    }

    /// Notes that everybody was in trouble from then until now.
    pub(crate) fn all_troubled_since(&mut self, from: Duration) {
        self.troubles.push(Trouble { process: None, from, until: clock::now(), is_kill: false });
    }

    /// Waits until every producer is done.
    pub(crate) fn wait_for_producers(&self, bound: Duration) {
        self.producers.iter().for_each(|producer| drop(producer.wait_for_line(|line| line == "done", bound)));
    }

    /// Ends every worker as a deployment would.
    pub(crate) fn end(&mut self) -> Tallies {
        let mut tallies = Tallies::default();
        for worker in self.workers.drain(..) {
            let tally = ending(&worker);
            tallies.fenced += count(&tally, "fenced") + count(&tally, "unclear");
            tallies.retried += count(&tally, "retried");
            tallies.dead += count(&tally, "dead");
            tallies.leases_lost += count(&tally, "leases_lost");
        }
        tallies
    }
}
