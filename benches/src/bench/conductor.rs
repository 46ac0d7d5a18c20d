//! Plays the measurements, in turn, and keeps what they bring.

use std::time::Duration;

use bench_driver::{Audit, Outcome, Report, Value};

use crate::{
    catalogue::{Engine, Group, Place, Row, Tasks, Way},
    crew::Crew,
    driver::{Driver, Said},
    figure::median,
    ground::{Ground, Grounds},
    options::Options,
    results::Results,
    selection::Selection,
    systems::{System, Systems},
    watch::{Watch, with_full_names},
};

/// What starting processes costs is over by then.
const CREW_SETTLES_IN: Duration = Duration::from_secs(3);

/// SQLite and peers get a part of the tasks: they are slower, and a rate is a rate.
const SQLITE_PART: u64 = 10;
const PEERS_PART: u64 = 8;

/// So often a drain alone and one beside idle processes are made for one figure.
const TURNS_BESIDE_IDLE: usize = 5;

/// Plays what was selected.
pub(crate) struct Conductor<'a> {
    options: &'a Options,
    systems: &'a Systems,
    grounds: Grounds,
    results: Results,
    progress: Progress,
}

/// What one run of one measurement brought.
#[derive(Debug, Default)]
struct Brought {
    values: Vec<Value>,
    audit: Option<Audit>,
    skipped: Option<String>,
}

impl<'a> Conductor<'a> {
    pub(crate) fn new(options: &'a Options, systems: &'a Systems) -> Outcome<Self> {
        let (grounds, results) = (Grounds::new()?, Results::default());
        Ok(Self { options, systems, grounds, results, progress: Progress::default() })
    }

    /// Everything, group by group; within a group every system in turn.
    pub(crate) fn play(mut self, selection: &Selection) -> Outcome<Results> {
        self.progress.of = selection.groups.iter().map(|group| self.runs_of(group)).sum();
        for group in &selection.groups {
            for run in 1..=self.options.runs {
                for row in &group.rows {
                    for system in self.systems.of(row.who, group.place) {
                        self.progress.step(&group.place.name(row.brings[0]), system, run, self.options.runs);
                        self.run(group.place, row, system);
                    }
                }
            }
        }
        Ok(self.results)
    }

    fn runs_of(&self, group: &Group) -> u64 {
        let systems = |row: &Row| self.systems.of(row.who, group.place).len() as u64;
        group.rows.iter().map(systems).sum::<u64>() * self.options.runs
    }

    /// One run. What goes wrong is kept with the results: the others are measured all the same.
    fn run(&mut self, place: Place, row: &Row, system: &System) {
        let names: Vec<_> = row.brings.iter().map(|metric| place.name(metric)).collect();
        let brought = match self.measure(place, row, system) {
            Ok(brought) => brought,
            Err(error) => return self.results.fail(system, &names, &error.to_string()),
        };
        if let Some(why) = brought.skipped {
            return self.results.skip(system, names[0].clone(), &why);
        }
        let audit_failed = brought.audit.filter(|audit| !audit.is_ok());
        self.results.add(system, place, &brought.values, audit_failed.is_none());
        if let Some(audit) = audit_failed {
            self.results.fail(system, &names, &format!("the audit failed: {audit:?}"));
        }
    }

    fn measure(&mut self, place: Place, row: &Row, system: &System) -> Outcome<Brought> {
        match row.way {
            Way::BesideIdle(count) => self.beside_idle(place, row, system, count),
            Way::Workers(count) => self.with_crew(place, row, system, count),
            Way::Load(percent) => {
                let rate = self.capacity(place)? * f64::from(percent) / 100.0;
                self.alone(place, row, system, &["--rate".to_owned(), format!("{rate:.0}")])
            }
            Way::Backlog(backlog) => self.alone(place, row, system, &["--backlog".to_owned(), backlog.to_string()]),
            Way::Alone => self.alone(place, row, system, &[]),
        }
    }

    /// A driver and nobody else.
    fn alone(&mut self, place: Place, row: &Row, system: &System, more: &[String]) -> Outcome<Brought> {
        let tasks = self.tasks(place, row, system);
        let mut arguments = self.arguments(row);
        arguments.extend_from_slice(more);
        let ground = self.grounds.prepare(place, system)?;
        let mut watch = Watch::new(&ground, row, tasks);
        let report = drive(system, &ground, tasks, &arguments, |phase| watch.phase(phase))?;
        let mut values = with_full_names(row, &report);
        values.extend(watch.values());
        Ok(Brought { values, audit: report.audit, skipped: report.skipped })
    }

    /// A driver that fills the queue, and processes that serve it.
    fn with_crew(&mut self, place: Place, row: &Row, system: &System, count: usize) -> Outcome<Brought> {
        let tasks = self.tasks(place, row, system);
        let arguments = self.arguments(row);
        let ground = self.grounds.prepare(place, system)?;
        let (mut watch, mut crew) = (Watch::new(&ground, row, tasks), None);
        drive(system, &ground, tasks, &arguments, |phase| {
            let connected = match phase {
                "workers" => Some(crew.insert(Crew::connect(system, "serve", count, &ground.url, tasks)?)),
                _ => None,
            };
            watch.phase(phase)?;
            connected.map_or(Ok(()), Crew::work)
        })?;
        let served = crew.ok_or("it wanted no workers")?.end()?;
        let audit = Some(served.audit(tasks)?);
        let mut values = watch.values();
        values.extend(served.values);
        Ok(Brought { values, audit, skipped: None })
    }

    /// The same alone and while so many processes wait for work in another queue, in turn: one drain differs from the next
    /// by more than what is looked for.
    fn beside_idle(&mut self, place: Place, row: &Row, system: &System, count: usize) -> Outcome<Brought> {
        let tasks = self.tasks(place, row, system);
        let arguments = self.arguments(row);
        let ground = self.grounds.prepare(place, system)?;
        let mut rates = [const { Vec::new() }; 2];
        let mut audit = None;
        for _ in 0..TURNS_BESIDE_IDLE {
            let alone = drive(system, &ground, tasks, &arguments, |_| Ok(()))?;
            let mut crew = Crew::connect(system, "serve_idle", count, &ground.url, 0)?;
            crew.work()?;
            std::thread::sleep(CREW_SETTLES_IN);
            let beside = drive(system, &ground, tasks, &arguments, |_| Ok(()))?;
            crew.end()?;
            for (rates, report) in rates.iter_mut().zip([&alone, &beside]) {
                rates.push(report.values.first().ok_or("it gave no rate")?.value);
            }
            audit = beside.audit;
        }
        let [alone, beside] = rates.map(median);
        let value = Value { metric: row.brings[0].to_owned(), unit: "x".to_owned(), value: beside / alone };
        Ok(Brought { values: vec![value], audit, skipped: None })
    }

    fn tasks(&self, place: Place, row: &Row, system: &System) -> u64 {
        let sqlite_part = if place.engine() == Engine::Sqlite { SQLITE_PART } else { 1 };
        let peers_part = if system.is_peer() { PEERS_PART / sqlite_part.min(PEERS_PART) } else { 1 };
        match row.tasks {
            Tasks::Bulk => self.options.tasks() / sqlite_part / peers_part.max(1),
            Tasks::Lone(most) if self.options.quick => most.div_ceil(2),
            Tasks::Lone(count) | Tasks::Exactly(count) => count,
        }
    }

    fn arguments(&self, row: &Row) -> Vec<String> {
        let seconds = match row.way {
            Way::Load(_) => self.options.load_seconds(),
            _ => self.options.idle_seconds(),
        };
        vec![row.asks.to_owned(), "--seconds".to_owned(), seconds.to_string()]
    }

    /// What producer and worker can do, as it was measured before; if it was not, it is measured now.
    fn capacity(&mut self, place: Place) -> Outcome<f64> {
        let metric = place.name("load_capacity");
        if let Some(capacity) = self.results.median("taskq", &metric) {
            return Ok(capacity);
        }
        let tasks = self.options.tasks();
        let system = self.systems.taskq();
        for _ in 0..self.options.runs {
            let ground = self.grounds.prepare(place, system)?;
            let report = drive(system, &ground, tasks, &["load_capacity".to_owned()], |_| Ok(()))?;
            self.results.add(system, place, &report.values, report.audit.is_some_and(|audit| audit.is_ok()));
        }
        self.results.median("taskq", &metric).ok_or_else(|| "the capacity could not be measured".into())
    }
}

/// Runs a driver to its report, and says at which phases it stops.
fn drive(
    system: &System,
    ground: &Ground<'_>,
    tasks: u64,
    arguments: &[String],
    mut at_phase: impl FnMut(&str) -> Outcome<()>,
) -> Outcome<Report> {
    let mut all = arguments.to_vec();
    all.extend(["--url".to_owned(), ground.url.clone(), "--tasks".to_owned(), tasks.to_string()]);
    let mut driver = Driver::start(system.program(), &all)?;
    loop {
        match driver.listen()? {
            Said::Report(report) => return Ok(report),
            Said::Phase(phase) => {
                at_phase(&phase)?;
                driver.go_on()?;
            }
        }
    }
}

/// Says on standard error how far it is.
#[derive(Debug, Default)]
struct Progress {
    done: u64,
    of: u64,
}

impl Progress {
    fn step(&mut self, metric: &str, system: &System, run: u64, runs: u64) {
        self.done += 1;
        eprintln!("[{:>4}/{}] {metric}: {}, run {run} of {runs}", self.done, self.of, system.name());
    }
}
