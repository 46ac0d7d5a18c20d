//! Very many tasks that are due in the same instant.

use std::{sync::atomic::Ordering, time::Duration};

use bench_driver::{Job, Outcome, Report};
use taskq::Timestamp;

use crate::{
    audit::audit,
    stage::{Stage, finish},
    tasks::{punctual, wall},
};

/// The harness begins to look this long before they are due.
const LOOK_BEFORE: Duration = Duration::from_millis(300);

/// From the due instant until the last is settled; how many were early. Between the phases the harness sends PINGs.
pub(crate) async fn due(job: &Job) -> Outcome<Report> {
    let stage = Stage::open(job, job.tasks).await?;
    let worker = stage.worker(job.slots).await?;
    // Whole milliseconds, as brokers keep it.
    let due = Duration::from_millis(u64::try_from((wall() + time_to_fill(job)).as_millis())?);
    let at = Timestamp::from_millis(i64::try_from(due.as_millis())?);
    let task = |n| punctual::with(n, due.as_millis().to_string()).run_at(at);
    drop(stage.client.enqueue_all((0..job.tasks).map(task)).await?);
    let Some(left) = due.checked_sub(wall() + LOOK_BEFORE) else {
        return Err("the tasks were due before all of them were enqueued; measure with fewer --tasks".into());
    };
    tokio::time::sleep(left).await;
    job.phase("begin").await?;
    stage.until_settled(job.tasks).await?;
    let took = wall().saturating_sub(due).as_secs_f64();
    job.phase("end").await?;
    let audit = audit(&stage, job.tasks, finish(worker).await, &[]).await?;
    let early = stage.app.early.load(Ordering::Relaxed);
    Ok(Report::default().value("due_100k_s", "s", took).value("due_early", "tasks", early as f64).audited(audit))
}

/// Enough to enqueue them even on a busy machine.
fn time_to_fill(job: &Job) -> Duration {
    let micros_each = if job.url.starts_with("sqlite") { 90 } else { 20 };
    Duration::from_secs(2) + Duration::from_micros(micros_each * job.tasks)
}
