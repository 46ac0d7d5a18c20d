//! Measures rusty-sidekiq on Redis.

use std::{
    ops::Range,
    process::ExitCode,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bench_driver::{About, Job, Outcome};
use futures_util::future::try_join_all;
use peer_metrics::{Args, Body, Peer, Results, Running, measure};
use sidekiq::{Processor, ProcessorConfig, RedisConnectionManager, RedisPool, Worker, redis_rs};

const ABOUT: About = About {
    system: "rusty-sidekiq",
    version: "0.15.2",
    engine: "redis",
    settings: "64 workers at most (each needs its own connection, more are slower), enqueueing on a second pool of \
               64 as its readme advises; no bulk call, so 200 at a time are pushed concurrently",
    lacks: "no results; a task is popped before it runs, so a dead worker's tasks are lost; no fencing; due tasks \
            are moved ten at a time every 5 s",
};

const QUEUE: &str = "bench";

/// Each holds a connection while it waits for work.
const MOST_WORKERS: usize = 64;

fn main() -> ExitCode {
    bench_driver::run(ABOUT, measure::<Sidekiq>)
}

#[derive(Clone)]
struct Sidekiq {
    url: String,
    pool: RedisPool,
}

impl Sidekiq {
    async fn pool(url: &str, connections: usize) -> Outcome<RedisPool> {
        let connections = u32::try_from(connections)?;
        Ok(bb8::Pool::builder().max_size(connections).build(RedisConnectionManager::new(url)?).await?)
    }
}

impl Peer for Sidekiq {
    type Id = ();

    async fn lacks(job: &Job) -> Outcome<Option<&'static str>> {
        Ok(match job.metric.as_str() {
            "drain_results" | "flow_results" | "result" => Some("stores no results"),
            "due_100k" => Some("moves ten due tasks every 5 s"),
            _ => None,
        })
    }

    async fn connect(job: &Job) -> Outcome<Self> {
        Ok(Self { url: job.url.clone(), pool: Self::pool(&job.url, 64).await? })
    }

    async fn enqueue(&mut self, number: u64) -> Outcome<()> {
        Ok(sidekiq::perform_async(&self.pool, Task::class_name(), QUEUE.to_owned(), Args::new(number)).await?)
    }

    async fn enqueue_all(&mut self, numbers: Range<u64>) -> Outcome<()> {
        let class = Task::class_name();
        let push = |number| sidekiq::perform_async(&self.pool, class.clone(), QUEUE.to_owned(), Args::new(number));
        try_join_all(numbers.map(push)).await?;
        Ok(())
    }

    async fn enqueue_due(&mut self, numbers: Range<u64>, due: SystemTime) -> Outcome<()> {
        let delay = due.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO);
        let class = Task::class_name();
        let push = |number| sidekiq::perform_in(&self.pool, delay, class.clone(), QUEUE.to_owned(), Args::new(number));
        try_join_all(numbers.map(push)).await?;
        Ok(())
    }

    async fn work(&mut self, slots: usize, _results: Results, body: Body) -> Outcome<Running> {
        let workers = slots.min(MOST_WORKERS);
        // One connection for each, and some for its statistics and its schedule.
        let pool = Self::pool(&self.url, workers + 4).await?;
        let config = ProcessorConfig::default().num_workers(workers);
        let mut processor = Processor::new(pool, vec![QUEUE.to_owned()]).with_config(config);
        processor.register(Task { body });
        Ok(Box::new(tokio::spawn(processor.run())))
    }

    /// A task is popped at once; while it runs, it is in the set of its process' work.
    async fn is_drained(&mut self) -> Outcome<bool> {
        let mut connection = self.pool.get().await?;
        let mut looks = redis_rs::pipe();
        looks.cmd("LLEN").arg(format!("queue:{QUEUE}")).cmd("ZCARD").arg("retry").cmd("KEYS").arg("*:work");
        let (queued, retried, working): (u64, u64, Vec<String>) =
            looks.query_async(connection.unnamespaced_borrow_mut()).await?;
        Ok(queued + retried == 0 && working.is_empty())
    }

    async fn wait(&mut self, (): ()) -> Outcome<u64> {
        Err("stores no results".into())
    }

    async fn read(&mut self, (): ()) -> Outcome<Option<u64>> {
        Ok(None)
    }
}

#[derive(Clone)]
struct Task {
    body: Body,
}

#[async_trait]
impl Worker<Args> for Task {
    async fn perform(&self, args: Args) -> sidekiq::Result<()> {
        self.body.run(args.n);
        Ok(())
    }
}
