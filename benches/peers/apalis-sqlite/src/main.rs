//! Measures apalis on SQLite.

use std::{
    ops::Range,
    process::ExitCode,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use apalis::prelude::{
    BackendExt, BoxDynError, Data, IntervalStrategy, PollSnapshot, PollStrategy, TaskBuilder, TaskId, TaskSink,
    WaitForCompletion, WorkerBuilder,
};
use apalis_sqlite::{Config, SqlitePool, SqliteStorage, callback::HookCallbackListener};
use bench_driver::{About, Job, Outcome};
use futures_util::{StreamExt, stream};
use peer_metrics::{Args, Body, Peer, Results, Running, measure};
use sqlx::{query, query_scalar};
use ulid::Ulid;

const ABOUT: About = About {
    system: "apalis-sqlite",
    version: "1.0.0",
    engine: "sqlite",
    settings: "its setup(): WAL, synchronous OFF, given to all connections of the pool; table statistics gathered by \
               the driver, without which it acknowledges a hundred times slower; lock_tasks off, batch_size 500; \
               woken by its hook on inserts of the same process and an interval of 500 ms, as its readme has it; \
               results always stored, since without them nothing is acknowledged",
    lacks: "with synchronous OFF a power cut may damage the file; a dead worker's tasks run again after 60 s; a \
            worker that was given up on cannot end an attempt of another; finished tasks stay; times in seconds",
};

const QUEUE: &str = "bench";
const WORKER: &str = "bench-worker";

fn main() -> ExitCode {
    bench_driver::run(ABOUT, measure::<Apalis>)
}

#[derive(Clone)]
struct Apalis {
    storage: SqliteStorage<Args>,
    inserts: HookCallbackListener,
    /// Why the worker stopped, if it did.
    stopped: Arc<OnceLock<String>>,
}

/// The hook and the interval of its readme, but always asking to be woken. Its own `Strategy` forgets that for the
/// interval whenever the hook has something, and the worker then hears of due tasks at its heartbeat only, every 30 s.
struct Wakes {
    inserts: HookCallbackListener,
    interval: IntervalStrategy,
}

impl PollStrategy for Wakes {
    fn poll_drive(&mut self, context: &mut Context<'_>, snapshot: &PollSnapshot) -> Poll<Option<()>> {
        while let Poll::Ready(Some(())) = self.inserts.poll_next_unpin(context) {}
        while self.interval.poll_drive(context, snapshot).is_ready() {}
        Poll::Pending
    }
}

async fn task(args: Args, body: Data<Body>) -> Result<u64, BoxDynError> {
    body.run(args.n);
    Ok(args.n)
}

impl Peer for Apalis {
    type Id = TaskId;

    async fn connect(job: &Job) -> Outcome<Self> {
        let (pool, inserts) = SqliteStorage::connect_with_callback(&format!("{}?mode=rwc", job.url))?;
        SqliteStorage::setup(&pool).await?;
        synchronous_off(&pool).await?;
        gather_statistics(&pool).await?;
        let config = Config::default().queue(QUEUE).batch_size(500).lock_tasks(false);
        let storage = SqliteStorage::new(&pool).with_config(config);
        Ok(Self { storage, inserts, stopped: Arc::default() })
    }

    async fn enqueue(&mut self, number: u64) -> Outcome<TaskId> {
        let id = TaskId::from_ulid(Ulid::generate());
        self.storage.push_task(TaskBuilder::new(Args::new(number)).task_id(id.clone()).build()).await?;
        Ok(id)
    }

    async fn enqueue_all(&mut self, numbers: Range<u64>) -> Outcome<()> {
        Ok(self.storage.push_bulk(numbers.map(Args::new).collect()).await?)
    }

    async fn enqueue_due(&mut self, numbers: Range<u64>, due: SystemTime) -> Outcome<()> {
        let tasks = numbers.map(|number| TaskBuilder::new(Args::new(number)).run_at_time(due).build());
        Ok(self.storage.push_all(stream::iter(tasks)).await?)
    }

    async fn work(&mut self, _slots: usize, _results: Results, body: Body) -> Outcome<Running> {
        let wakes =
            Wakes { inserts: self.inserts.clone(), interval: IntervalStrategy::new(Duration::from_millis(500)) };
        let backend = self.storage.clone().poll_with_strategy(wakes);
        let worker = WorkerBuilder::new(WORKER).backend(backend).data(body).build(task);
        let stopped = Arc::clone(&self.stopped);
        let running = tokio::spawn(async move {
            let reason = match worker.run().await {
                Ok(()) => "it ended".to_owned(),
                Err(error) => error.to_string(),
            };
            // Only one worker is started.
            let _ = stopped.set(reason);
        });
        Ok(Box::new(running))
    }

    async fn is_drained(&mut self) -> Outcome<bool> {
        if let Some(reason) = self.stopped.get() {
            return Err(format!("the worker has stopped: {reason}").into());
        }
        let unfinished =
            "SELECT EXISTS (SELECT 1 FROM Jobs WHERE status IN ('Pending', 'Queued', 'Running', 'Failed'))";
        Ok(!query_scalar::<_, bool>(unfinished).fetch_one(self.storage.pool()).await?)
    }

    async fn wait(&mut self, id: TaskId) -> Outcome<u64> {
        let mut results = WaitForCompletion::<u64>::wait_for(&mut self.storage, [id]);
        Ok(results.next().await.ok_or("no result")??.take()?)
    }

    async fn read(&mut self, id: TaskId) -> Outcome<Option<u64>> {
        let found = WaitForCompletion::<u64>::check_status(&mut self.storage, [id]).await?;
        Ok(found.into_iter().next().and_then(|result| result.take().ok()))
    }
}

/// Without statistics SQLite acknowledges by a walk over all tasks that this worker ever finished. The library never
/// has them gathered; a database in which such a worker has been busy before, and that was analysed, is to its
/// advantage.
async fn gather_statistics(pool: &SqlitePool) -> Outcome<()> {
    let mut earlier = SqliteStorage::new(pool).with_config(Config::default().queue("earlier"));
    earlier.push_bulk((0..1_000).map(Args::new).collect()).await?;
    for statement in [
        "INSERT INTO Workers (id, worker_type, storage_name) VALUES ('bench-worker', 'earlier', 'SqliteStorage')",
        "UPDATE Jobs SET status = 'Done', lock_by = 'bench-worker', done_at = run_at",
        "ANALYZE",
        "DELETE FROM Jobs",
        "DELETE FROM Workers",
    ] {
        query(statement).execute(pool).await?;
    }
    Ok(())
}

/// Its setup says so to one connection of the pool only, and to SQLite it is a property of a connection.
async fn synchronous_off(pool: &SqlitePool) -> Outcome<()> {
    let mut connections = Vec::new();
    for _ in 0..pool.options().get_max_connections() {
        let mut connection = pool.acquire().await?;
        query("PRAGMA synchronous = OFF").execute(&mut *connection).await?;
        connections.push(connection);
    }
    Ok(())
}
