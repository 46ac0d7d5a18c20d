//! How fast the SQLite broker is, measured, not asserted:
//!
//! ```text
//! cargo test --release -p taskq-brokers --test sqlite_speed -- --ignored --nocapture
//! ```
//!
//! A full cycle is one task accepted, handed out, and settled with a result that is kept.

#![cfg(feature = "sqlite")]

use std::{
    fs::File,
    io::Write,
    time::{Duration, Instant},
};

use serde_json::json;
use taskq_core::{
    Clock, Connection, Envelope, Invocation, Payload, QueueName, WorkerId,
    broker::{Ending, Settled, Settlement},
    id::{BatchId, Owner},
};

const FOR: Duration = Duration::from_secs(4);

fn envelopes(count: usize) -> Vec<Envelope> {
    let envelope = |number| {
        let args = json!({ "to": format!("somebody-{number}@example.org"), "subject": "hello" });
        Invocation::named("send_email", &args).queue("speed").into_envelope().expect("valid")
    };
    (0..count).map(envelope).collect()
}

async fn open(synchronous: &str) -> (Connection, tempfile::TempDir) {
    // Beside the build, so that it is a disk and not memory.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let url = format!("sqlite://{}/speed.db?synchronous={synchronous}", folder.path().display());
    (taskq_brokers::sqlite::connect(&url, Clock::system()).await.expect("opens"), folder)
}

fn fsyncs_a_second() -> f64 {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let mut file = File::create(folder.path().join("log")).expect("a file");
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(2) {
        file.write_all(&[7; 4096]).expect("writes");
        file.sync_data().expect("syncs");
        count += 1;
    }
    f64::from(count) / start.elapsed().as_secs_f64()
}

/// Claims and settles until `count` tasks are done, `batch` at a time.
async fn work(connection: Connection, owner: Owner, queue: QueueName, batch: usize, count: usize) {
    let broker = connection.broker();
    let result = Payload::encode("encode", &json!({ "message_id": "0193-abcdef" }), 1_000).expect("small");
    let (mut done, mut calls) = (0, 0);
    while done < count {
        calls += 1;
        if calls % 50 == 0 {
            broker.beat(&[(owner, queue.clone())]).await.expect("beats");
        }
        let claimed = broker.claim(owner, &queue, batch.min(count - done)).await.expect("claims").claimed;
        if claimed.is_empty() {
            broker.work_arrived(&[(owner, queue.clone())], Duration::from_secs(1)).await.expect("waits");
            continue;
        }
        let settlements: Vec<_> = claimed
            .into_iter()
            .map(|claimed| {
                let ending = Ending::Succeeded(result.clone());
                Settlement { token: claimed.token, envelope: claimed.envelope, ending }
            })
            .collect();
        let settled = broker.settle(owner, &queue, &settlements).await.expect("settles");
        assert!(settled.iter().all(|settled| *settled == Settled::Applied));
        done += settled.len();
    }
}

async fn worker(connection: &Connection) -> (Owner, QueueName) {
    let owner = Owner { worker: WorkerId::generate(), term: 0 };
    let queue = QueueName::new("speed").expect("valid");
    connection.broker().join(owner, &queue).await.expect("joins");
    (owner, queue)
}

/// One caller: enqueue a batch, claim it, settle it, again. Three commits a batch.
async fn in_turn(synchronous: &str, batch: usize) -> f64 {
    let (connection, _folder) = open(synchronous).await;
    let (owner, queue) = worker(&connection).await;
    let (start, mut cycles) = (Instant::now(), 0);
    while start.elapsed() < FOR {
        connection.broker().enqueue(&queue, BatchId::generate(), &envelopes(batch)).await.expect("enqueues");
        work(connection.clone(), owner, queue.clone(), batch, batch).await;
        connection.broker().beat(&[(owner, queue.clone())]).await.expect("beats");
        cycles += batch;
    }
    cycles as f64 / start.elapsed().as_secs_f64()
}

/// Four callers that enqueue, as `enqueue_all` has four chunks under way, beside four that claim and settle: what they
/// ask for at the same time is committed together.
async fn side_by_side(synchronous: &str, batch: usize, total: usize) -> f64 {
    let (connection, _folder) = open(synchronous).await;
    let (owner, queue) = worker(&connection).await;
    let start = Instant::now();
    let producers = (0..4).map(|_| {
        let (connection, queue) = (connection.clone(), queue.clone());
        tokio::spawn(async move {
            for _ in 0..total / 4 / batch {
                connection.broker().enqueue(&queue, BatchId::generate(), &envelopes(batch)).await.expect("enqueues");
            }
        })
    });
    let workers = (0..4).map(|_| tokio::spawn(work(connection.clone(), owner, queue.clone(), batch, total / 4)));
    for task in producers.chain(workers).collect::<Vec<_>>() {
        task.await.expect("ends");
    }
    total as f64 / start.elapsed().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement; run it in release"]
async fn full_cycles_a_second() {
    for batch in [1, 200] {
        println!("normal, batch {batch:3}, in turn      {:7.0} cycles/s", in_turn("normal", batch).await);
    }
    for (batch, total) in [(10, 80_000), (200, 320_000)] {
        let cycles = side_by_side("normal", batch, total).await;
        println!("normal, batch {batch:3}, side by side {cycles:7.0} cycles/s");
    }
    for (batch, total) in [(1, 8_000), (4, 32_000), (10, 48_000), (50, 160_000), (200, 320_000)] {
        let before = fsyncs_a_second();
        let (turn, side) = (in_turn("full", batch).await, side_by_side("full", batch, total).await);
        let fsyncs = (before + fsyncs_a_second()) / 2.0;
        println!(
            "full,   batch {batch:3}, in turn {turn:7.0}, side by side {side:7.0} cycles/s; {fsyncs:5.0} fsyncs/s, ratio \
             {:.2} and {:.2} of fsyncs x batch",
            turn / (fsyncs * batch as f64),
            side / (fsyncs * batch as f64),
        );
    }
}
