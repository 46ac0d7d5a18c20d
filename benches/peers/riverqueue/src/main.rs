//! Measures River's Rust client on SQLite.

use std::{
    ops::Range,
    process::ExitCode,
    str::FromStr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bench_driver::{About, Job, Outcome};
use peer_metrics::{Args, Body, Peer, Results, Running, measure};
use riverqueue::{
    BoxError, Client, EventKind, EventReceiver, InsertManyItem, InsertOpts, JobArgs, MaintenanceConfig, QueueConfig,
    WorkContext, WorkOutcome, Workers,
    jiff::Timestamp,
    migrate::SqliteMigrator,
    sqlx::{
        SqlitePool, query_scalar,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
    },
};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

const ABOUT: About = About {
    system: "riverqueue",
    version: "0.5.0",
    engine: "sqlite",
    settings: "WAL, busy timeout 5 s, 5 connections as its readme says; synchronous NORMAL, or FULL with \
               ?synchronous=full in the address; fetch_cooldown 1 ms (the default is 100 ms), scheduler every 100 \
               ms; insert_many by 1,000; results as recorded outputs, awaited by a subscription to JobCompleted in \
               the worker's process",
    lacks: "with NORMAL a power cut may lose what was committed last; a dead worker's tasks run again after 61 \
            minutes; a stale attempt's end counts; a finished task stays in the table for 24 hours",
};

const QUEUE: &str = "default";

fn main() -> ExitCode {
    bench_driver::run(ABOUT, measure::<River>)
}

#[derive(Clone)]
struct River {
    pool: SqlitePool,
    /// Once there is a worker it is that worker's, which then need not look into the database to hear of a task.
    client: Client,
    completed: Option<Arc<Mutex<EventReceiver>>>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JobArgs)]
#[river(kind = "bench")]
struct Bench {
    n: u64,
    text: String,
}

impl Bench {
    fn new(number: u64) -> Self {
        let Args { n, text } = Args::new(number);
        Self { n, text }
    }
}

impl Peer for River {
    type Id = i64;

    const CHUNK: u64 = 1_000;

    async fn connect(job: &Job) -> Outcome<Self> {
        let (address, options) = job.url.split_once('?').unwrap_or((&job.url, ""));
        let synchronous = match options {
            "synchronous=full" => SqliteSynchronous::Full,
            _ => SqliteSynchronous::Normal,
        };
        let options = SqliteConnectOptions::from_str(address)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(synchronous)
            .busy_timeout(Duration::from_secs(5));
        let pool = SqlitePoolOptions::new().max_connections(5).connect_with(options).await?;
        SqliteMigrator::new(pool.clone()).migrate_up().await?;
        let client = Client::builder(pool.clone()).build()?;
        Ok(Self { pool, client, completed: None })
    }

    async fn enqueue(&mut self, number: u64) -> Outcome<i64> {
        Ok(self.client.insert(Bench::new(number)).await?.id())
    }

    async fn enqueue_all(&mut self, numbers: Range<u64>) -> Outcome<()> {
        self.client.insert_many(numbers.map(Bench::new)).await?;
        Ok(())
    }

    async fn enqueue_due(&mut self, numbers: Range<u64>, due: SystemTime) -> Outcome<()> {
        let opts = InsertOpts::default().with_scheduled_at(Timestamp::try_from(due)?);
        let items = numbers.map(|number| InsertManyItem::new(Bench::new(number), opts.clone()));
        self.client.insert_many(items).await?;
        Ok(())
    }

    async fn work(&mut self, slots: usize, results: Results, body: Body) -> Outcome<Running> {
        let mut workers = Workers::new();
        workers.add_fn(move |context: WorkContext, job: riverqueue::Job<Bench>| {
            let body = body.clone();
            async move {
                body.run(job.args.n);
                if results == Results::Store {
                    context.record_output(job.args.n)?;
                }
                Ok::<_, BoxError>(WorkOutcome::Complete)
            }
        })?;
        let maintenance = MaintenanceConfig::default().with_scheduler_interval(Duration::from_millis(100));
        self.client = Client::builder(self.pool.clone())
            .workers(workers)
            .fetch_cooldown(Duration::from_millis(1))
            .maintenance(maintenance)
            .queue(QUEUE, QueueConfig::new(slots))
            .build()?;
        Ok(Box::new(self.client.start()?))
    }

    async fn is_drained(&mut self) -> Outcome<bool> {
        let unfinished = "SELECT EXISTS (SELECT 1 FROM river_job WHERE state IN ('available', 'running', 'retryable', \
                          'scheduled', 'discarded'))";
        Ok(!query_scalar::<_, bool>(unfinished).fetch_one(&self.pool).await?)
    }

    async fn listen(&mut self) -> Outcome<()> {
        self.completed = Some(Arc::new(Mutex::new(self.client.subscribe(&[EventKind::JobCompleted])?)));
        Ok(())
    }

    async fn wait(&mut self, id: i64) -> Outcome<u64> {
        let mut completed = self.completed.as_ref().ok_or("nobody listens")?.lock().await;
        loop {
            let event = completed.recv().await?;
            match event.as_job() {
                Some(event) if event.job.id == id => {
                    return Ok(event.job.output().ok_or("no output")?.get().parse()?);
                }
                _ => {}
            }
        }
    }

    async fn read(&mut self, id: i64) -> Outcome<Option<u64>> {
        let job = self.client.jobs().get(id).await?;
        Ok(job.output().and_then(|output| output.get().parse().ok()))
    }
}
