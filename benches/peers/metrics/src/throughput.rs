//! Tasks a second: enqueued, drained, flowing through, and due all at once.

use std::{
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bench_driver::{Audit, Job, Ledger, Outcome, Report, Spent};
use futures_util::future::try_join_all;
use tokio::time::sleep;

use crate::{Body, Peer, Results};

/// Results that are read back for the audit.
const SAMPLE: u64 = 100;

/// No task ran for this long: the peer is stuck.
const STUCK: Duration = Duration::from_secs(60);

pub(crate) async fn enqueue_64<P: Peer>(job: &Job) -> Outcome<Report> {
    let (peer, next, tasks) = (P::connect(job).await?, Arc::new(AtomicU64::new(0)), job.tasks);
    let spent = Spent::new();
    let callers = (0..64).map(|_| {
        let (mut peer, next) = (peer.clone(), Arc::clone(&next));
        tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= tasks {
                    return Outcome::Ok(());
                }
                peer.enqueue(number).await?;
            }
        })
    });
    for caller in try_join_all(callers).await? {
        caller?;
    }
    Ok(Report::default().value("enqueue_64", "/s", spent.rate(tasks)))
}

pub(crate) async fn enqueue_all<P: Peer>(job: &Job) -> Outcome<Report> {
    let mut peer = P::connect(job).await?;
    job.phase("empty").await?;
    let spent = Spent::new();
    fill(&mut peer, 0, job.tasks).await?;
    let rate = spent.rate(job.tasks);
    job.phase("filled").await?;
    Ok(Report::default().value("enqueue_all", "/s", rate))
}

pub(crate) async fn drain<P: Peer>(job: &Job, results: Results) -> Outcome<Report> {
    let mut peer = P::connect(job).await?;
    let ledger = Ledger::new(job.tasks);
    let sample = sample(&mut peer, job.tasks, results).await?;
    fill(&mut peer, sample.len() as u64, job.tasks).await?;
    peer.before_drain().await?;
    job.phase("begin").await?;
    let spent = Spent::new();
    let _running = peer.work(job.slots, results, body(&ledger)).await?;
    finished(&mut peer, &ledger, job.tasks).await?;
    let (rate, micros) = (spent.rate(job.tasks), spent.processor_micros_each(job.tasks));
    job.phase("end").await?;
    let report = Report::default().value(&job.metric, "/s", rate).value("worker_us", "us", micros);
    Ok(report.audited(audit(&mut peer, job.tasks, &ledger, sample).await?))
}

/// The sampled results are of tasks that ran before the clock did, so that the producer can use the bulk call alone.
pub(crate) async fn flow<P: Peer>(job: &Job, results: Results) -> Outcome<Report> {
    let mut peer = P::connect(job).await?;
    let ledger = Ledger::new(job.tasks);
    let _running = peer.work(job.slots, results, body(&ledger)).await?;
    let sample = sample(&mut peer, job.tasks, results).await?;
    let sampled = sample.len() as u64;
    finished(&mut peer, &ledger, sampled).await?;
    // A worker whose queue was empty for a while is the usual one.
    sleep(Duration::from_millis(500)).await;
    let spent = Spent::new();
    let (mut producer, tasks) = (peer.clone(), job.tasks);
    let enqueued = tokio::spawn(async move { fill(&mut producer, sampled, tasks).await });
    finished(&mut peer, &ledger, job.tasks).await?;
    let rate = spent.rate(job.tasks - sampled);
    enqueued.await??;
    let report = Report::default().value(&job.metric, "/s", rate);
    Ok(report.audited(audit(&mut peer, job.tasks, &ledger, sample).await?))
}

pub(crate) async fn due<P: Peer>(job: &Job) -> Outcome<Report> {
    let mut peer = P::connect(job).await?;
    let ledger = Ledger::new(job.tasks);
    let running = peer.work(job.slots, Results::Discard, body(&ledger)).await?;
    let due = whole_second_after(Duration::from_millis(3_000 + job.tasks / 10));
    for first in (0..job.tasks).step_by(P::CHUNK as usize) {
        peer.enqueue_due(first..job.tasks.min(first + P::CHUNK), due).await?;
    }
    let left = due.duration_since(SystemTime::now()).map_err(|_| "the tasks were due before all were enqueued")?;
    let instant = Instant::now() + left;
    sleep(left.saturating_sub(Duration::from_millis(300))).await;
    job.phase("begin").await?;
    tokio::time::sleep_until(instant.into()).await;
    let early = ledger.executed();
    while ledger.executed() < job.tasks {
        if instant.elapsed() > STUCK {
            return Err(format!("{} of {} ran in 60 s after they were due", ledger.executed(), job.tasks).into());
        }
        if ledger.executed() == early && instant.elapsed() > Duration::from_secs(1) {
            peer.is_drained().await?;
        }
        sleep(Duration::from_millis(1)).await;
    }
    let seconds = instant.elapsed().as_secs_f64();
    job.phase("end").await?;
    drop(running);
    let report = Report::default().value("due_100k_s", "s", seconds).value("due_early", "tasks", early as f64);
    Ok(report.audited(Audit::of(job.tasks, &ledger)))
}

/// Some peers know whole seconds only.
fn whole_second_after(lead: Duration) -> SystemTime {
    let due = SystemTime::now() + lead;
    let since = due.duration_since(UNIX_EPOCH).expect("the clock is set");
    UNIX_EPOCH + Duration::from_secs(since.as_secs() + 1)
}

fn body(ledger: &Ledger) -> Body {
    let ledger = ledger.clone();
    Body::new(move |number| ledger.ran(number))
}

async fn fill<P: Peer>(peer: &mut P, first: u64, tasks: u64) -> Outcome<()> {
    for first in (first..tasks).step_by(P::CHUNK as usize) {
        peer.enqueue_all(first..tasks.min(first + P::CHUNK)).await?;
    }
    Ok(())
}

/// The first tasks are enqueued one by one, so that their results can be asked for.
async fn sample<P: Peer>(peer: &mut P, tasks: u64, results: Results) -> Outcome<Vec<P::Id>> {
    let sampled = match results {
        Results::Discard => 0,
        Results::Store => SAMPLE.min(tasks),
    };
    let mut ids = Vec::new();
    for number in 0..sampled {
        ids.push(peer.enqueue(number).await?);
    }
    Ok(ids)
}

/// Waits until the tasks ran and the broker knows it.
async fn finished<P: Peer>(peer: &mut P, ledger: &Ledger, tasks: u64) -> Outcome<()> {
    let (mut executed, mut since) = (ledger.executed(), Instant::now());
    loop {
        // Late in the run, and when nothing seems to happen: a look at the broker in between costs the peer time.
        if executed >= tasks || since.elapsed() > Duration::from_secs(2) {
            let drained = peer.is_drained().await?;
            if drained && ledger.executed() >= tasks {
                return Ok(());
            }
        }
        if since.elapsed() > STUCK {
            return Err(format!("stuck for 60 s: {executed} of {tasks} ran, or some were never acknowledged").into());
        }
        sleep(Duration::from_millis(1)).await;
        let now = ledger.executed();
        if now > executed {
            (executed, since) = (now, Instant::now());
        }
    }
}

async fn audit<P: Peer>(peer: &mut P, tasks: u64, ledger: &Ledger, sample: Vec<P::Id>) -> Outcome<Audit> {
    let mut audit = Audit { results_due: sample.len() as u64, ..Audit::of(tasks, ledger) };
    for (number, id) in (0..).zip(sample) {
        if peer.read(id).await? == Some(number) {
            audit.results += 1;
        }
    }
    Ok(audit)
}
