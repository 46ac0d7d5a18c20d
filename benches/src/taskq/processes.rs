//! Tasks that other processes run: one process fills and watches the queue, any number of others serve it.

use std::time::Duration;

use bench_driver::{Audit, Job, Outcome, Report};
use taskq::Worker;

use crate::{
    audit::check_tally,
    stage::{Stage, finish},
    stamps::monotonic,
    tasks::{QUEUE, crossed},
};

/// A queue that nobody fills.
const IDLE_QUEUE: &str = "idle";

/// As long after one task the next is sent to an idle worker. Its result is not waited for: that would wake this process
/// while the other one starts the task.
const PAUSE: Duration = Duration::from_millis(5);

/// How often it is looked whether the queue is empty: rarely, since looking costs the broker something.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(10);

/// Fills the queue; the harness starts those who empty it, and looks at the server between the phases.
pub(crate) async fn drain_by_others(job: &Job) -> Outcome<Report> {
    let stage = Stage::open(job, 0).await?;
    stage.fill_untracked(0..job.tasks).await?;
    job.phase("workers").await?;
    stage.until_empty_looking(LOOK_AGAIN_AFTER).await?;
    job.phase("end").await?;
    Ok(Report::default())
}

/// Sends lone tasks to a worker in another process, which tells how long they took to start.
pub(crate) async fn start_in_another(job: &Job) -> Outcome<Report> {
    let stage = Stage::open(job, 0).await?;
    job.phase("workers").await?;
    for n in 0..job.tasks {
        tokio::time::sleep(PAUSE).await;
        let begun = monotonic().as_nanos().to_string();
        stage.client.enqueue(crossed::with(n, begun)).await?;
    }
    stage.until_empty_looking(LOOK_AGAIN_AFTER).await?;
    job.phase("end").await?;
    Ok(Report::default())
}

/// Serves the queue from the first phase until the second is answered.
pub(crate) async fn serve(job: &Job) -> Outcome<Report> {
    serve_queue(job, QUEUE).await
}

/// Serves a queue in which nothing is.
pub(crate) async fn serve_idle(job: &Job) -> Outcome<Report> {
    serve_queue(job, IDLE_QUEUE).await
}

async fn serve_queue(job: &Job, queue: &str) -> Outcome<Report> {
    let stage = Stage::open(job, job.tasks).await?;
    job.phase("connected").await?;
    let worker = Worker::builder(stage.connection.clone()).app(stage.app.clone()).queue(queue, job.slots);
    let worker = worker.start().await?;
    job.phase("serving").await?;
    let tally = finish(worker).await;
    let ledger = &stage.app.ledger;
    // How many tasks were for this process nobody knows; the harness adds them up.
    check_tally(ledger.executed(), ledger, tally)?;
    let report = Report::default().value("fingerprint", "", ledger.fingerprint() as f64);
    let report = match stage.app.stamps.all() {
        times if times.is_empty() => report,
        times => report.latencies("start_processes", times),
    };
    Ok(report.audited(Audit::of(ledger.executed(), ledger)))
}
