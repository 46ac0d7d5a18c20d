//! Latency under load, in an open loop: tasks arrive at instants that are fixed beforehand, whether or not the ones before
//! are done, and each latency counts from the task's own instant. So a stall is not hidden by a producer that stalls too.
//!
//! The producer sends what has arrived with one call and has two calls under way; when they take long, the next ones are
//! larger. Some 50 microseconds of each latency are the way from the schedule to the producer. Waiting for a result costs a
//! round trip or two, so only a sample of about two hundred results a second is waited for: otherwise the waiting would be
//! the load.

use std::{ops::Range, sync::Arc, time::Duration};

use bench_driver::{Job, Outcome, Report};
use taskq::{Client, TaskHandle};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    audit::audit,
    pacer::{Schedule, arrivals},
    stage::{Stage, finish},
    stamps::{Stamps, monotonic},
    tasks::{TEXT, stamped},
};

/// Calls that are under way at once, and the most tasks of one: together four chunks of `enqueue_all`, as in `flow`. More
/// would fill the connection to the broker, and the worker's claims would wait behind them.
const CALLS: usize = 2;
const LARGEST_CALL: u64 = 400;

/// Results that are waited for, a second.
const SAMPLES_A_SECOND: f64 = 200.0;

/// A rate, in tasks a second, at which everything has arrived before anything is done.
const ALL_AT_ONCE: f64 = 1e9;

/// What arrives in this time, at first, finds nothing warm and does not count.
const WARM_UP_SECONDS: f64 = 0.5;

/// A result that is not there by then is lost.
const PATIENCE: Duration = Duration::from_secs(60);

/// From arrival until the body runs, and until a caller has the result, at the job's rate.
pub(crate) async fn load(job: &Job) -> Outcome<Report> {
    if job.rate < 1.0 {
        return Err("load needs --rate".into());
    }
    let (warm_up, tasks) = (whole(job.rate * WARM_UP_SECONDS), whole(job.rate * (WARM_UP_SECONDS + job.seconds)));
    let stage = Stage::open(job, tasks).await?;
    let worker = stage.worker(job.slots).await?;
    let schedule = Schedule::evenly(job.rate);
    let results = Stamps::new(tasks);
    let producer = Producer {
        client: stage.client.clone(),
        every: whole(job.rate / SAMPLES_A_SECOND).max(1),
        results: results.clone(),
    };
    produce(producer, schedule, tasks).await?;
    stage.until_settled(tasks).await?;
    let audit = audit(&stage, tasks, finish(worker).await, &[]).await?;
    let since_arrival = |stamps: &Stamps| {
        let latency = |number| stamps.get(number).map(|at| at.saturating_sub(schedule.at(number)));
        (warm_up..tasks).filter_map(latency).collect::<Vec<_>>()
    };
    let report = Report::default().latencies("load_start", since_arrival(&stage.app.stamps));
    Ok(report.latencies("load_result", since_arrival(&results)).audited(audit))
}

/// How many tasks a second this producer and one worker can do when all have arrived already: what a load is a part of.
pub(crate) async fn capacity(job: &Job) -> Outcome<Report> {
    let stage = Stage::open(job, job.tasks).await?;
    let worker = stage.worker(job.slots).await?;
    let begun = monotonic();
    let every = whole(ALL_AT_ONCE / SAMPLES_A_SECOND);
    let producer = Producer { client: stage.client.clone(), every, results: Stamps::new(job.tasks) };
    produce(producer, Schedule::evenly(ALL_AT_ONCE), job.tasks).await?;
    stage.until_settled(job.tasks).await?;
    let rate = job.tasks as f64 / monotonic().saturating_sub(begun).as_secs_f64();
    let audit = audit(&stage, job.tasks, finish(worker).await, &[]).await?;
    Ok(Report::default().value("load_capacity", "/s", rate).audited(audit))
}

fn whole(count: f64) -> u64 {
    count as u64
}

/// Enqueues what arrives until all have arrived and all results of the sample are there.
async fn produce(producer: Producer, schedule: Schedule, tasks: u64) -> Outcome<()> {
    let (producer, calls) = (Arc::new(producer), Arc::new(Semaphore::new(CALLS)));
    let mut arrived = arrivals(schedule, tasks);
    let (mut sent, mut sending) = (0, JoinSet::new());
    while sent < tasks {
        let call = Arc::clone(&calls).acquire_owned().await?;
        let arrived_now = *arrived.wait_for(|arrived| *arrived > sent).await?;
        let here = arrived_now.min(sent + LARGEST_CALL);
        let producer = Arc::clone(&producer);
        sending.spawn(async move {
            let waited_for = producer.enqueue(sent..here).await?;
            drop(call);
            producer.wait_for(waited_for).await
        });
        sent = here;
        // What has ended is taken out, and what failed is told at once.
        while let Some(ended) = sending.try_join_next() {
            ended??;
        }
    }
    while let Some(ended) = sending.join_next().await {
        ended??;
    }
    Ok(())
}

struct Producer {
    client: Client,
    /// Of so many tasks the result of one is waited for.
    every: u64,
    results: Stamps,
}

impl Producer {
    /// Enqueues tasks and gives the handles of the sample.
    async fn enqueue(&self, numbers: Range<u64>) -> Outcome<Vec<(u64, TaskHandle<stamped>)>> {
        let task = |number| stamped::with(number, TEXT.to_owned());
        let handles = match numbers.end - numbers.start {
            1 => vec![self.client.enqueue(task(numbers.start)).await?],
            _ => self.client.enqueue_all(numbers.clone().map(task)).await?,
        };
        Ok(numbers.zip(handles).filter(|(number, _)| number % self.every == 0).collect())
    }

    async fn wait_for(&self, sample: Vec<(u64, TaskHandle<stamped>)>) -> Outcome<()> {
        let wait = |(number, handle): (u64, TaskHandle<stamped>)| async move {
            let result = handle.wait(PATIENCE).await?;
            self.results.note(number, monotonic());
            match result == number {
                true => Ok(()),
                false => Err(format!("task {number} has the result {result}").into()),
            }
        };
        futures_util::future::try_join_all(sample.into_iter().map(wait)).await.map(drop)
    }
}
