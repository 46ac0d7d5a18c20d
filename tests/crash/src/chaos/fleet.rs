//! The worker and producer processes of a campaign, and what was done to them.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use taskq_crash_tests::{LONG, count, ending};
use taskq_test_support::ChildProcess;

use crate::{clock, options::Manner, scheduler};

/// Slots of each worker.
pub(crate) const SLOTS: usize = 8;

/// Something was done to one process, or to all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trouble {
    pub(crate) process: Option<u32>,
    pub(crate) from: Duration,
    pub(crate) until: Duration,
    pub(crate) is_kill: bool,
}

/// In which circumstances workers live.
#[derive(Clone, Debug)]
pub(crate) struct Circumstances {
    pub(crate) lease: Duration,
    /// The library by which each worker is shown a wall clock of its own.
    pub(crate) clock: Option<PathBuf>,
    /// How many files each may have open.
    pub(crate) open_files: Option<u32>,
}

/// Every process of a campaign.
#[derive(Debug)]
pub(crate) struct Fleet {
    program: PathBuf,
    url: String,
    folder: PathBuf,
    circumstances: Circumstances,
    started: usize,
    pub(crate) workers: Vec<ChildProcess>,
    pub(crate) producers: Vec<ChildProcess>,
    pub(crate) schedulers: Vec<ChildProcess>,
    pub(crate) troubles: Vec<Trouble>,
    /// Of workers that were ended as a deployment would.
    tallies: Tallies,
}

/// What workers counted until their end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tallies {
    pub(crate) fenced: u64,
    pub(crate) retried: u64,
    pub(crate) dead: u64,
    pub(crate) leases_lost: u64,
    /// The greatest difference between a worker's wall clock and the true time, in seconds.
    pub(crate) clock_off: u64,
}

impl Fleet {
    /// So many workers, ready.
    pub(crate) fn start(
        url: &str,
        folder: &Path,
        workers: usize,
        circumstances: Circumstances,
    ) -> std::io::Result<Self> {
        let mut fleet = Self {
            program: std::env::current_exe()?,
            url: url.to_owned(),
            folder: folder.to_owned(),
            circumstances,
            started: 0,
            workers: Vec::new(),
            producers: Vec::new(),
            schedulers: Vec::new(),
            troubles: Vec::new(),
            tallies: Tallies::default(),
        };
        (0..workers).for_each(|_| fleet.start_worker());
        fleet.workers.iter().for_each(|worker| drop(worker.wait_for_line(|line| line.starts_with("ready"), LONG)));
        Ok(fleet)
    }

    pub(crate) fn lease(&self) -> Duration {
        self.circumstances.lease
    }

    fn journal(&mut self) -> PathBuf {
        self.started += 1;
        self.folder.join(format!("{}.journal", self.started))
    }

    fn start_worker(&mut self) {
        let journal = self.journal();
        let mut command = self.program_of_a_worker();
        command.arg("worker").arg(&self.url).arg(SLOTS.to_string());
        command.arg(self.circumstances.lease.as_millis().to_string()).arg(journal);
        if let Some(library) = &self.circumstances.clock {
            let file = self.clock_of(self.started);
            std::fs::write(&file, "+0").expect("the folder can be written");
            command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", file);
            // Only what people call the time is wrong; and a change is seen at once.
            command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("FAKETIME_NO_CACHE", "1");
        }
        self.workers.push(ChildProcess::spawn(&mut command));
    }

    fn program_of_a_worker(&self) -> Command {
        match self.circumstances.open_files {
            None => Command::new(&self.program),
            Some(most) => {
                let mut command = Command::new("sh");
                command.arg("-c").arg(format!("ulimit -n {most}; exec \"$0\" \"$@\"")).arg(&self.program);
                command
            }
        }
    }

    fn clock_of(&self, number: usize) -> PathBuf {
        self.folder.join(format!("{number}.clock"))
    }

    /// From now on that many of the processes started so far, each by a chance of one in two, are shown this time.
    pub(crate) fn set_clocks(&self, offset: &str, mut chosen: impl FnMut() -> bool) {
        for file in (1..=self.started).map(|number| self.clock_of(number)).filter(|file| file.exists()) {
            if chosen() {
                std::fs::write(file, offset).expect("the folder can be written");
            }
        }
    }

    /// Starts another scheduler at this address; it is ready.
    pub(crate) fn start_scheduler(&mut self, url: &str) {
        let journal = self.journal();
        let mut command = Command::new(&self.program);
        command.arg("scheduler").arg(url).arg(journal);
        let scheduler = ChildProcess::spawn(&mut command);
        scheduler.wait_for_line(|line| line == "ready", LONG);
        self.schedulers.push(scheduler);
    }

    /// The schedulers that say they lead: a stopped one says so until it is continued.
    pub(crate) fn leaders(&self) -> impl Iterator<Item = usize> {
        let leads = |process: &ChildProcess| process.output_lines().last().is_some_and(|line| line == scheduler::LEADS);
        self.schedulers.iter().enumerate().filter(move |(_, process)| leads(process)).map(|(index, _)| index)
    }

    /// Ends every scheduler as a deployment would.
    pub(crate) fn end_schedulers(&mut self) {
        self.schedulers.drain(..).for_each(|scheduler| drop(ending(&scheduler)));
    }

    /// Starts a producer of so many numbers.
    pub(crate) fn start_producer_at(
        &mut self,
        url: &str,
        manner: Manner,
        seed: u64,
        first: u64,
        count: u64,
        seconds: f64,
    ) {
        let journal = self.journal();
        let numbers = [seed.to_string(), first.to_string(), count.to_string(), seconds.to_string()];
        let mut command = Command::new(&self.program);
        command.arg("producer").arg(url).arg(manner.to_string()).args(numbers).arg(journal);
        self.producers.push(ChildProcess::spawn(&mut command));
    }

    /// Kills a worker and starts another one in its place.
    pub(crate) fn kill(&mut self, index: usize) {
        let worker = self.workers.swap_remove(index);
        worker.kill();
        self.killed(&worker);
        self.start_worker();
    }

    fn killed(&mut self, worker: &ChildProcess) {
        let now = clock::now();
        self.troubles.push(Trouble { process: Some(worker.id()), from: now, until: Duration::MAX, is_kill: true });
    }

    /// Ends the last worker as a deployment would, and starts another one in its place.
    pub(crate) fn redeploy_last(&mut self) {
        let Some(worker) = self.workers.pop() else { return };
        self.tallies.add(&ending(&worker));
        self.start_worker();
    }

    /// Starts others in the place of workers that have ended by themselves; how many there were.
    pub(crate) fn replace_ended(&mut self) -> usize {
        let (running, ended) = self.workers.drain(..).partition::<Vec<_>, _>(ChildProcess::is_running);
        self.workers = running;
        for worker in &ended {
            self.killed(worker);
            self.start_worker();
        }
        ended.len()
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
        for worker in std::mem::take(&mut self.workers) {
            self.tallies.add(&ending(&worker));
        }
        self.tallies
    }
}

impl Tallies {
    fn add(&mut self, tally: &str) {
        self.fenced += count(tally, "fenced") + count(tally, "unclear");
        self.retried += count(tally, "retried");
        self.dead += count(tally, "dead");
        self.leases_lost += count(tally, "leases_lost");
        self.clock_off = self.clock_off.max(count(tally, "clock_off"));
    }
}
