//! A worker with nothing to do.

use std::time::Duration;

use bench_driver::{Job, Outcome, Report, Spent, resident_kib};

use crate::stage::{Stage, finish};

/// What a worker does at its start is over by then.
const SETTLES_IN: Duration = Duration::from_secs(2);

/// Its processor time and memory; between the phases the harness counts its commands.
pub(crate) async fn idle(job: &Job) -> Outcome<Report> {
    let stage = Stage::open(job, 0).await?;
    let worker = stage.worker(job.slots).await?;
    tokio::time::sleep(SETTLES_IN).await;
    job.phase("begin").await?;
    let spent = Spent::new();
    tokio::time::sleep(Duration::from_secs_f64(job.seconds)).await;
    let percent = spent.processor_micros_each(1) / (spent.seconds() * 1e6) * 100.0;
    job.phase("end").await?;
    let resident = resident_kib().unwrap_or_default();
    finish(worker).await;
    Ok(Report::default().value("idle_cpu_percent", "%", percent).value("idle_rss", "KiB", resident as f64))
}
