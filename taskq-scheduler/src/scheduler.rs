//! The scheduler: its entries, how it starts and ends.

use std::{fmt, future::Future, sync::Arc};

use taskq_core::{Connection, Invocation, Result, limits, own_thread::OwnThread, signals::Stops};
use tokio::task::JoinHandle;

use crate::{
    Entry, Schedule, Tally,
    declaration::Declaration,
    elector,
    shared::{Phase, Shared},
    ticker,
};

/// A scheduler, ready to start. Run as many as you like: one leads, and the others wait to follow it.
///
/// ```no_run
/// # async fn example(connection: taskq_core::Connection) -> taskq_core::Result<()> {
/// use std::time::Duration;
/// use taskq_core::Invocation;
/// use taskq_scheduler::{Scheduler, cron, every};
///
/// let report = Invocation::named("weekly_report", &serde_json::json!({}));
/// let scheduler = Scheduler::builder(connection)
///     .entry("weekly-report", cron("30 7 * * Mon")?.timezone("Europe/Paris")?, report)
///     .entry("poll", every(Duration::from_secs(30))?, Invocation::named("poll", &serde_json::json!({})))
///     .start()
///     .await?;
/// // ..
/// scheduler.drain();
/// scheduler.ended().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Scheduler;

impl Scheduler {
    /// A scheduler on `connection`, for all entries that the broker has and those that are added here.
    pub fn builder(connection: Connection) -> SchedulerBuilder {
        SchedulerBuilder { connection, entries: Vec::new(), file: None }
    }
}

/// Says which entries a scheduler brings.
pub struct SchedulerBuilder {
    connection: Connection,
    entries: Vec<Entry>,
    file: Option<Vec<Entry>>,
}

impl SchedulerBuilder {
    /// Enqueues `invocation` by `schedule`. See [`Entry`] for what else an entry can say.
    #[must_use]
    pub fn entry<T>(self, name: impl Into<String>, schedule: Schedule, invocation: Invocation<T>) -> Self {
        self.with(Entry::new(name, schedule, invocation))
    }

    /// Adds an entry.
    ///
    /// When this scheduler is elected it brings its entries to the broker, and removes those that came from a program
    /// before and that it does not have: an entry that is taken out of the code fires no more. A scheduler without entries
    /// removes none. Entries that were put at run time stay.
    #[must_use]
    pub fn with(mut self, entry: Entry) -> Self {
        self.entries.push(entry);
        self
    }

    /// Brings these entries, which a configuration file declares, besides those of the program. They can change while the
    /// scheduler runs: [`Reloader::reload`].
    ///
    /// When this scheduler is elected it removes the entries that came from a file before and that are not among these: an
    /// entry that is taken out of the file fires no more, and if there are none at all, then none of a file is left. A
    /// scheduler on which this is not called leaves those of files as they are.
    #[must_use]
    pub fn file(mut self, entries: Vec<Entry>) -> Self {
        self.file = Some(entries);
        self
    }

    /// Starts it and returns a handle. Installs no signal handlers, so it fits inside another server.
    ///
    /// # Errors
    /// If an entry is refused or two have one name, or if the broker cannot be reached.
    pub async fn start(self) -> Result<SchedulerHandle> {
        let declaration = Declaration::new(&self.connection, self.entries, self.file)?;
        let entries = declaration.len();
        let shared = Arc::new(Shared::new(self.connection, declaration));
        if let Some(outlet) = shared.connection.outlet() {
            // Here, for the elector's thread and its runtime end before the last event is published.
            outlet.start();
        }
        let elector = elector::start(Arc::clone(&shared)).await?;
        let ticker = shared.clock.spawn("ticker", ticker::run(Arc::clone(&shared)));
        let supervisor = shared.clock.spawn("supervisor", supervise(Arc::clone(&shared), elector, ticker));
        tracing::info!(candidate = %shared.candidate, entries, at = shared.connection.address(), "scheduler started");
        Ok(SchedulerHandle { shared, supervisor })
    }

    /// Runs until SIGTERM or ctrl-c, then hands over.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn run(self) -> Result<()> {
        let mut stops = Stops::listen();
        self.run_until(stops.next()).await
    }

    /// Runs until `stop` returns, then hands over.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Result<()> {
        let handle = self.start().await?;
        stop.await;
        handle.drain();
        handle.ended().await;
        Ok(())
    }
}

impl fmt::Debug for SchedulerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SchedulerBuilder")
            .field("connection", &self.connection)
            .field("entries", &self.entries)
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

/// Waits for the end of the ticks, then hands over. A ticker that panicked must not keep others from leading.
async fn supervise(shared: Arc<Shared>, elector: OwnThread, ticker: JoinHandle<()>) {
    if ticker.await.is_err() {
        tracing::error!("the ticker panicked; the scheduler ends");
    }
    shared.reach(Phase::Ended);
    elector.ended().await;
    shared.connection.flush_events().await;
    tracing::info!(candidate = %shared.candidate, "scheduler ended");
}

/// A running scheduler. Dropping it lets the scheduler run on; [`drain`](Self::drain) ends it.
#[derive(Debug)]
pub struct SchedulerHandle {
    shared: Arc<Shared>,
    supervisor: JoinHandle<()>,
}

impl SchedulerHandle {
    /// Ticks no more, and hands over at once. Returns at once; [`ended`](Self::ended) waits.
    pub fn drain(&self) {
        self.shared.reach(Phase::Draining);
    }

    /// What tells how it is, for another task or thread.
    pub fn pulse(&self) -> Pulse {
        Pulse::new(Arc::clone(&self.shared))
    }

    /// What replaces the entries of its configuration file, for another task or thread.
    pub fn reloader(&self) -> Reloader {
        Reloader(Arc::clone(&self.shared))
    }

    /// Waits for SIGTERM or ctrl-c, then hands over.
    pub async fn run(self, mut stops: Stops) -> Tally {
        stops.next().await;
        self.drain();
        self.ended().await
    }

    /// Whether it leads, and may believe so.
    pub fn is_leader(&self) -> bool {
        self.pulse().is_leader()
    }

    /// What it did so far.
    pub fn tally(&self) -> Tally {
        self.shared.counters.tally()
    }

    /// Waits until it has ended: nothing is under way, and another one may lead.
    pub async fn ended(self) -> Tally {
        if self.supervisor.await.is_err() {
            tracing::error!("the scheduler's supervisor panicked");
        }
        self.shared.counters.tally()
    }
}

/// Tells how a scheduler is.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<Shared>);

impl Pulse {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Whether it leads, and may believe so.
    pub fn is_leader(&self) -> bool {
        let monotonic = self.0.clock.monotonic();
        self.0.leadership.borrow().is_some_and(|leadership| leadership.is_trusted(monotonic))
    }

    /// What it did so far.
    pub fn tally(&self) -> Tally {
        self.0.counters.tally()
    }

    /// Whether it leads or could follow: the broker has answered it of late, and it does not end. Otherwise what is wrong,
    /// in a sentence.
    ///
    /// # Errors
    /// What is wrong.
    pub fn readiness(&self) -> std::result::Result<(), String> {
        let silence = self.0.silence();
        match silence >= limits::SCHEDULER_SILENCE {
            _ if self.0.has_reached(Phase::Draining) => Err("the scheduler ends".to_owned()),
            true => Err(format!("the scheduler was not answered for {} s", silence.as_secs())),
            false => Ok(()),
        }
    }
}

/// Replaces the entries that a scheduler has from its configuration file.
#[derive(Clone, Debug)]
pub struct Reloader(Arc<Shared>);

impl Reloader {
    /// Takes these entries in place of those that the file declared before. If the scheduler leads they count at once, and
    /// else when it is elected. An entry that was there before keeps its cursor and stays paused.
    ///
    /// # Errors
    /// As [`SchedulerBuilder::start`] about entries. Then everything stays as it was.
    pub fn reload(&self, entries: Vec<Entry>) -> Result<()> {
        self.0.declaration.replace_file(&self.0.connection, entries)
    }
}
