//! A full queue, and one worker that empties it.

use bench_driver::{Job, Outcome, Report, Spent, resident_kib};

use crate::{
    audit::audit,
    stage::{Sample, Stage, finish},
};

/// Tasks a second without results, from the worker's start until the last is settled.
pub(crate) async fn drain(job: &Job) -> Outcome<Report> {
    let stage = Stage::open(job, job.tasks).await?;
    stage.fill_untracked(0..job.tasks).await?;
    measure(job, &stage, &[]).await
}

/// The same with results.
pub(crate) async fn drain_results(job: &Job) -> Outcome<Report> {
    let stage = Stage::open(job, job.tasks).await?;
    let samples = stage.fill_tracked(0..job.tasks).await?;
    measure(job, &stage, &samples).await
}

async fn measure(job: &Job, stage: &Stage, samples: &[Sample]) -> Outcome<Report> {
    job.phase("begin").await?;
    let spent = Spent::new();
    let worker = stage.worker(job.slots).await?;
    stage.until_settled(job.tasks).await?;
    let (rate, worker_micros) = (spent.rate(job.tasks), spent.processor_micros_each(job.tasks));
    job.phase("end").await?;
    let resident = resident_kib().unwrap_or_default();
    let tally = finish(worker).await;
    let audit = audit(stage, job.tasks, tally, samples).await?;
    let report = Report::default().value(&job.metric, "/s", rate).value("worker_us_per_task", "us", worker_micros);
    Ok(report.value("worker_rss", "KiB", resident as f64).audited(audit))
}
