//! The scheduler: its entries, how it starts and ends.

use std::{collections::HashSet, fmt, future::Future, sync::Arc};

use taskq_core::{Connection, EntryId, Error, ErrorKind, Invocation, Result};
use tokio::task::JoinHandle;

use crate::{
    Entry, Schedule, Tally,
    elector::Elector,
    shared::{Phase, Shared},
    ticker::{self, Declared},
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
        SchedulerBuilder { connection, entries: Vec::new() }
    }
}

/// Says which entries a scheduler brings.
pub struct SchedulerBuilder {
    connection: Connection,
    entries: Vec<Entry>,
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

    /// Starts it and returns a handle. Installs no signal handlers, so it fits inside another server.
    ///
    /// # Errors
    /// If an entry is refused or two have one name, or if the broker cannot be reached.
    pub async fn start(self) -> Result<SchedulerHandle> {
        let declared = declared(&self.connection, self.entries)?;
        let shared = Arc::new(Shared::new(self.connection));
        let elector = Elector::start(Arc::clone(&shared)).await?;
        let entries = declared.len();
        let ticker = shared.clock.spawn("ticker", ticker::run(Arc::clone(&shared), declared));
        let supervisor = shared.clock.spawn("supervisor", supervise(Arc::clone(&shared), elector, ticker));
        tracing::info!(candidate = %shared.candidate, entries, at = shared.connection.address(), "scheduler started");
        Ok(SchedulerHandle { shared, supervisor })
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
            .finish_non_exhaustive()
    }
}

/// The entries as brokers keep them.
fn declared(connection: &Connection, entries: Vec<Entry>) -> Result<Declared> {
    let declared: Declared = entries.into_iter().map(|entry| entry.written(connection)).collect::<Result<_>>()?;
    let mut seen: HashSet<&EntryId> = HashSet::new();
    match declared.iter().find(|(id, _)| !seen.insert(id)) {
        None => Ok(declared),
        Some((id, _)) => {
            let cure = "two entries have this name; give each its own";
            Err(Error::new(ErrorKind::Config, "start scheduler:", format!("entry \"{id}\"")).because(cure))
        }
    }
}

/// Waits for the end of the ticks, then hands over. A ticker that panicked must not keep others from leading.
async fn supervise(shared: Arc<Shared>, elector: Elector, ticker: JoinHandle<()>) {
    if ticker.await.is_err() {
        tracing::error!("the ticker panicked; the scheduler ends");
    }
    shared.reach(Phase::Ended);
    elector.ended().await;
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

    /// Whether it leads, and may believe so.
    pub fn is_leader(&self) -> bool {
        let monotonic = self.shared.clock.monotonic();
        self.shared.leadership.borrow().is_some_and(|leadership| leadership.is_trusted(monotonic))
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
