//! Rows: tasks that were enqueued together stand in the ready list together, and nobody can tell.

use std::time::Duration;

use taskq_core::{
    CancelAnswer, Connection, State, TaskId,
    broker::{Accepted, Ending, Settled},
    id::{BatchId, ClaimNumber, Siblings},
};
use taskq_test_support::RedisServer;

use crate::{advance, claim, connect, connect_shifted, enqueue, invocation, join, queue, settle, state, succeeded};

/// Enqueues so many siblings with one call.
async fn enqueue_siblings(connection: &Connection, number: usize) -> Vec<TaskId> {
    let mut siblings = Siblings::new(true);
    let mut envelopes = Vec::new();
    for _ in 0..number {
        let mut envelope = invocation().into_envelope().expect("valid");
        envelope.id = TaskId::new(queue(), siblings.next_key());
        envelopes.push(envelope);
    }
    let accepted = connection.broker().enqueue(&queue(), BatchId::generate(), &envelopes).await.expect("enqueues");
    assert_eq!(accepted, vec![Accepted::Created; number]);
    envelopes.into_iter().map(|envelope| envelope.id).collect()
}

async fn ready(connection: &Connection) -> u64 {
    connection.inspect().counts(&queue()).await.expect("counts").ready
}

#[tokio::test]
async fn claims_of_any_size_take_them_in_order_and_the_count_stays_right() {
    let server = RedisServer::start();
    let connection = connect(&server).await;
    let mut expected = enqueue_siblings(&connection, 25).await;
    expected.push(enqueue(&connection, invocation()).await);
    expected.extend(enqueue_siblings(&connection, 13).await);
    let owner = join(&connection).await;
    let mut claimed = Vec::new();
    for count in [1, 3, 10, 1, 24] {
        assert_eq!(ready(&connection).await, (expected.len() - claimed.len()) as u64);
        let part = claim(&connection, owner, count).await;
        assert_eq!(part.len(), count);
        claimed.extend(part);
    }
    assert_eq!(claimed.iter().map(|claimed| claimed.envelope.id.clone()).collect::<Vec<_>>(), expected);
    assert_eq!(ready(&connection).await, 0);
    assert_eq!(server.command(&["EXISTS", "taskq:{q}:x"]).integer(), 0, "nothing is left of the count");
    for claimed in claimed {
        assert_eq!(settle(&connection, owner, &claimed, succeeded()).await, Settled::Applied);
    }
    for id in expected {
        assert_eq!(state(&connection, &id).await, Some(State::Succeeded));
    }
}

#[tokio::test]
async fn one_in_the_middle_can_be_cancelled_run_again_and_found() {
    let server = RedisServer::start();
    let connection = connect_shifted(&server).await;
    let ids = enqueue_siblings(&connection, 10).await;
    assert_eq!(connection.broker().cancel(&ids[4]).await.expect("cancels"), CancelAnswer::Cancelled);
    assert_eq!(ready(&connection).await, 9);
    let owner = join(&connection).await;
    let claimed = claim(&connection, owner, 20).await;
    let rest: Vec<_> = ids.iter().filter(|id| **id != ids[4]).cloned().collect();
    assert_eq!(claimed.iter().map(|claimed| claimed.envelope.id.clone()).collect::<Vec<_>>(), rest);
    assert_eq!((ready(&connection).await, state(&connection, &ids[4]).await), (0, Some(State::Cancelled)));
    // It has a marker of its own from then on; the others share theirs.
    let again = Ending::Retry(Duration::from_secs(1));
    assert_eq!(settle(&connection, owner, &claimed[2], again).await, Settled::Applied);
    assert_eq!(state(&connection, &claimed[2].envelope.id).await, Some(State::Retrying));
    advance(&server, Duration::from_secs(2));
    let second = claim(&connection, owner, 20).await;
    assert_eq!(second.len(), 1);
    assert_eq!(second[0].envelope.id, claimed[2].envelope.id);
    assert_eq!(state(&connection, &claimed[3].envelope.id).await, Some(State::Running));
    assert_eq!(settle(&connection, owner, &second[0], succeeded()).await, Settled::Applied);
    assert_eq!(state(&connection, &claimed[2].envelope.id).await, Some(State::Succeeded));
    assert_eq!(connection.broker().cancel(&claimed[3].envelope.id).await.expect("asks"), CancelAnswer::Requested);
}

#[tokio::test]
async fn a_right_that_is_taken_away_loses_nothing_of_a_row_that_is_parted() {
    let server = RedisServer::builder().user("shop", "pw", "~* &* +@all").start();
    let connection = connect(&server).await;
    let ids = enqueue_siblings(&connection, 10).await;
    let owner = join(&connection).await;
    for right in ["rpush", "decrby", "hset"] {
        server.command(&["ACL", "SETUSER", "shop", &format!("-{right}")]);
        // Some succeed all the same, and what they took is handed back.
        let answer = connection.broker().claim(owner, &queue(), 3, ClaimNumber(1)).await;
        server.command(&["ACL", "SETUSER", "shop", &format!("+{right}")]);
        for claimed in answer.map(|answer| answer.claimed).unwrap_or_default() {
            assert_eq!(settle(&connection, owner, &claimed, Ending::Released).await, Settled::Applied);
        }
    }
    let mut claimed: Vec<_> = claim(&connection, owner, 20).await;
    claimed.sort_by(|one, other| one.envelope.id.key.cmp(&other.envelope.id.key));
    assert_eq!(claimed.iter().map(|claimed| claimed.envelope.id.clone()).collect::<Vec<_>>(), ids);
}

#[tokio::test]
async fn what_little_is_left_of_a_large_claim_can_still_be_settled_and_given_back() {
    let server = RedisServer::start();
    let connection = connect_shifted(&server).await;
    let ids = enqueue_siblings(&connection, 100).await;
    let owner = join(&connection).await;
    let claimed = claim(&connection, owner, 100).await;
    for (at, one) in claimed.iter().enumerate().filter(|(at, _)| at % 7 != 0) {
        assert_eq!(settle(&connection, owner, one, succeeded()).await, Settled::Applied, "{at}");
    }
    let held = connection.broker().held(owner, &queue(), ClaimNumber(0)).await.expect("lists");
    let left: Vec<_> = ids.iter().step_by(7).cloned().collect();
    assert_eq!(held.iter().map(|held| held.envelope.id.clone()).collect::<Vec<_>>(), left);
    assert_eq!(settle(&connection, owner, &claimed[7], succeeded()).await, Settled::Applied);
    advance(&server, Duration::from_secs(9));
    assert_eq!(connection.broker().sweep(&queue(), 200).await.expect("sweeps").reclaimed, left.len() - 1);
    let other = join(&connection).await;
    assert_eq!(claim(&connection, other, 100).await.len(), left.len() - 1);
    assert_eq!(settle(&connection, owner, &claimed[14], succeeded()).await, Settled::Fenced);
}
