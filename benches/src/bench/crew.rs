//! Worker processes beside the driver: any number of drivers that serve a queue.

use bench_driver::{Audit, Ledger, Outcome, Value};

use crate::{
    driver::{Driver, Said},
    systems::System,
};

/// What each of them gets: one thread and a hundred slots, as small workers have.
const SLOTS: usize = 100;

/// Worker processes; killed when dropped.
#[derive(Debug)]
pub(crate) struct Crew {
    workers: Vec<Driver>,
}

/// What they did together.
#[derive(Debug, Default)]
pub(crate) struct Served {
    pub(crate) values: Vec<Value>,
    audit: Audit,
    fingerprint: u64,
}

impl Crew {
    /// Starts so many and waits until all are connected. They do not work yet.
    pub(crate) fn connect(system: &System, asks: &str, count: usize, url: &str, tasks: u64) -> Outcome<Self> {
        let (tasks, slots) = (tasks.to_string(), SLOTS.to_string());
        let arguments = [asks, "--url", url, "--tasks", &tasks, "--slots", &slots, "--threads", "1"];
        let arguments = arguments.map(str::to_owned);
        let start = |_| Driver::start(system.program(), &arguments);
        let mut workers: Vec<_> = (0..count).map(start).collect::<Outcome<_>>()?;
        for worker in &mut workers {
            worker.expect_phase("connected")?;
        }
        Ok(Self { workers })
    }

    /// Lets all of them work, and waits until they do.
    pub(crate) fn work(&mut self) -> Outcome<()> {
        self.all_go_on()?;
        for worker in &mut self.workers {
            worker.expect_phase("serving")?;
        }
        Ok(())
    }

    /// Ends all of them and adds up what they did.
    pub(crate) fn end(mut self) -> Outcome<Served> {
        self.all_go_on()?;
        let mut served = Served::default();
        for worker in &mut self.workers {
            let Said::Report(report) = worker.listen()? else {
                return Err("a worker process does not end".into());
            };
            let audit = report.audit.unwrap_or_default();
            served.audit.executed += audit.executed;
            served.audit.duplicates += audit.duplicates;
            for value in report.values {
                match value.metric == "fingerprint" {
                    true => served.fingerprint ^= value.value as u64,
                    false => served.values.push(value),
                }
            }
        }
        Ok(served)
    }

    fn all_go_on(&mut self) -> Outcome<()> {
        self.workers.iter_mut().try_for_each(Driver::go_on)
    }
}

impl Served {
    /// Whether each of so many tasks ran once, in one of them.
    pub(crate) fn audit(&self, tasks: u64) -> Outcome<Audit> {
        let audit = Audit { tasks, ..self.audit };
        match audit.is_ok() && self.fingerprint != Ledger::whole_fingerprint(tasks) {
            true => Err(format!("as many tasks ran as were enqueued, but not the same: {audit:?}").into()),
            false => Ok(audit),
        }
    }
}
