//! Measures bullmq-official, the Rust port of BullMQ, on Redis.

use std::{
    ops::Range,
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bench_driver::{About, Job, Outcome};
use bullmq::{
    BulkJob, Queue, QueueEvent, QueueEvents, QueueEventsOptions, QueueOptions, Worker, WorkerOptions,
    options::RedisConnectionOptions, types::RemoveOnFinish,
};
use peer_metrics::{Args, Body, Peer, Results, Running, measure};
use serde::Deserialize;
use tokio::sync::Mutex;

const ABOUT: About = About {
    system: "bullmq-official",
    version: "1.4.4",
    engine: "redis",
    settings: "50 concurrent at most (what its guide shows; 100 were no faster); finished jobs removed, or kept \
               where results are asked for; add_bulk by 200; results awaited through QueueEvents",
    lacks: "each job costs a hash and entries of an event stream that cannot be switched off; a dead worker's tasks \
            run again after its lock (30 s) and one or two sweeps of 30 s; an ended attempt is fenced by its lock's \
            token",
};

/// As in the guide, docs.bullmq.io/guide/workers/concurrency.
const MOST_CONCURRENT: usize = 50;

const QUEUE: &str = "bench";

fn main() -> ExitCode {
    bench_driver::run(ABOUT, measure::<BullMq>)
}

#[derive(Clone)]
struct BullMq {
    url: String,
    queue: Queue,
    events: Option<Arc<Mutex<QueueEvents>>>,
}

impl BullMq {
    fn connection(&self) -> RedisConnectionOptions {
        RedisConnectionOptions::new().url(&self.url)
    }
}

impl Peer for BullMq {
    type Id = String;

    async fn connect(job: &Job) -> Outcome<Self> {
        let options = QueueOptions::new().connection(RedisConnectionOptions::new().url(&job.url));
        let queue = Queue::with_options(QUEUE, options).await?;
        Ok(Self { url: job.url.clone(), queue, events: None })
    }

    async fn enqueue(&mut self, number: u64) -> Outcome<String> {
        Ok(self.queue.add("task", Args::new(number)).await?.id().to_owned())
    }

    async fn enqueue_all(&mut self, numbers: Range<u64>) -> Outcome<()> {
        self.queue.add_bulk(numbers.map(|number| BulkJob::new("task", Args::new(number))).collect()).await?;
        Ok(())
    }

    async fn enqueue_due(&mut self, numbers: Range<u64>, due: SystemTime) -> Outcome<()> {
        let delay = || due.duration_since(SystemTime::now()).unwrap_or_default() + Duration::from_millis(1);
        let jobs = numbers.map(|number| BulkJob::new("task", Args::new(number)).delay(delay()));
        self.queue.add_bulk(jobs.collect()).await?;
        Ok(())
    }

    async fn work(&mut self, slots: usize, results: Results, body: Body) -> Outcome<Running> {
        let kept = RemoveOnFinish::Bool(results == Results::Discard);
        let options = WorkerOptions::new()
            .connection(self.connection())
            .concurrency(slots.min(MOST_CONCURRENT))
            .remove_on_complete(kept);
        let processor = move |job: bullmq::Job, _token| {
            let body = body.clone();
            async move {
                let args = Args::deserialize(job.data())?;
                body.run(args.n);
                Ok(args.n.into())
            }
        };
        Ok(Box::new(Worker::with_options(QUEUE, processor, options).await?))
    }

    async fn is_drained(&mut self) -> Outcome<bool> {
        let counts = self.queue.get_job_counts().await?;
        if counts.failed > 0 {
            return Err(format!("{} jobs failed", counts.failed).into());
        }
        Ok(counts.waiting + counts.active + counts.delayed == 0)
    }

    async fn listen(&mut self) -> Outcome<()> {
        let options = QueueEventsOptions { connection: self.connection(), ..QueueEventsOptions::default() };
        self.events = Some(Arc::new(Mutex::new(QueueEvents::with_options(QUEUE, options).await?)));
        Ok(())
    }

    async fn wait(&mut self, id: String) -> Outcome<u64> {
        let events = self.events.as_ref().ok_or("nobody listens")?.lock().await;
        while let Some(entry) = events.next_event().await {
            match entry.event {
                QueueEvent::Completed { job_id, return_value, .. } if job_id == id => return Ok(return_value.parse()?),
                _ => {}
            }
        }
        Err("the events ended".into())
    }

    async fn read(&mut self, id: String) -> Outcome<Option<u64>> {
        Ok(self.queue.get_job(&id).await?.and_then(|job| job.returnvalue().parse().ok()))
    }
}
