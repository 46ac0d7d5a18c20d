//! Producer and worker together: tasks are enqueued in bulk while a worker runs them.

use bench_driver::{Job, Outcome, Report, Spent};

use crate::{
    audit::audit,
    stage::{Stage, finish},
};

/// Tasks a second without results, from the first enqueue until the last is settled.
pub(crate) async fn flow(job: &Job) -> Outcome<Report> {
    let stage = Stage::open(job, job.tasks).await?;
    let worker = stage.worker(job.slots).await?;
    job.phase("begin").await?;
    let spent = Spent::new();
    stage.fill_untracked(0..job.tasks).await?;
    stage.until_settled(job.tasks).await?;
    let rate = spent.rate(job.tasks);
    job.phase("end").await?;
    let audit = audit(&stage, job.tasks, finish(worker).await, &[]).await?;
    Ok(Report::default().value("flow", "/s", rate).audited(audit))
}

/// The same with results.
pub(crate) async fn flow_results(job: &Job) -> Outcome<Report> {
    let stage = Stage::open(job, job.tasks).await?;
    let worker = stage.worker(job.slots).await?;
    job.phase("begin").await?;
    let spent = Spent::new();
    let samples = stage.fill_tracked(0..job.tasks).await?;
    stage.until_settled(job.tasks).await?;
    let rate = spent.rate(job.tasks);
    job.phase("end").await?;
    let audit = audit(&stage, job.tasks, finish(worker).await, &samples).await?;
    Ok(Report::default().value("flow_results", "/s", rate).audited(audit))
}
