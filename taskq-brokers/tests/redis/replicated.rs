//! What is acknowledged only when replicas have it.

use std::time::Duration;

use taskq_core::{Durability, ErrorKind, State};
use taskq_test_support::RedisServer;

use crate::{connect, invocation, patient, queue, state, until};

/// A replica that has caught up.
async fn replica_of(primary: &RedisServer) -> RedisServer {
    let port = primary.port().to_string();
    let replica = RedisServer::builder().argument("--replicaof").argument("127.0.0.1").argument(&port).start();
    until("the first synchronisation", || {
        replica.command(&["INFO", "replication"]).text().contains("master_link_status:up")
    })
    .await;
    replica
}

fn ready(server: &RedisServer) -> i64 {
    server.command(&["LLEN", "taskq:{q}:r5"]).integer()
}

#[tokio::test]
async fn what_is_acknowledged_is_on_the_replica_whatever_way_it_went() {
    let primary = RedisServer::start();
    let replica = replica_of(&primary).await;
    let connection = connect(&primary).await.with_durability(Durability::Replicated(1));
    let client = patient(&connection);
    // Forgotten scripts are found again on these connections too.
    for expected in 1..=3 {
        client.enqueue(invocation()).await.expect("enqueues");
        assert_eq!(ready(&replica), expected);
        primary.command(&["SCRIPT", "FLUSH"]);
    }
    client.enqueue_all((0..250).map(|_| invocation())).await.expect("enqueues");
    let delayed = client.enqueue(invocation().delay(Duration::from_secs(60))).await.expect("enqueues");
    let seen = replica.command(&["EXISTS", "taskq:{q}:due"]).integer();
    assert_eq!((seen, state(&connection, delayed.id()).await), (1, Some(State::Scheduled)));
    assert_eq!(connection.inspect().counts(&queue()).await.expect("counts").ready, 253);
}

#[tokio::test]
async fn without_its_replica_nothing_is_acknowledged_and_with_it_the_same_task_is_and_once_only() {
    let primary = RedisServer::start();
    let replica = replica_of(&primary).await;
    let connection = connect(&primary).await;
    let hasty = connection.client().with_deadline(Duration::from_millis(1_500));
    replica.pause();
    let wanted = || invocation().id("pay-1").durability(Durability::Replicated(1));
    let error = hasty.enqueue(wanted()).await.expect_err("nobody confirms");
    assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::DeadlineExceeded), "{error}");
    hasty.enqueue(invocation()).await.expect("others do not wait for replicas");
    let waiting = tokio::spawn({
        let client = patient(&connection);
        async move { client.enqueue(wanted()).await }
    });
    until("the wait", || primary.command(&["INFO", "clients"]).text().contains("blocked_clients:1")).await;
    replica.resume();
    let handle = waiting.await.expect("ends").expect("is confirmed");
    assert_eq!(state(&connection, handle.id()).await, Some(State::Ready));
    assert_eq!(connection.inspect().counts(&queue()).await.expect("counts").ready, 2);
    assert_eq!(ready(&replica), 2);
}

#[tokio::test]
async fn a_server_that_never_had_so_many_replicas_says_so() {
    let server = RedisServer::start();
    let connection = connect(&server).await;
    let client = connection.client().with_deadline(Duration::from_secs(2)).with_durability(Durability::Replicated(2));
    let error = client.enqueue(invocation()).await.expect_err("there are none");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("0 of 2 replicas have confirmed within 1s"), "{error}");
}
