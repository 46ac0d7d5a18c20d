//! Measures apalis on Redis, without its locks and its events.

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
use apalis_redis::{Config, RedisStorage};
use bench_driver::{About, Job, Outcome};
use futures_util::{StreamExt, stream};
use peer_metrics::{Args, Body, Peer, Results, Running, measure};
use redis::aio::ConnectionManager;
use ulid::Ulid;

const ABOUT: About = About {
    system: "apalis-redis",
    version: "1.0.0",
    engine: "redis",
    settings: "lock_tasks and emit_events off, batch_size 500, a poll every 1 ms (without one it looks for tasks at \
               its heartbeat only, every 30 s); results always stored, since without them nothing is acknowledged; \
               in drain the driver moves the due tasks into the list by hand, because more than about 8,000 end the \
               worker",
    lacks: "a worker that finds more than about 8,000 due tasks ends; a dead worker's tasks run again after 300 s; \
            ending a task that was given to another ends the worker; finished tasks and results stay; times in whole \
            seconds",
};

const QUEUE: &str = "bench";
const WORKER: &str = "bench-worker";

/// Its script unpacks all due tasks at once, and Lua can unpack fewer than 8,000.
const MOST_DUE: isize = 5_000;

fn main() -> ExitCode {
    bench_driver::run(ABOUT, measure::<Apalis>)
}

/// An interval that always asks to be woken. The library's own forgets it when a fetch takes longer than the interval,
/// and the worker then sleeps until its heartbeat, 30 s.
struct Often(IntervalStrategy);

impl PollStrategy for Often {
    fn poll_drive(&mut self, context: &mut Context<'_>, snapshot: &PollSnapshot) -> Poll<Option<()>> {
        while self.0.poll_drive(context, snapshot).is_ready() {}
        Poll::Pending
    }
}

async fn task(args: Args, body: Data<Body>) -> Result<u64, BoxDynError> {
    body.run(args.n);
    Ok(args.n)
}

#[derive(Clone)]
struct Apalis {
    storage: RedisStorage<Args>,
    redis: ConnectionManager,
    /// Why the worker stopped, if it did.
    stopped: Arc<OnceLock<String>>,
}

impl Peer for Apalis {
    type Id = TaskId;

    async fn connect(job: &Job) -> Outcome<Self> {
        let redis = apalis_redis::connect(job.url.as_str()).await?;
        let config = Config::default().queue(QUEUE).batch_size(500).lock_tasks(false).emit_events(false);
        let storage = RedisStorage::new(redis.clone()).with_config(config);
        Ok(Self { storage, redis, stopped: Arc::default() })
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

    /// Does what its own script does, a slice at a time.
    async fn before_drain(&mut self) -> Outcome<()> {
        let config = self.storage.get_config();
        let (scheduled, active) = (config.scheduled_jobs_set(), config.active_jobs_list());
        loop {
            let mut pop = redis::cmd("ZPOPMIN");
            let popped: Vec<(String, u64)> = pop.arg(&scheduled).arg(MOST_DUE).query_async(&mut self.redis).await?;
            if popped.is_empty() {
                return Ok(());
            }
            let ids: Vec<_> = popped.into_iter().map(|(id, _)| id).collect();
            redis::cmd("RPUSH").arg(&active).arg(ids).query_async::<()>(&mut self.redis).await?;
        }
    }

    async fn work(&mut self, _slots: usize, _results: Results, body: Body) -> Outcome<Running> {
        let backend = self.storage.clone().poll_with_strategy(Often(IntervalStrategy::new(Duration::from_millis(1))));
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
        let config = self.storage.get_config();
        let inflight = format!("{}:{WORKER}", config.inflight_jobs_set());
        let mut counts = redis::pipe();
        counts.cmd("LLEN").arg(config.active_jobs_list()).cmd("ZCARD").arg(config.scheduled_jobs_set());
        let counts: Vec<u64> = counts.cmd("SCARD").arg(inflight).query_async(&mut self.redis).await?;
        Ok(counts.iter().all(|count| *count == 0))
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
