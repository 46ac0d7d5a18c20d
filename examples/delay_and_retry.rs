//! Delays, retries with backoff, fatal errors, dead letters and their replay.
//!
//! `cargo run --example delay_and_retry [BROKER_URL]`

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Instant,
};

use taskq::prelude::*;

static CALLS: AtomicU32 = AtomicU32::new(0);

/// A service that is away for the first two calls.
#[task(retry = Retry::exponential().base(Duration::from_millis(50)).attempts(5))]
async fn call_service(ctx: &Context) -> TaskResult<String> {
    match CALLS.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => Err(format!("attempt {}: service unavailable", ctx.attempt()).into()),
        _ => Ok(format!("answered at attempt {}", ctx.attempt())),
    }
}

/// No other attempt will make the card exist, so the task says so.
#[task]
async fn charge(card: String) -> TaskResult<()> {
    Err(TaskError::fatal(format!("card {card} does not exist")))
}

#[task]
async fn remind(what: String) -> String {
    format!("remember: {what}")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let url = std::env::args().nth(1).unwrap_or_else(|| format!("sqlite://{}/tasks.db", folder.path().display()));
    let connection = taskq::connect(&url).await?;
    let worker = Worker::builder(connection.clone()).start().await?;
    let client = connection.client();

    let begun = Instant::now();
    let reminder = client.enqueue(remind::with("tea".into()).delay(Duration::from_millis(500))).await?;
    println!("reminder is {}", reminder.state().await?.expect("just enqueued"));
    println!("{}", reminder.wait(Duration::from_secs(10)).await?);
    println!("not before its time: {}", begun.elapsed() >= Duration::from_millis(500));

    let service = client.enqueue(call_service::with()).await?;
    println!("{}", service.wait(Duration::from_secs(10)).await?);

    let charge = client.enqueue(charge::with("1234".into())).await?;
    match charge.wait(Duration::from_secs(10)).await {
        Err(WaitError::Dead { reason, error, .. }) => println!("dead letter ({reason}): {error}"),
        other => println!("unexpected: {other:?}"),
    }
    println!("replayed: {}", connection.control().replay(charge.id()).await?);
    println!("dead again: {}", charge.wait(Duration::from_secs(10)).await.is_err());
    println!("dropped: {}", connection.control().drop_dead(charge.id()).await?);

    worker.drain();
    worker.ended().await;
    Ok(())
}
