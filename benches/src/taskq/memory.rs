//! What tasks take in the broker's memory in other states than ready; between the phases the harness looks.

use std::time::Duration;

use bench_driver::{Audit, Job, Outcome, Report, Spent};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::{
    audit::check_tally,
    bulk::filled,
    stage::{Stage, finish},
    tasks::{TEXT, noop},
};

/// Far enough that nothing is due while it is looked at.
const DELAY: Duration = Duration::from_secs(3_600);

/// Results that are looked up at the same time.
const LOOKED_UP_AT_ONCE: usize = 100;

/// Tasks that wait for their time.
pub(crate) async fn fill_delayed(job: &Job) -> Outcome<Report> {
    let stage = Stage::open(job, 0).await?;
    job.phase("empty").await?;
    let spent = Spent::new();
    let delayed = (0..job.tasks).map(|n| noop::with(n, TEXT.to_owned()).delay(DELAY));
    let handles = stage.client.enqueue_all(delayed).await?;
    let rate = spent.rate(job.tasks);
    drop(handles);
    filled(job, stage).await?;
    Ok(Report::default().value("enqueue_all_delayed", "/s", rate))
}

/// Tasks that have succeeded, each with a small result. Every single result is looked at.
pub(crate) async fn fill_finished(job: &Job) -> Outcome<Report> {
    let stage = Stage::open(job, job.tasks).await?;
    job.phase("empty").await?;
    let handles = stage.client.enqueue_all((0..job.tasks).map(|n| noop::with(n, TEXT.to_owned()))).await?;
    let worker = stage.worker(job.slots).await?;
    stage.until_settled(job.tasks).await?;
    check_tally(job.tasks, &stage.app.ledger, finish(worker).await)?;
    let looked_up = stream::iter(0..job.tasks)
        .zip(stream::iter(handles))
        .map(|(number, handle)| async move {
            let snapshot = handle.snapshot().await?;
            let result = snapshot.and_then(|snapshot| snapshot.result);
            let result = result.map(|result| result.decode::<u64>()).transpose()?;
            Outcome::Ok(u64::from(result == Some(number)))
        })
        .buffer_unordered(LOOKED_UP_AT_ONCE);
    let results = looked_up.try_fold(0, |sum, one| async move { Ok(sum + one) }).await?;
    let audit = Audit { results_due: job.tasks, results, ..Audit::of(job.tasks, &stage.app.ledger) };
    filled(job, stage).await?;
    Ok(Report::default().audited(audit))
}
