//! Much of everything: no step holds up the server, and every loop comes to its end.

use std::time::{Duration, Instant};

use taskq_core::{
    CancelAnswer, Connection, Envelope, State,
    broker::Accepted,
    id::{BatchId, ClaimNumber, Owner},
    limits,
};
use taskq_test_support::RedisServer;

use crate::{advance, claim, connect, connect_shifted, enqueue, invocation, join, queue, state, try_enqueue, until};

async fn enqueue_many(connection: &Connection, number: usize, make: impl Fn() -> Envelope) {
    for _ in 0..number / limits::ENQUEUE_CHUNK {
        let batch: Vec<_> = (0..limits::ENQUEUE_CHUNK).map(|_| make()).collect();
        connection.broker().enqueue(&queue(), BatchId::generate(), &batch).await.expect("enqueues");
    }
}

/// A worker that holds so many tasks that its hash is a large table.
async fn holder_of_many(connection: &Connection) -> Owner {
    enqueue_many(connection, 6_000, || invocation().into_envelope().expect("valid")).await;
    let owner = join(connection).await;
    for _ in 0..6_000 / limits::CLAIM_BATCH {
        assert_eq!(claim(connection, owner, limits::CLAIM_BATCH).await.len(), limits::CLAIM_BATCH);
    }
    owner
}

#[tokio::test]
async fn everything_that_a_dead_worker_held_comes_back_however_much_it_was() {
    let server = RedisServer::start();
    let connection = connect_shifted(&server).await;
    holder_of_many(&connection).await;
    advance(&server, Duration::from_secs(5));
    let mut reclaimed = 0;
    for _ in 0..100 {
        let answer = connection.broker().sweep(&queue(), limits::SWEEP_BATCH).await.expect("sweeps");
        reclaimed += answer.reclaimed;
        if !answer.more {
            break;
        }
    }
    assert_eq!(reclaimed, 6_000);
}

#[tokio::test]
async fn a_worker_that_holds_much_can_leave() {
    let server = RedisServer::start();
    let connection = connect_shifted(&server).await;
    let owner = holder_of_many(&connection).await;
    let (broker, queue) = (connection.broker(), queue());
    tokio::time::timeout(crate::BOUND, broker.leave(owner, &queue)).await.expect("comes to an end").expect("leaves");
    let counts = connection.inspect().counts(&queue).await.expect("counts");
    assert_eq!((counts.ready, counts.running), (6_000, 0));
}

#[tokio::test]
async fn one_claim_ends_few_of_many_expired_tasks_and_asks_to_be_repeated() {
    let server = RedisServer::start();
    let connection = connect_shifted(&server).await;
    let expiring = || invocation().expires_in(Duration::from_secs(2)).into_envelope().expect("valid");
    enqueue_many(&connection, 2_000, expiring).await;
    let lasting = enqueue(&connection, invocation()).await;
    advance(&server, Duration::from_secs(3));
    let owner = join(&connection).await;
    let mut claims = 0;
    let claimed = loop {
        claims += 1;
        let answer = connection.broker().claim(owner, &queue(), 200, ClaimNumber(1)).await.expect("claims");
        if answer.next_due != Some(Duration::ZERO) {
            break answer.claimed;
        }
        assert!(answer.claimed.is_empty() && claims < 100);
    };
    assert_eq!(claimed.iter().map(|claimed| &claimed.envelope.id).collect::<Vec<_>>(), [&lasting]);
    assert!(claims >= 8, "{claims} claims ended 2,000 tasks");
}

#[tokio::test]
async fn a_cancelled_own_id_is_known_until_a_claim_has_come_past_it() {
    let server = RedisServer::start();
    let connection = connect_shifted(&server).await;
    let envelope = |priority| {
        let invocation = invocation().id("order:1").result_ttl(Duration::from_secs(60)).priority(priority);
        invocation.into_envelope().expect("valid")
    };
    let cancel = async |id| connection.broker().cancel(id).await.expect("cancels");
    let id = envelope(1).id;
    assert_eq!(try_enqueue(&connection, &envelope(1)).await.expect("enqueues"), Accepted::Created);
    assert_eq!(cancel(&id).await, CancelAnswer::Cancelled);
    advance(&server, Duration::from_secs(3_600));
    connection.broker().sweep(&queue(), 200).await.expect("sweeps");
    // Two elements of one key could not be told apart: the next claim would drop either.
    assert_eq!(try_enqueue(&connection, &envelope(9)).await.expect("answers"), Accepted::Duplicate);
    assert_eq!(state(&connection, &id).await, Some(State::Cancelled));
    assert_eq!(cancel(&id).await, CancelAnswer::AlreadyEnded);
    let owner = join(&connection).await;
    assert!(claim(&connection, owner, 9).await.is_empty());
    assert_eq!(state(&connection, &id).await, None);
    assert_eq!(try_enqueue(&connection, &envelope(9)).await.expect("enqueues"), Accepted::Created);
    assert_eq!(claim(&connection, owner, 9).await.len(), 1);
}

#[tokio::test]
async fn a_bell_rings_at_a_worker_with_free_slots() {
    let server = RedisServer::start();
    let connection = connect_shifted(&server).await;
    let (full, idle) = (join(&connection).await, join(&connection).await);
    assert!(claim(&connection, full, 1).await.is_empty());
    enqueue(&connection, invocation().delay(Duration::from_secs(1))).await;
    assert!(claim(&connection, full, 1).await.is_empty());
    assert!(claim(&connection, idle, 1).await.is_empty());
    advance(&server, Duration::from_secs(2));
    // By its alarm, not by a bell: it still stands among those that wait, before the other.
    assert_eq!(claim(&connection, full, 1).await.len(), 1);
    let (waiter, begun) = (connection.clone(), Instant::now());
    let bound = crate::BOUND;
    let waiting = tokio::spawn(async move { waiter.broker().work_arrived(&[(idle, queue())], bound).await });
    until("the wait", || server.command(&["INFO", "clients"]).text().contains("blocked_clients:1")).await;
    enqueue(&connection, invocation()).await;
    waiting.await.expect("waits").expect("is woken");
    assert!(begun.elapsed() < bound / 2, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn the_tasks_of_an_owner_whose_lease_entry_is_lost_come_back() {
    let server = RedisServer::start();
    let connection = connect(&server).await;
    let id = enqueue(&connection, invocation()).await;
    let lost = join(&connection).await;
    assert_eq!(claim(&connection, lost, 1).await.len(), 1);
    server.command(&["DEL", "taskq:{q}:lease"]);
    let owner = join(&connection).await;
    assert_eq!(state(&connection, &id).await, Some(State::Running));
    assert_eq!(connection.broker().sweep(&queue(), 200).await.expect("sweeps").reclaimed, 1);
    assert_eq!(claim(&connection, owner, 1).await[0].envelope.id, id);
}

#[tokio::test]
async fn a_due_task_outlives_a_right_that_is_taken_away_while_it_becomes_ready() {
    let server = RedisServer::builder().user("shop", "pw", "~* &* +@all").start();
    let connection = connect_shifted(&server).await;
    let id = enqueue(&connection, invocation().delay(Duration::from_secs(5))).await;
    advance(&server, Duration::from_secs(9));
    let owner = join(&connection).await;
    server.command(&["ACL", "SETUSER", "shop", "-lpush"]);
    connection.broker().claim(owner, &queue(), 1, ClaimNumber(1)).await.expect_err("is refused");
    server.command(&["ACL", "SETUSER", "shop", "+lpush"]);
    assert_eq!(claim(&connection, owner, 1).await[0].envelope.id, id);
}
