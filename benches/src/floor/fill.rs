//! Enqueueing in bulk.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bench_driver::{Job, Outcome, Report, Spent};
use redis::aio::MultiplexedConnection;
use tokio::task::JoinSet;

use crate::{
    element::{READY, element},
    server::connect,
};

/// Elements in one command.
const BATCH: u64 = 200;

/// Tasks a second, one batch after the other.
pub(crate) async fn enqueue_all(job: &Job) -> Outcome<Report> {
    let connection = connect(&job.url).await?;
    let spent = Spent::new();
    fill(&connection, job.tasks, 1).await?;
    Ok(Report::default().value("enqueue_all", "/s", spent.rate(job.tasks)))
}

/// Pushes so many tasks, in batches, so many batches at a time.
pub(crate) async fn fill(connection: &MultiplexedConnection, tasks: u64, in_flight: usize) -> Outcome<()> {
    let next = Arc::new(AtomicU64::new(0));
    let mut pushing = JoinSet::new();
    for _ in 0..in_flight {
        pushing.spawn(push_batches(connection.clone(), Arc::clone(&next), tasks));
    }
    while let Some(pushed) = pushing.join_next().await {
        pushed??;
    }
    Ok(())
}

async fn push_batches(mut connection: MultiplexedConnection, next: Arc<AtomicU64>, tasks: u64) -> Outcome<()> {
    loop {
        let first = next.fetch_add(BATCH, Ordering::Relaxed);
        if first >= tasks {
            return Ok(());
        }
        let mut push = redis::cmd("LPUSH");
        push.arg(READY);
        for number in first..(first + BATCH).min(tasks) {
            push.arg(element(number));
        }
        let _length: u64 = push.query_async(&mut connection).await?;
    }
}
