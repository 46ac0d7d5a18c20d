//! A layer is an async function around every attempt.
//!
//! `cargo run --example custom_layer [BROKER_URL]`

use std::time::Instant;

use taskq::prelude::*;

#[task]
async fn quick() -> u32 {
    1
}

#[task]
async fn slow() -> u32 {
    tokio::time::sleep(Duration::from_millis(120)).await;
    2
}

#[task]
async fn admin_only() -> u32 {
    3
}

/// Says which attempts took long.
async fn warn_when_slow(attempt: Attempt, next: Next) -> Outcome {
    let task = attempt.context().task().clone();
    let begun = Instant::now();
    let outcome = next.run(attempt).await;
    if begun.elapsed() > Duration::from_millis(100) {
        println!("slow: {task}");
    }
    outcome
}

/// Refuses what does not carry the right header; a layer need not call `next`.
async fn check_role(attempt: Attempt, next: Next) -> Outcome {
    let context = attempt.context();
    let is_admin = context.headers().get("role").is_some_and(|role| role == "admin");
    if context.task().as_str().starts_with("admin") && !is_admin {
        return Outcome::Failed(TaskError::fatal("needs the role admin"));
    }
    next.run(attempt).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let url = std::env::args().nth(1).unwrap_or_else(|| format!("sqlite://{}/tasks.db", folder.path().display()));
    let connection = taskq::connect(&url).await?;
    let worker = Worker::builder(connection.clone()).layer(warn_when_slow).layer(check_role).start().await?;

    let client = connection.client();
    let bound = Duration::from_secs(10);
    println!("quick {}", client.enqueue(quick::with()).await?.wait(bound).await?);
    println!("slow {}", client.enqueue(slow::with()).await?.wait(bound).await?);
    let refused = client.enqueue(admin_only::with()).await?.wait(bound).await;
    println!("without role: {}", refused.expect_err("the layer refuses"));
    let admin = client.enqueue(admin_only::with().header("role", "admin")).await?;
    println!("admin {}", admin.wait(bound).await?);

    worker.drain();
    worker.ended().await;
    Ok(())
}
