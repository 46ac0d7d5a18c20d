//! Whoever waited once is told of what it enqueues next without asking again, and nobody depends on that.

use taskq_core::{
    Connection, Payload, State, TaskId,
    broker::{Ending, Snapshot},
    id::Owner,
};
use taskq_test_support::RedisServer;

use crate::{BOUND, claim_one, connect, enqueue, invocation, join, queue, settle, succeeded, until};

async fn end_with(connection: &Connection, owner: Owner, ending: Ending) {
    let claimed = claim_one(connection, owner).await;
    settle(connection, owner, &claimed, ending).await;
}

async fn wait(connection: &Connection, id: &TaskId) -> Snapshot {
    connection.broker().wait(id, BOUND).await.expect("waits").expect("is known")
}

/// A server, a client that has waited once, and another connection that works.
async fn client_with_a_habit() -> (RedisServer, Connection, Connection, Owner) {
    let server = RedisServer::start();
    let (client, works) = (connect(&server).await, connect(&server).await);
    let owner = join(&works).await;
    let id = enqueue(&client, invocation()).await;
    assert_eq!(asked(&server), 0, "nobody has waited yet");
    end_with(&works, owner, succeeded()).await;
    assert_eq!(wait(&client, &id).await.state, State::Succeeded);
    (server, client, works, owner)
}

/// How many tasks the server was asked to tell of.
fn asked(server: &RedisServer) -> i64 {
    server.command(&["HLEN", "taskq:{q}:w"]).integer()
}

/// Calls of scripts so far.
fn scripts(server: &RedisServer) -> u64 {
    let told = server.command(&["INFO", "commandstats"]);
    let line = told.text().lines().find(|line| line.starts_with("cmdstat_evalsha:")).expect("scripts ran").to_owned();
    let calls = line.split(['=', ',']).nth(1).expect("calls");
    calls.parse().expect("a number")
}

#[tokio::test]
async fn the_wait_of_a_caller_who_waited_before_asks_nothing() {
    let (server, client, works, owner) = client_with_a_habit().await;
    let id = enqueue(&client, invocation()).await;
    assert_eq!(asked(&server), 1);
    end_with(&works, owner, succeeded()).await;
    assert_eq!(asked(&server), 0);
    let before = scripts(&server);
    let snapshot = wait(&client, &id).await;
    assert_eq!(snapshot.state, State::Succeeded);
    assert_eq!(snapshot.result.expect("has one").decode::<u32>().expect("a number"), 7);
    assert_eq!(scripts(&server), before);
}

#[tokio::test]
async fn a_habit_wears_off() {
    let (server, client, _works, _owner) = client_with_a_habit().await;
    for _ in 0..40 {
        enqueue(&client, invocation()).await;
    }
    assert_eq!(asked(&server), 16);
}

#[tokio::test]
async fn a_lost_message_and_one_without_a_record_are_made_up_for() {
    let (server, client, works, owner) = client_with_a_habit().await;
    let id = enqueue(&client, invocation()).await;
    server.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    end_with(&works, owner, succeeded()).await;
    assert_eq!(wait(&client, &id).await.state, State::Succeeded);

    until("another subscription", || server.command(&["PUBSUB", "CHANNELS"]).array().len() == 1).await;
    let id = enqueue(&client, invocation()).await;
    end_with(&works, owner, Ending::Dead(taskq_core::DeadReason::Failed)).await;
    assert_eq!(wait(&client, &id).await.state, State::Dead);

    // Too long to be kept for somebody who may never ask.
    let id = enqueue(&client, invocation()).await;
    let long = Payload::encode("encode", &"x".repeat(20_000), 100_000).expect("fits");
    end_with(&works, owner, Ending::Succeeded(long)).await;
    let result = wait(&client, &id).await.result.expect("has one");
    assert_eq!(result.decode::<String>().expect("text").len(), 20_000);
    assert_eq!(works.inspect().counts(&queue()).await.expect("counts").ready, 0);
}
