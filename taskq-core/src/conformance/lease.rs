//! Leases: one a worker process and queue; what a dead process held goes back, and a living one keeps what it holds.

use std::time::Duration;

use crate::{
    broker::{Ending, Settled},
    conformance::Stage,
    error::ErrorKind,
    id::{Owner, WorkerId},
    limits,
    state::{DeadReason, State},
};

/// After a lease has lapsed, everything that its worker held is handed out again, with the delivery counted.
pub async fn a_dead_workers_tasks_go_to_another_worker(stage: Stage) {
    let envelopes: Vec<_> = (0..5).map(|number| stage.envelope(stage.invocation(number))).collect();
    stage.enqueue_all(&envelopes).await;
    let dead = stage.worker().await;
    assert_eq!(stage.claim(dead, 5).await.len(), 5);
    assert_eq!(stage.find(&envelopes[0].id).await.expect("known").owner, Some(dead));
    stage.lapse().await;
    let reclaimed = stage.claim(stage.worker().await, 9).await;
    let mut ids: Vec<_> = reclaimed.iter().map(|claimed| claimed.envelope.id.clone()).collect();
    ids.sort();
    let mut expected: Vec<_> = envelopes.iter().map(|envelope| envelope.id.clone()).collect();
    expected.sort();
    assert_eq!(ids, expected);
    assert!(reclaimed.iter().all(|claimed| claimed.deliveries == 2 && claimed.envelope.attempts == 0));
}

/// Beating keeps the lease, however long a task takes.
pub async fn a_beating_worker_keeps_its_tasks(stage: Stage) {
    stage.enqueue_one().await;
    let owner = stage.worker().await;
    let claimed = stage.claim_one(owner).await;
    for _ in 0..6 {
        stage.advance(limits::LEASE / 2).await;
        assert!(stage.beat(owner).await);
        stage.sweep().await;
    }
    assert_eq!(stage.succeed(owner, &claimed, 1).await, Settled::Applied);
}

/// A worker that comes too late learns that it lost everything, before and after the sweep.
pub async fn a_lapsed_lease_is_not_renewed(stage: Stage) {
    let owner = stage.worker().await;
    stage.advance(limits::LEASE + Duration::from_millis(1)).await;
    assert!(!stage.beat(owner).await);
    stage.sweep().await;
    assert!(!stage.beat(owner).await);
    let error =
        stage.connection.broker().claim(owner, &stage.queue, 1, stage.next_claim()).await.expect_err("is fenced");
    assert_eq!(error.kind(), ErrorKind::Fenced);
}

/// The next term may work; what the former term claimed stays refused.
pub async fn a_worker_comes_back_with_its_next_term(stage: Stage) {
    stage.enqueue_one().await;
    let former = stage.worker().await;
    let lost = stage.claim_one(former).await;
    stage.lapse().await;
    let present = Owner { term: former.term + 1, ..former };
    stage.connection.broker().join(present, &stage.queue, limits::LEASE).await.expect("joins");
    let claimed = stage.claim_one(present).await;
    assert_eq!(stage.succeed(former, &lost, 666).await, Settled::Fenced);
    assert_eq!(stage.succeed(present, &lost, 666).await, Settled::Fenced);
    assert_eq!(stage.succeed(present, &claimed, 1).await, Settled::Applied);
}

/// Joining again renews a living term. A term that has lapsed is refused, at least until a sweep has taken back what it
/// held, and gets nothing back; the next term may begin.
pub async fn a_lapsed_term_cannot_begin_again(stage: Stage) {
    stage.enqueue_one().await;
    let owner = stage.worker().await;
    let lost = stage.claim_one(owner).await;
    let join = |owner| {
        let (broker, queue) = (stage.connection.broker().clone(), stage.queue.clone());
        async move { broker.join(owner, &queue, limits::LEASE).await }
    };
    stage.advance(limits::LEASE * 2 / 3).await;
    join(owner).await.expect("a repeated join is harmless");
    stage.advance(limits::LEASE * 2 / 3).await;
    assert!(stage.beat(owner).await, "the repeated join renewed the lease");
    stage.advance(limits::LEASE + Duration::from_millis(1)).await;
    for _ in 0..2 {
        assert_eq!(join(owner).await.expect_err("has lapsed").kind(), ErrorKind::Fenced);
        assert!(!stage.beat(owner).await);
        assert_eq!(stage.succeed(owner, &lost, 666).await, Settled::Fenced);
    }
    let present = Owner { term: owner.term + 1, ..owner };
    join(present).await.expect("the next term begins");
    stage.sweep().await;
    assert_eq!(stage.claim_one(present).await.deliveries, 2);
}

/// A task whose worker dies every time ends as a dead letter after `max_deliveries`, without spending an attempt.
pub async fn a_task_that_kills_its_workers_becomes_a_dead_letter(stage: Stage) {
    let (id, _) = stage.enqueue(stage.invocation(0).max_deliveries(3)).await;
    for delivery in 1..=3 {
        assert_eq!(stage.claim_one(stage.worker().await).await.deliveries, delivery);
        stage.lapse().await;
    }
    let snapshot = stage.find(&id).await.expect("kept");
    assert_eq!((snapshot.state, snapshot.reason), (State::Dead, Some(DeadReason::Crashed)));
    assert_eq!(snapshot.attempts, 0);
    assert!(snapshot.last_error.expect("says why").contains("died 3 times"));
    assert!(stage.claim(stage.worker().await, 1).await.is_empty());
}

/// Only consecutive crashes count: an attempt that ended, however, starts the count anew.
pub async fn ending_an_attempt_forgets_earlier_deliveries(stage: Stage) {
    stage.enqueue(stage.invocation(0).max_deliveries(2)).await;
    for _ in 0..3 {
        assert_eq!(stage.claim_one(stage.worker().await).await.deliveries, 1);
        stage.lapse().await;
        let owner = stage.worker().await;
        let claimed = stage.claim_one(owner).await;
        assert_eq!(claimed.deliveries, 2);
        assert_eq!(stage.settle(owner, &claimed, Ending::Retry(Duration::ZERO)).await, Settled::Applied);
    }
}

/// A living worker is told when the lease of another one ends, so that nobody polls for the dead.
pub async fn a_beat_tells_when_to_sweep(stage: Stage) {
    let (dying, living) = (stage.worker().await, stage.worker().await);
    stage.enqueue_one().await;
    stage.claim_one(dying).await;
    let beats = [(living, stage.queue.clone())];
    let answer = stage.connection.broker().beat(&beats).await.expect("beats").remove(0);
    let sweep_in = answer.sweep_in.expect("another lease will lapse");
    assert!(sweep_in <= limits::LEASE && sweep_in > Duration::from_secs(1), "{sweep_in:?}");
    assert!(!answer.ready);
    stage.advance(Duration::from_secs(3)).await;
    assert!(stage.beat(living).await);
    stage.advance(Duration::from_secs(2)).await;
    let answer = stage.connection.broker().beat(&beats).await.expect("beats").remove(0);
    assert_eq!(answer.sweep_in, Some(Duration::ZERO));
    stage.sweep().await;
    let answer = stage.connection.broker().beat(&beats).await.expect("beats").remove(0);
    assert!(answer.ready, "a task is ready again");
}

/// Losing the lease on one queue does not touch another.
pub async fn a_lease_is_kept_per_queue(stage: Stage) {
    let other = stage.with_queue("other");
    let owner = stage.worker().await;
    other.connection.broker().join(owner, &other.queue, limits::LEASE).await.expect("joins");
    other.enqueue_one().await;
    let claimed = other.claim_one(owner).await;
    for _ in 0..3 {
        stage.advance(limits::LEASE / 2).await;
        assert!(other.beat(owner).await);
    }
    stage.sweep().await;
    other.sweep().await;
    assert!(!stage.beat(owner).await);
    assert_eq!(other.succeed(owner, &claimed, 1).await, Settled::Applied);
}

/// Each worker says how long its lease is, and that is how long each of its heartbeats is good for.
pub async fn a_lease_is_as_long_as_its_worker_asked_for(stage: Stage) {
    let broker = stage.connection.broker();
    let (short, long) = (Duration::from_secs(1), Duration::from_secs(60));
    let join = async |lease| {
        let owner = Owner { worker: WorkerId::generate(), term: 0 };
        broker.join(owner, &stage.queue, lease).await.expect("joins");
        stage.enqueue_one().await;
        (owner, stage.claim_one(owner).await)
    };
    let (patient, kept) = join(long).await;
    let (quick, lost) = join(short).await;
    stage.advance(short / 2).await;
    assert!(stage.beat(quick).await);
    stage.advance(short - Duration::from_millis(10)).await;
    assert!(stage.beat(quick).await, "a heartbeat is good for a second more");
    stage.advance(short + Duration::from_millis(1)).await;
    assert!(!stage.beat(quick).await);
    let beat = broker.beat(&[(patient, stage.queue.clone())]).await.expect("beats").remove(0);
    assert_eq!((beat.alive, beat.sweep_in), (true, Some(Duration::ZERO)), "there is somebody to sweep after");
    stage.sweep().await;
    let other = stage.worker().await;
    let reclaimed = stage.claim(other, 9).await;
    assert_eq!(reclaimed.iter().map(|claimed| &claimed.envelope.id).collect::<Vec<_>>(), [&lost.envelope.id]);
    stage.advance(long - Duration::from_secs(1)).await;
    stage.sweep().await;
    assert_eq!(stage.succeed(patient, &kept, 1).await, Settled::Applied);
}
