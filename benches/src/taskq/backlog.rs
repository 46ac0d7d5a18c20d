//! What a task costs while very many others wait behind it.
//!
//! A producer tops the queue up as fast as a worker empties it, so the backlog stays as it is while tasks go through. All
//! backlogs are measured alike. Afterwards the backlog is drained too, so that every task is accounted for.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bench_driver::{Job, Outcome, Report, Spent};

use crate::{
    audit::audit,
    stage::{Stage, finish},
};

/// One slot for each task of a full claim: with more, a short backlog would be taken as a whole.
const SLOTS: usize = 200;

/// Tasks with which the queue is topped up: four calls of `enqueue_all` under way.
const TOP_UP: u64 = 800;

/// The first of this many parts does not count: worker and producer have yet to find their pace.
const WARM_UP_PART: u64 = 10;

/// No faster timer is in the runtime.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(1);

/// Tasks a second through a queue of `--backlog` others; between the phases the harness looks at the server.
pub(crate) async fn backlog(job: &Job) -> Outcome<Report> {
    let warm_up = job.tasks / WARM_UP_PART;
    let through = warm_up + job.tasks;
    // The producer is at most one step ahead when it is told to stop, and the worker as many slots.
    let most = job.backlog + through + TOP_UP + 10 * SLOTS as u64;
    let stage = Arc::new(Stage::open(job, most).await?);
    stage.fill_tracked(0..job.backlog).await?;
    let worker = stage.worker(SLOTS).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let producer = tokio::spawn(top_up(Arc::clone(&stage), job.backlog, through, Arc::clone(&stop)));

    stage.until_executed(warm_up).await?;
    job.phase("begin").await?;
    let spent = Spent::new();
    stage.until_executed(through).await?;
    let rate = spent.rate(job.tasks);
    job.phase("end").await?;

    stop.store(true, Ordering::Relaxed);
    let enqueued = producer.await??;
    stage.until_settled(enqueued).await?;
    let audit = audit(&stage, enqueued, finish(worker).await, &[]).await?;
    Ok(Report::default().value("rate_backlog", "/s", rate).audited(audit))
}

/// Keeps so many tasks waiting until it is told to stop; tells how many it has enqueued.
async fn top_up(stage: Arc<Stage>, backlog: u64, through: u64, stop: Arc<AtomicBool>) -> Outcome<u64> {
    let mut enqueued = backlog;
    while !stop.load(Ordering::Relaxed) {
        // Tasks beyond what is measured need not be replaced.
        let wanted = backlog + stage.app.ledger.executed().min(through) + 2 * SLOTS as u64;
        match wanted.saturating_sub(enqueued) {
            0..200 => tokio::time::sleep(LOOK_AGAIN_AFTER).await,
            missing => {
                let next = enqueued + missing.min(TOP_UP);
                stage.fill_tracked(enqueued..next).await?;
                enqueued = next;
            }
        }
    }
    Ok(enqueued)
}
