//! A task that is enqueued while a worker waits comes with the ring: claimed like any other, and never lost.

use std::time::Duration;

use taskq_core::{
    Connection, State,
    broker::{Claimed, Settled},
    id::Owner,
};
use taskq_test_support::RedisServer;
use tokio::task::JoinHandle;

use crate::{
    BOUND, claim, claim_one, connect, connect_shifted, enqueue, invocation, join, queue, settle, state, succeeded,
    until,
};

/// A wait under way at the server, as it says of itself.
async fn wait(
    server: &RedisServer,
    connection: &Connection,
    owner: Owner,
) -> JoinHandle<taskq_core::Result<Vec<Claimed>>> {
    assert!(claim(connection, owner, 1).await.is_empty());
    let connection = connection.clone();
    let waiting = tokio::spawn(async move { connection.broker().work_arrived(&[(owner, queue())], BOUND).await });
    until("the wait", || server.command(&["INFO", "clients"]).text().contains("blocked_clients:1")).await;
    waiting
}

/// A wait that its worker has given up: it still stands among those that wait.
async fn wait_and_go(server: &RedisServer, connection: &Connection, owner: Owner) {
    wait(server, connection, owner).await.abort();
    until("the end of the wait", || server.command(&["INFO", "clients"]).text().contains("blocked_clients:0")).await;
}

#[tokio::test]
async fn a_waiting_worker_is_handed_the_task_with_the_ring() {
    let server = RedisServer::start();
    let connection = connect(&server).await;
    let owner = join(&connection).await;
    let waiting = wait(&server, &connection, owner).await;
    let id = enqueue(&connection, invocation()).await;
    let handed = waiting.await.expect("ends").expect("waits");
    assert_eq!(handed.iter().map(|claimed| (&claimed.envelope.id, claimed.deliveries)).collect::<Vec<_>>(), [(&id, 1)]);
    assert_eq!(state(&connection, &id).await, Some(State::Running));
    assert!(claim(&connection, join(&connection).await, 9).await.is_empty(), "nobody else gets it");
    let again = claim(&connection, owner, 9).await;
    assert_eq!(again, handed, "in case nobody heard");
    assert!(claim(&connection, owner, 9).await.is_empty(), "and once only");
    assert_eq!(settle(&connection, owner, &handed[0], succeeded()).await, Settled::Applied);
    assert_eq!(state(&connection, &id).await, Some(State::Succeeded));
}

#[tokio::test]
async fn a_ring_that_nobody_heard_comes_with_the_next_claim() {
    let server = RedisServer::start();
    let connection = connect(&server).await;
    let owner = join(&connection).await;
    wait_and_go(&server, &connection, owner).await;
    let id = enqueue(&connection, invocation()).await;
    assert_eq!(state(&connection, &id).await, Some(State::Running), "it was handed over");
    // As if the network had lost the ring on its way.
    server.command(&["DEL", &format!("taskq:{{q}}:bell:{owner}")]);
    let another = enqueue(&connection, invocation()).await;
    let claimed = claim(&connection, owner, 2).await;
    let ids: Vec<_> = claimed.iter().map(|claimed| &claimed.envelope.id).collect();
    assert_eq!((claimed.len(), ids.contains(&&id), ids.contains(&&another)), (2, true, true));
    assert!(claim(&connection, owner, 9).await.is_empty(), "and once only");
    for claimed in claimed {
        assert_eq!(settle(&connection, owner, &claimed, succeeded()).await, Settled::Applied);
    }
}

#[tokio::test]
async fn what_is_ready_already_goes_first() {
    let server = RedisServer::start();
    let connection = connect(&server).await;
    let owner = join(&connection).await;
    let waiting = wait(&server, &connection, owner).await;
    // As if its own ring had gone elsewhere.
    let earlier = invocation().into_envelope().expect("valid");
    let batch = taskq_core::id::BatchId::generate();
    server.command(&["RENAME", "taskq:{q}:idle", "taskq:{q}:aside"]);
    connection.broker().enqueue(&queue(), batch, std::slice::from_ref(&earlier)).await.expect("enqueues");
    server.command(&["RENAME", "taskq:{q}:aside", "taskq:{q}:idle"]);
    let later = enqueue(&connection, invocation()).await;
    assert!(waiting.await.expect("ends").expect("waits").is_empty(), "only a ring");
    let claimed = claim(&connection, owner, 9).await;
    assert_eq!(claimed.iter().map(|claimed| &claimed.envelope.id).collect::<Vec<_>>(), [&earlier.id, &later]);
}

#[tokio::test]
async fn nothing_is_handed_to_the_dead() {
    let server = RedisServer::start();
    let connection = connect_shifted(&server).await;
    let owner = join(&connection).await;
    wait_and_go(&server, &connection, owner).await;
    crate::advance(&server, taskq_core::limits::LEASE + Duration::from_secs(1));
    let id = enqueue(&connection, invocation()).await;
    let living = join(&connection).await;
    assert_eq!(claim_one(&connection, living).await.envelope.id, id);
}

#[tokio::test]
async fn what_was_handed_to_a_worker_that_died_comes_back() {
    let server = RedisServer::start();
    let connection = connect_shifted(&server).await;
    let dead = join(&connection).await;
    wait_and_go(&server, &connection, dead).await;
    let id = enqueue(&connection, invocation()).await;
    assert_eq!(state(&connection, &id).await, Some(State::Running));
    crate::advance(&server, taskq_core::limits::LEASE + Duration::from_secs(1));
    let living = join(&connection).await;
    assert_eq!(connection.broker().sweep(&queue(), 9).await.expect("sweeps").reclaimed, 1);
    let claimed = claim_one(&connection, living).await;
    assert_eq!((&claimed.envelope.id, claimed.deliveries), (&id, 2), "the hand-over counted as a delivery");
}

#[tokio::test]
async fn a_ring_that_comes_after_the_claim_that_answered_it_is_gone() {
    let server = RedisServer::start();
    let connection = connect(&server).await;
    let owner = join(&connection).await;
    wait_and_go(&server, &connection, owner).await;
    let id = enqueue(&connection, invocation()).await;
    let claimed = claim_one(&connection, owner).await;
    assert_eq!(claimed.envelope.id, id);
    let late = connection.broker().work_arrived(&[(owner, queue())], Duration::from_millis(50)).await;
    assert!(late.expect("waits").is_empty(), "it would run twice");
}

#[tokio::test]
async fn what_a_dead_worker_held_wakes_a_living_one_though_another_dead_one_waited_longer() {
    let server = RedisServer::start();
    let connection = connect_shifted(&server).await;
    let holder = join(&connection).await;
    let id = enqueue(&connection, invocation()).await;
    claim_one(&connection, holder).await;
    // It waits, dies, and its lease lives on for a while; behind it waits one that is alive.
    wait_and_go(&server, &connection, join(&connection).await).await;
    let living = join(&connection).await;
    let waiting = wait(&server, &connection, living).await;
    server.command(&["ZADD", "taskq:{q}:lease", "1", &holder.to_string()]);
    assert_eq!(connection.broker().sweep(&queue(), 200).await.expect("sweeps").reclaimed, 1);
    assert!(waiting.await.expect("ends").expect("is woken").is_empty());
    let claimed = claim_one(&connection, living).await;
    assert_eq!((&claimed.envelope.id, claimed.deliveries), (&id, 2));
}
