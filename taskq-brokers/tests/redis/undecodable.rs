//! What stands in a ready list and is no task of ours: a dead letter that stops nobody.

use taskq_core::{ControlExt, DeadReason, Payload, Purge, State, TaskId, TaskKey, broker::Settled, limits};
use taskq_test_support::RedisServer;

use crate::{claim, connect, enqueue, invocation, join, queue, settle, state, succeeded};

const READY: &str = "taskq:{q}:r5";

/// An element with a good head for the key `broken`, and no envelope behind it.
const BROKEN: &str = "\0\x02\x015\x03\x05\0\0\0\x18\x06broken{\"v\":1,";

#[tokio::test]
async fn an_envelope_that_does_not_decode_becomes_a_dead_letter_that_can_be_dropped() {
    let server = RedisServer::start();
    let connection = connect(&server).await;
    let id = TaskId::new(queue(), TaskKey::own("broken").expect("valid"));
    server.command(&["LPUSH", READY, BROKEN]);
    let owner = join(&connection).await;
    assert!(claim(&connection, owner, 9).await.is_empty());
    assert_eq!(state(&connection, &id).await, Some(State::Dead));

    let letters = connection.inspect().dead_letters(&queue(), None, 9).await.expect("lists");
    assert_eq!(letters.len(), 1);
    assert_eq!((&letters[0].id, letters[0].reason), (&id, DeadReason::Undecodable));
    assert_eq!(letters[0].envelope, None);
    assert!(connection.control().drop_dead(&id).await.expect("drops"));
    assert_eq!(state(&connection, &id).await, None);
}

#[tokio::test]
async fn an_undecodable_dead_letter_is_replayed_as_it_is_and_buried_again() {
    let server = RedisServer::start();
    let connection = connect(&server).await;
    let id = TaskId::new(queue(), TaskKey::own("broken").expect("valid"));
    server.command(&["LPUSH", READY, BROKEN]);
    let owner = join(&connection).await;
    for _ in 0..5 {
        assert!(claim(&connection, owner, 9).await.is_empty());
        assert_eq!(state(&connection, &id).await, Some(State::Dead));
        assert!(connection.control().replay(&id).await.expect("replays"));
        assert_eq!(state(&connection, &id).await, Some(State::Ready));
        assert_eq!(server.command(&["LINDEX", READY, "0"]).text(), BROKEN);
    }
}

#[tokio::test]
async fn rubbish_in_a_ready_list_costs_no_task_beside_it() {
    let server = RedisServer::start();
    let connection = connect(&server).await;
    let long = "no element at all, ".repeat(20);
    let rubbish = ["", "x", "\0\x02\x0f5", long.as_str(), "\0\x02\x015\x03\x05\0\0\0\x13\x04\u{1}\u{2}\u{3}\u{4}rest"];
    let mut ids = Vec::new();
    for rubbish in rubbish {
        ids.push(enqueue(&connection, invocation()).await);
        server.command(&["LPUSH", READY, rubbish]);
    }
    let owner = join(&connection).await;
    let claimed = claim(&connection, owner, 100).await;
    assert_eq!(claimed.iter().map(|claimed| &claimed.envelope.id).collect::<Vec<_>>(), ids.iter().collect::<Vec<_>>());
    for claimed in &claimed {
        assert_eq!(settle(&connection, owner, claimed, succeeded()).await, Settled::Applied);
    }
    let counts = connection.inspect().counts(&queue()).await.expect("counts");
    assert_eq!((counts.ready, counts.running, counts.dead), (0, 0, 5));
    let letters = connection.inspect().dead_letters(&queue(), None, 9).await.expect("lists");
    // The last one has not even a key that could be told.
    assert_eq!(letters.len(), 4);
    for letter in letters {
        assert_eq!((letter.reason, letter.envelope), (DeadReason::Undecodable, None));
        assert!(connection.control().drop_dead(&letter.id).await.expect("drops"));
    }
}

#[tokio::test]
async fn arguments_over_the_limit_are_buried_unread() {
    let server = RedisServer::start();
    let connection = connect(&server).await;
    let mut envelope = invocation().into_envelope().expect("valid");
    let large = format!("\"{}\"", "x".repeat(limits::MAX_STORED_PAYLOAD));
    envelope.payload = Payload::from_raw(serde_json::value::RawValue::from_string(large).expect("json"));
    let batch = taskq_core::id::BatchId::generate();
    connection.broker().enqueue(&queue(), batch, std::slice::from_ref(&envelope)).await.expect("enqueues");
    let owner = join(&connection).await;
    assert!(claim(&connection, owner, 9).await.is_empty());
    let letters = connection.inspect().dead_letters(&queue(), None, 9).await.expect("lists");
    assert_eq!((&letters[0].id, letters[0].reason), (&envelope.id, DeadReason::Undecodable));
}

#[tokio::test]
async fn rubbish_in_a_ready_list_is_purged_and_hides_nothing() {
    let server = RedisServer::start();
    let connection = connect(&server).await;
    let mut ids = Vec::new();
    for rubbish in ["", "x", "\0\x02\x0f5", "no element at all", BROKEN] {
        ids.push(enqueue(&connection, invocation()).await);
        server.command(&["LPUSH", READY, rubbish]);
    }
    let purged = connection.control().purge_all(&queue(), Purge::Waiting, |_| {}).await.expect("purges");
    assert_eq!(purged, 10);
    for id in &ids {
        assert_eq!(state(&connection, id).await, Some(State::Cancelled));
    }
    assert_eq!(server.command(&["EXISTS", READY, "taskq:{q}:m", "taskq:{q}:x"]).integer(), 0);
}
