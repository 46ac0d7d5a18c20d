//! How long one thing takes: an enqueue, the way into a body, the way of a result back; and what an idle worker costs.

use std::time::{Duration, Instant};

use bench_driver::{Job, Outcome, Report, Spent, quantile_micros, resident_kib};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::{sleep, timeout},
};

use crate::{Body, Peer, Results};

/// Lone tasks measured.
const LONE_TASKS: u64 = 1_000;

/// A peer that polls slowly brings fewer than that.
const LONGEST: Duration = Duration::from_secs(30);

/// Between one lone task and the next, so that the worker is idle again.
const PAUSE: Duration = Duration::from_millis(2);

pub(crate) async fn enqueue_one<P: Peer>(job: &Job) -> Outcome<Report> {
    let mut peer = P::connect(job).await?;
    let mut times = Vec::new();
    for number in 0..2_000 {
        let before = Instant::now();
        peer.enqueue(number).await?;
        times.push(before.elapsed());
    }
    times.sort_unstable();
    Ok(Report::default().value("enqueue_one", "us", quantile_micros(&times, 0.5)))
}

pub(crate) async fn start<P: Peer>(job: &Job) -> Outcome<Report> {
    let mut peer = P::connect(job).await?;
    let (body, mut runs) = clocked();
    let _running = peer.work(job.slots, Results::Discard, body).await?;
    sleep(Duration::from_secs(1)).await;
    let (mut times, begun) = (Vec::new(), Instant::now());
    for number in 0..LONE_TASKS {
        let before = Instant::now();
        peer.enqueue(number).await?;
        let ran = timeout(LONGEST, runs.recv()).await.map_err(|_| "a lone task did not run in 30 s")?;
        times.push(ran.ok_or("the worker has gone")?.saturating_duration_since(before));
        if begun.elapsed() > LONGEST {
            break;
        }
        sleep(PAUSE).await;
    }
    Ok(Report::default().latencies("start", times))
}

pub(crate) async fn result<P: Peer>(job: &Job) -> Outcome<Report> {
    let mut peer = P::connect(job).await?;
    let _running = peer.work(job.slots, Results::Store, Body::new(|_| {})).await?;
    peer.listen().await?;
    sleep(Duration::from_secs(1)).await;
    let (mut times, begun) = (Vec::new(), Instant::now());
    for number in 0..LONE_TASKS {
        let before = Instant::now();
        let id = peer.enqueue(number).await?;
        let answer = timeout(LONGEST, peer.wait(id)).await.map_err(|_| "no result in 30 s")??;
        times.push(before.elapsed());
        if answer != number {
            return Err(format!("task {number} answered {answer}").into());
        }
        if begun.elapsed() > LONGEST {
            break;
        }
        sleep(PAUSE).await;
    }
    Ok(Report::default().latencies("result", times))
}

pub(crate) async fn idle<P: Peer>(job: &Job) -> Outcome<Report> {
    let mut peer = P::connect(job).await?;
    let _running = peer.work(job.slots, Results::Discard, Body::new(|_| {})).await?;
    sleep(Duration::from_secs(2)).await;
    job.phase("begin").await?;
    let spent = Spent::new();
    sleep(Duration::from_secs_f64(job.seconds)).await;
    let percent = spent.processor_micros_each(1) / 1e6 / spent.seconds() * 100.0;
    job.phase("end").await?;
    let kib = resident_kib().ok_or("/proc says nothing of this process")?;
    Ok(Report::default().value("idle_cpu_percent", "%", percent).value("idle_rss", "KiB", kib as f64))
}

/// A body that tells when it ran.
fn clocked() -> (Body, UnboundedReceiver<Instant>) {
    let (sender, receiver) = unbounded_channel();
    let body = move |_| {
        // If nobody listens any more the measurement is over.
        let _ = sender.send(Instant::now());
    };
    (Body::new(body), receiver)
}
