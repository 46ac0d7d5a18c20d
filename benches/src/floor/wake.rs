//! What it takes to hand one task to somebody who waits: a push here, and a blocking pop there that returns.

use std::time::{Duration, Instant};

use bench_driver::{Job, Outcome, Report};
use redis::aio::MultiplexedConnection;
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{element::element, server::connect};

/// As long after one task the next is sent, so that each finds everybody asleep.
const PAUSE: Duration = Duration::from_millis(2);

/// The first ones, which find nothing warm, do not count.
const WARM_UP: u64 = 20;

/// From before the push until the task of the one who pops has it.
pub(crate) async fn wake(job: &Job) -> Outcome<Report> {
    let mut caller = connect(&job.url).await?;
    let (popped, mut pops) = mpsc::channel(1);
    let popper = tokio::spawn(pop_all(connect(&job.url).await?, job.tasks + WARM_UP, popped));
    let mut times = Vec::new();
    for number in 0..job.tasks + WARM_UP {
        tokio::time::sleep(PAUSE).await;
        let begun = Instant::now();
        push(&mut caller, "there", element(number)).await?;
        let arrived = pops.recv().await.ok_or("the one who pops has ended")?;
        times.push(arrived.duration_since(begun));
    }
    ended(popper).await?;
    Ok(Report::default().latencies("wake", times.split_off(warm(&times))))
}

/// Out and back: from before the push until the caller has the answer of the one who popped.
pub(crate) async fn two_hop(job: &Job) -> Outcome<Report> {
    let (mut caller, mut waiting) = (connect(&job.url).await?, connect(&job.url).await?);
    let answering = (connect(&job.url).await?, connect(&job.url).await?);
    let answerer = tokio::spawn(answer_all(answering, job.tasks + WARM_UP));
    let mut times = Vec::new();
    for number in 0..job.tasks + WARM_UP {
        tokio::time::sleep(PAUSE).await;
        let begun = Instant::now();
        push(&mut caller, "there", element(number)).await?;
        pop(&mut waiting, "back").await?;
        times.push(begun.elapsed());
    }
    ended(answerer).await?;
    Ok(Report::default().latencies("two_hop", times.split_off(warm(&times))))
}

fn warm(times: &[Duration]) -> usize {
    times.len().min(WARM_UP as usize)
}

async fn pop_all(mut connection: MultiplexedConnection, count: u64, popped: mpsc::Sender<Instant>) -> Outcome<()> {
    for _ in 0..count {
        pop(&mut connection, "there").await?;
        popped.send(Instant::now()).await?;
    }
    Ok(())
}

async fn answer_all(
    (mut popping, mut pushing): (MultiplexedConnection, MultiplexedConnection),
    count: u64,
) -> Outcome<()> {
    for _ in 0..count {
        let element = pop(&mut popping, "there").await?;
        push(&mut pushing, "back", element).await?;
    }
    Ok(())
}

async fn push(connection: &mut MultiplexedConnection, list: &str, element: Vec<u8>) -> Outcome<()> {
    let _length: u64 = redis::cmd("LPUSH").arg(list).arg(element).query_async(connection).await?;
    Ok(())
}

async fn pop(connection: &mut MultiplexedConnection, list: &str) -> Outcome<Vec<u8>> {
    let (_list, element): (String, Vec<u8>) = redis::cmd("BRPOP").arg(list).arg(0).query_async(connection).await?;
    Ok(element)
}

async fn ended(other: JoinHandle<Outcome<()>>) -> Outcome<()> {
    other.await?
}
