//! Tasks enqueued in bulk: `enqueue_all` over all of them, which sends chunks.

use bench_driver::{Job, Outcome, Report, Spent};

use crate::{
    stage::Stage,
    tasks::{TEXT, mute, noop},
};

/// Tasks a second that will have results. Between the phases is what they take in memory.
pub(crate) async fn enqueue_all(job: &Job) -> Outcome<Report> {
    let stage = Stage::open(job, 0).await?;
    job.phase("empty").await?;
    let spent = Spent::new();
    let handles = stage.client.enqueue_all((0..job.tasks).map(|n| noop::with(n, TEXT.to_owned()))).await?;
    let rate = spent.rate(job.tasks);
    drop(handles);
    filled(job, stage).await?;
    Ok(Report::default().value("enqueue_all", "/s", rate))
}

/// The same without results.
pub(crate) async fn enqueue_all_untracked(job: &Job) -> Outcome<Report> {
    let stage = Stage::open(job, 0).await?;
    job.phase("empty").await?;
    let spent = Spent::new();
    let tasks = (0..job.tasks).map(|n| mute::with(n, TEXT.to_owned()));
    let handles = stage.client.enqueue_all(tasks).await?;
    let rate = spent.rate(job.tasks);
    drop(handles);
    filled(job, stage).await?;
    Ok(Report::default().value("enqueue_all_untracked", "/s", rate))
}

/// Closes everything first: a file is as long as what it holds only when nobody has it open.
pub(crate) async fn filled(job: &Job, stage: Stage) -> Outcome<()> {
    drop(stage);
    job.phase("filled").await
}
