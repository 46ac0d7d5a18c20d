//! What is peculiar to Redis: servers that are full, restarted, flushed, guarded by rights, or not ours alone.
//!
//! Every test has a server of its own. None waits for time: the server's clock is shifted, or a signal is awaited.

#![cfg(feature = "redis")]

#[path = "redis/bounds.rs"]
mod bounds;
#[cfg(feature = "tls")]
#[path = "redis/certificates.rs"]
mod certificates;
#[path = "redis/connections.rs"]
mod connections;
#[path = "redis/delayed.rs"]
mod delayed;
#[path = "redis/full.rs"]
mod full;
#[path = "redis/handing.rs"]
mod handing;
#[path = "redis/keys.rs"]
mod keys;
#[path = "redis/looking.rs"]
mod looking;
#[path = "redis/opening.rs"]
mod opening;
#[path = "redis/permissions.rs"]
mod permissions;
#[path = "redis/replicated.rs"]
mod replicated;
#[path = "redis/restarts.rs"]
mod restarts;
#[path = "redis/rights.rs"]
mod rights;
#[path = "redis/rows.rs"]
mod rows;
#[path = "redis/sentinel.rs"]
mod sentinel;
#[path = "redis/silence.rs"]
mod silence;
#[path = "redis/undecodable.rs"]
mod undecodable;
#[path = "redis/waiting.rs"]
mod waiting;

use std::{
    future::Future,
    slice,
    time::{Duration, Instant},
};

use taskq_core::{
    Client, Clock, Connection, Envelope, Invocation, Payload, QueueName, Result, State, TaskId, WorkerId,
    broker::{Accepted, Claimed, Ending, Settled, Settlement},
    id::{BatchId, ClaimNumber, Owner},
    invocation::AnyTask,
    limits,
};
use taskq_test_support::RedisServer;

/// The longest that anything here is awaited: more than the slowest reconnect on a loaded machine.
const BOUND: Duration = Duration::from_secs(30);

async fn connect(server: &RedisServer) -> Connection {
    try_connect(&server.url()).await.expect("opens")
}

async fn try_connect(url: &str) -> Result<Connection> {
    taskq_brokers::redis::connect(url, Clock::system()).await
}

/// With a clock that [`advance`] shifts.
async fn connect_shifted(server: &RedisServer) -> Connection {
    taskq_brokers::redis::connect_with_shifted_time(&server.url(), Clock::system()).await.expect("opens")
}

fn advance(server: &RedisServer, duration: Duration) {
    server.command(&["INCRBY", "taskq:skew", &duration.as_millis().to_string()]);
}

fn queue() -> QueueName {
    QueueName::new("q").expect("valid")
}

fn invocation() -> Invocation<AnyTask> {
    Invocation::named("noop", &serde_json::json!({ "number": 1 })).queue("q")
}

async fn try_enqueue(connection: &Connection, envelope: &Envelope) -> Result<Accepted> {
    let batch = BatchId::generate();
    Ok(connection.broker().enqueue(&envelope.id.queue, batch, slice::from_ref(envelope)).await?.remove(0))
}

async fn enqueue(connection: &Connection, invocation: Invocation<AnyTask>) -> TaskId {
    let envelope = invocation.into_envelope().expect("valid");
    assert_eq!(try_enqueue(connection, &envelope).await.expect("enqueues"), Accepted::Created);
    envelope.id
}

async fn join(connection: &Connection) -> Owner {
    join_for(connection, limits::LEASE).await
}

/// With a lease of this length.
async fn join_for(connection: &Connection, lease: Duration) -> Owner {
    let owner = Owner { worker: WorkerId::generate(), term: 0 };
    connection.broker().join(owner, &queue(), lease).await.expect("joins");
    owner
}

async fn claim(connection: &Connection, owner: Owner, count: usize) -> Vec<Claimed> {
    connection.broker().claim(owner, &queue(), count, ClaimNumber(1)).await.expect("claims").claimed
}

async fn claim_one(connection: &Connection, owner: Owner) -> Claimed {
    let mut claimed = claim(connection, owner, 1).await;
    assert_eq!(claimed.len(), 1);
    claimed.remove(0)
}

fn succeeded() -> Ending {
    Ending::Succeeded(Payload::encode("encode", &7, 10).expect("small"))
}

async fn try_settle(connection: &Connection, owner: Owner, claimed: &Claimed, ending: Ending) -> Result<Settled> {
    let settlement = Settlement { token: claimed.token, envelope: claimed.envelope.clone(), ending };
    Ok(connection.broker().settle(owner, &queue(), &[settlement]).await?.remove(0))
}

async fn settle(connection: &Connection, owner: Owner, claimed: &Claimed, ending: Ending) -> Settled {
    try_settle(connection, owner, claimed, ending).await.expect("settles")
}

async fn state(connection: &Connection, id: &TaskId) -> Option<State> {
    connection.broker().find(id).await.expect("finds").map(|snapshot| snapshot.state)
}

/// What a loop of a worker does about transient errors, without its pauses.
async fn persist<V, F: Future<Output = Result<V>>>(mut attempt: impl FnMut() -> F) -> V {
    let begun = Instant::now();
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(error) if error.is_transient() && begun.elapsed() < BOUND => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Returns when the server shows what is awaited.
async fn until(what: &str, mut shown: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !shown() {
        assert!(begun.elapsed() < BOUND, "{what} did not happen");
        tokio::task::yield_now().await;
    }
}

/// A client that gets as long as a test may take.
fn patient(connection: &Connection) -> Client {
    connection.client().with_deadline(BOUND)
}
