//! Very many tasks that an operator takes away.

use std::time::Duration;

use bench_driver::{Job, Outcome, Report, Spent};
use taskq::{ControlExt, Counts, Purge, State};

use crate::{
    stage::Stage,
    tasks::{QUEUE, TEXT, noop},
};

/// So long that no delayed task is due while it is purged.
const DELAY: Duration = Duration::from_secs(3_600);

/// Tracked tasks that are ready, purged by the loop that operators call. Between the phases the harness sends PINGs.
pub(crate) async fn purge(job: &Job) -> Outcome<Report> {
    let stage = Stage::open(job, 0).await?;
    let samples = stage.fill_tracked(0..job.tasks).await?;
    let took = purged(job, &stage).await?;
    for (number, handle) in samples {
        let state = handle.snapshot().await?.map(|snapshot| snapshot.state);
        if state != Some(State::Cancelled) {
            return Err(format!("the purged task {number} is {state:?}").into());
        }
    }
    Ok(Report::default().value("purge_1m_s", "s", took))
}

/// The same with delayed ones.
pub(crate) async fn purge_delayed(job: &Job) -> Outcome<Report> {
    let stage = Stage::open(job, 0).await?;
    let delayed = (0..job.tasks).map(|n| noop::with(n, TEXT.to_owned()).delay(DELAY));
    drop(stage.client.enqueue_all(delayed).await?);
    let took = purged(job, &stage).await?;
    Ok(Report::default().value("purge_delayed_s", "s", took))
}

/// Purges, and sees to it that all went.
async fn purged(job: &Job, stage: &Stage) -> Outcome<f64> {
    let queue = QUEUE.parse()?;
    job.phase("begin").await?;
    let spent = Spent::new();
    let purged = stage.connection.control().purge_all(&queue, Purge::Waiting, |_| {}).await?;
    let took = spent.seconds();
    job.phase("end").await?;
    let counts = stage.connection.inspect().counts(&queue).await?;
    if (purged, counts) != (job.tasks, Counts::default()) {
        return Err(format!("{purged} of {} tasks were purged, and there are {counts:?}", job.tasks).into());
    }
    Ok(took)
}
