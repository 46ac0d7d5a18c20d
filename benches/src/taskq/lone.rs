//! Lone tasks on an idle worker: how soon one starts, and how soon its result is in the caller's hands.

use std::time::{Duration, Instant};

use bench_driver::{Audit, Job, Outcome, Report};

use crate::{
    audit::{audit, check_tally},
    stage::{Stage, finish},
    stamps::monotonic,
    tasks::{TEXT, noop, stamped},
};

/// As long after one task the next is sent, so that each finds everybody asleep.
const PAUSE: Duration = Duration::from_millis(2);

/// The first ones, for which scripts are loaded and caches filled, do not count.
const WARM_UP: u64 = 20;

/// A lone task that has no result by then is lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// From before the enqueue until the body runs.
pub(crate) async fn start(job: &Job) -> Outcome<Report> {
    let tasks = job.tasks + WARM_UP;
    let stage = Stage::open(job, tasks).await?;
    let worker = stage.worker(job.slots).await?;
    let mut times = Vec::new();
    for n in 0..tasks {
        tokio::time::sleep(PAUSE).await;
        let begun = monotonic();
        stage.client.enqueue(stamped::with(n, TEXT.to_owned())).await?;
        let started = tokio::time::timeout(PATIENCE, stage.app.stamps.of(n)).await?;
        times.push(started.saturating_sub(begun));
    }
    stage.until_settled(tasks).await?;
    let audit = audit(&stage, tasks, finish(worker).await, &[]).await?;
    Ok(Report::default().latencies("start", times.split_off(warm(&times))).audited(audit))
}

/// From before the enqueue until the caller has the result.
pub(crate) async fn result(job: &Job) -> Outcome<Report> {
    let tasks = job.tasks + WARM_UP;
    let stage = Stage::open(job, tasks).await?;
    let worker = stage.worker(job.slots).await?;
    let (mut times, mut results) = (Vec::new(), 0);
    for n in 0..tasks {
        tokio::time::sleep(PAUSE).await;
        let begun = Instant::now();
        let result = stage.client.enqueue(noop::with(n, TEXT.to_owned())).await?.wait(PATIENCE).await?;
        times.push(begun.elapsed());
        results += u64::from(result == n);
    }
    stage.until_settled(tasks).await?;
    check_tally(tasks, &stage.app.ledger, finish(worker).await)?;
    let audit = Audit { results_due: tasks, results, ..Audit::of(tasks, &stage.app.ledger) };
    Ok(Report::default().latencies("result", times.split_off(warm(&times))).audited(audit))
}

fn warm(times: &[Duration]) -> usize {
    times.len().min(WARM_UP as usize)
}
