//! What every measurement stands on: a connection, tasks on it, a worker for them.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use bench_driver::{Job, Outcome};
use taskq::{Client, Connection, EventsMode, Tally, Worker, WorkerHandle};

use crate::tasks::{App, QUEUE, TEXT, mute, noop};

/// How often it is looked whether all is done. No faster timer is in the runtime.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(1);

/// Without any progress for this long, tasks are lost or nobody works.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tasks that are enqueued with one call while the queue is filled: their handles are not kept.
const FILLED_AT_ONCE: u64 = 20_000;

/// A connection and what bodies write down.
pub(crate) struct Stage {
    pub(crate) connection: Connection,
    pub(crate) client: Client,
    pub(crate) app: App,
}

impl Stage {
    /// Connects, with room for tasks 0 to `tasks - 1`.
    pub(crate) async fn open(job: &Job, tasks: u64) -> Outcome<Self> {
        let connection = taskq::connect(&job.url).await?.with_events(events()?);
        let client = connection.client();
        Ok(Self { connection, client, app: App::new(tasks) })
    }

    /// Starts a worker of so many slots.
    pub(crate) async fn worker(&self, slots: usize) -> Outcome<WorkerHandle> {
        let worker = Worker::builder(self.connection.clone()).app(self.app.clone()).queue(QUEUE, slots);
        Ok(worker.start().await?)
    }

    /// Enqueues tasks with results, and keeps about a hundred handles to look at later.
    pub(crate) async fn fill_tracked(&self, tasks: Range<u64>) -> Outcome<Vec<Sample>> {
        let step = (tasks.end - tasks.start) / 100 + 1;
        let mut samples = Vec::new();
        for part in parts(tasks) {
            let handles = self.client.enqueue_all(part.clone().map(|n| noop::with(n, TEXT.to_owned()))).await?;
            samples.extend(part.zip(handles).filter(|(number, _)| number % step == 0));
        }
        Ok(samples)
    }

    /// Enqueues tasks without results.
    pub(crate) async fn fill_untracked(&self, tasks: Range<u64>) -> Outcome<()> {
        for part in parts(tasks) {
            self.client.enqueue_all(part.map(|n| mute::with(n, TEXT.to_owned()))).await?;
        }
        Ok(())
    }

    /// Returns when so many tasks have run and nothing is left in the queue.
    pub(crate) async fn until_settled(&self, tasks: u64) -> Outcome<()> {
        self.until_executed(tasks).await?;
        self.until_empty().await
    }

    /// Returns when so many tasks have run.
    pub(crate) async fn until_executed(&self, tasks: u64) -> Outcome<()> {
        let (mut progress, mut at) = (0, Instant::now());
        loop {
            let executed = self.app.ledger.executed();
            if executed >= tasks {
                return Ok(());
            }
            if executed > progress {
                (progress, at) = (executed, Instant::now());
            }
            if at.elapsed() > PATIENCE {
                return Err(format!("{executed} of {tasks} tasks ran, and then none for {PATIENCE:?}").into());
            }
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        }
    }

    /// Returns when nothing is left in the queue, neither waiting nor running.
    pub(crate) async fn until_empty(&self) -> Outcome<()> {
        self.until_empty_looking(LOOK_AGAIN_AFTER).await
    }

    /// The same, looking only so often.
    pub(crate) async fn until_empty_looking(&self, again_after: Duration) -> Outcome<()> {
        let (mut progress, mut at) = (u64::MAX, Instant::now());
        loop {
            let counts = self.connection.inspect().counts(&QUEUE.parse()?).await?;
            let left = counts.ready + counts.running + counts.scheduled + counts.retrying;
            if left == 0 {
                return Ok(());
            }
            if left < progress {
                (progress, at) = (left, Instant::now());
            }
            if at.elapsed() > PATIENCE {
                return Err(format!("{left} tasks are left in the queue, and none ended for {PATIENCE:?}").into());
            }
            tokio::time::sleep(again_after).await;
        }
    }
}

/// Whether events are told while it is measured: as the environment says for programs with a configuration.
fn events() -> Outcome<EventsMode> {
    match std::env::var("TASKQ__EVENTS") {
        Ok(mode) => Ok(mode.parse()?),
        Err(_) => Ok(EventsMode::Off),
    }
}

/// A task with a result and its number, which is the result.
pub(crate) type Sample = (u64, taskq::TaskHandle<noop>);

/// Lets a worker finish.
pub(crate) async fn finish(worker: WorkerHandle) -> Tally {
    worker.drain();
    worker.ended().await
}

fn parts(tasks: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let end = tasks.end;
    let part = move |begin: u64| begin..(begin + FILLED_AT_ONCE).min(end);
    tasks.step_by(usize::try_from(FILLED_AT_ONCE).expect("a small number")).map(part)
}
