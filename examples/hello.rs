//! The smallest whole program: a task, a worker, a typed result, on a SQLite file.
//!
//! `cargo run --example hello`

use taskq::prelude::*;

#[task]
fn add(a: i64, b: i64) -> i64 {
    a + b
}

/// Greets people by name.
#[task]
async fn greet(name: String) -> String {
    format!("hello, {name}")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::temp_dir().join(format!("taskq-hello-{}.db", std::process::id()));
    let connection = taskq::connect(&format!("sqlite://{}", file.display())).await?;

    // A worker runs every task linked into its program. In production it is a program of its own.
    let worker = Worker::builder(connection.clone()).queue("default", 10).start().await?;

    let client = connection.client();
    let sum = client.enqueue(add::with(2, 3)).await?;
    let greeting = client.enqueue(greet::with("world".into()).priority(9)).await?;

    println!("2 + 3 = {}", sum.wait(Duration::from_secs(5)).await?);
    println!("{}", greeting.wait(Duration::from_secs(5)).await?);
    println!("called directly: {}", add(2, 3));

    worker.drain();
    let tally = worker.ended().await;
    println!("{} tasks done", tally.succeeded);

    drop((client, sum, greeting, connection));
    for suffix in ["", "-wal", "-shm"] {
        // What SQLite has removed itself is fine.
        let _removed = std::fs::remove_file(format!("{}{suffix}", file.display()));
    }
    Ok(())
}
