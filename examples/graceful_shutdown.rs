//! SIGTERM or ctrl-c: what runs may finish, what takes too long is given back at once, nothing is lost.
//!
//! `cargo run --example graceful_shutdown [BROKER_URL [DRAIN_SECONDS]]`, then press ctrl-c. The tasks that were given back run again at
//! the next start with the same broker.

use taskq::prelude::*;

#[task]
async fn short(number: u32) -> u32 {
    println!("short {number} begins");
    tokio::time::sleep(Duration::from_millis(800)).await;
    println!("short {number} ends");
    number
}

/// Longer than the drain. It is told, and may save what it has.
#[task]
async fn long(ctx: &Context) -> TaskResult<()> {
    println!("long begins, attempt {}", ctx.attempt());
    tokio::select! {
        () = tokio::time::sleep(Duration::from_secs(3600)) => Ok(()),
        () = ctx.cancelled() => {
            println!("long is asked to stop");
            Err(TaskError::cancelled())
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let drain = std::env::args().nth(2).and_then(|seconds| seconds.parse().ok()).unwrap_or(2);
    let url = std::env::args().nth(1).unwrap_or_else(|| format!("sqlite://{}/tasks.db", folder.path().display()));
    let connection = taskq::connect(&url).await?;
    let client = connection.client();
    // With ids of their own, a second start does not enqueue them again.
    let long_one = client.enqueue(long::with().id("the-long-one")).await?;
    for number in 0..4 {
        client.enqueue(short::with(number).id(format!("short-{number}"))).await?;
    }

    println!("press ctrl-c");
    Worker::builder(connection).queue("default", 10).drain(Duration::from_secs(drain)).run().await?;

    let snapshot = long_one.snapshot().await?.expect("kept");
    println!("long is {} with {} failed attempts", snapshot.state, snapshot.attempts);
    Ok(())
}
