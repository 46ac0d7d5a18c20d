//! Results and states: exact for tracked tasks, never wrong for untracked ones, kept as long as promised.

use std::time::Duration;

use crate::{
    broker::{Ending, Settled},
    conformance::{Stage, payload},
    id::{TaskId, TaskKey},
    inspect::Counts,
    limits,
    state::{DeadReason, State},
};

/// A result can be read for its time to live, and is forgotten some time after.
pub async fn a_result_is_kept_for_its_time_to_live(stage: Stage) {
    let (id, _) = stage.enqueue(stage.invocation(0).result_ttl(Duration::from_secs(600))).await;
    assert_eq!(stage.state(&id).await, Some(State::Ready));
    let owner = stage.worker().await;
    let claimed = stage.claim_one(owner).await;
    assert_eq!(stage.state(&id).await, Some(State::Running));
    stage.succeed(owner, &claimed, 42).await;
    for _ in 0..3 {
        let snapshot = stage.find(&id).await.expect("kept for its time to live");
        assert_eq!((snapshot.state, snapshot.result), (State::Succeeded, Some(payload(42))));
        assert!(snapshot.ended_at.expect("ended") <= stage.now().await);
        stage.advance(Duration::from_secs(199)).await;
        stage.sweep().await;
    }
    // Brokers may keep results in coarse groups; two classes of time to live later nothing is left.
    stage.advance(Duration::from_secs(2 * 3_600)).await;
    stage.sweep().await;
    assert_eq!(stage.find(&id).await, None);
}

/// Scheduled, running, retrying and dead are exact; anything else is `untracked`.
pub async fn untracked_states_are_never_wrong(stage: Stage) {
    let mut scheduled = stage.untracked(1);
    scheduled.start = crate::invocation::Start::After(Duration::from_secs(60));
    let ready = stage.untracked(2);
    stage.enqueue_all(&[scheduled.clone(), ready.clone()]).await;
    assert_eq!(stage.state(&scheduled.id).await, Some(State::Scheduled));
    assert_eq!(stage.state(&ready.id).await, Some(State::Untracked));
    let owner = stage.worker().await;
    let claimed = stage.claim_one(owner).await;
    assert_eq!(stage.state(&ready.id).await, Some(State::Running));
    stage.settle(owner, &claimed, Ending::Retry(Duration::from_secs(1))).await;
    assert_eq!(stage.state(&ready.id).await, Some(State::Retrying));
    stage.advance(Duration::from_secs(1)).await;
    let claimed = stage.claim_one(owner).await;
    assert_eq!(stage.succeed(owner, &claimed, 1).await, Settled::Applied);
    assert_eq!(stage.state(&ready.id).await, Some(State::Untracked));
    let dying = stage.untracked(3);
    stage.enqueue_all(std::slice::from_ref(&dying)).await;
    let claimed = stage.claim_one(owner).await;
    stage.settle(owner, &claimed, Ending::Dead(DeadReason::Fatal)).await;
    assert_eq!(stage.state(&dying.id).await, Some(State::Dead));
}

/// An id that was never accepted is not found, and never "pending".
pub async fn an_unknown_id_is_not_found(stage: Stage) {
    assert_eq!(stage.find(&TaskId::new(stage.queue.clone(), TaskKey::generate())).await, None);
    stage.enqueue_one().await;
    assert_eq!(stage.find(&TaskId::new(stage.queue.clone(), TaskKey::generate())).await, None);
    assert_eq!(stage.find(&"nowhere/own-id".parse().expect("valid")).await, None);
}

/// A task without result but with its own id leaves a trace of its end.
pub async fn an_untracked_task_with_its_own_id_is_known_after_its_end(stage: Stage) {
    let mut envelope = stage.envelope(stage.invocation(0).id("mine"));
    envelope.stores_result = false;
    stage.enqueue_all(std::slice::from_ref(&envelope)).await;
    let owner = stage.worker().await;
    let claimed = stage.claim_one(owner).await;
    stage.succeed(owner, &claimed, 1).await;
    let snapshot = stage.find(&envelope.id).await.expect("kept");
    assert_eq!((snapshot.state, snapshot.result), (State::Succeeded, None));
}

/// The counts are those of the tasks.
pub async fn counts_agree_with_what_happened(stage: Stage) {
    let envelopes: Vec<_> = (0..7).map(|number| stage.envelope(stage.invocation(number))).collect();
    stage.enqueue_all(&envelopes).await;
    stage.enqueue(stage.invocation(0).delay(Duration::from_secs(60))).await;
    let owner = stage.worker().await;
    let claimed = stage.claim(owner, 5).await;
    stage.succeed(owner, &claimed[0], 1).await;
    stage.settle(owner, &claimed[1], Ending::Retry(Duration::from_secs(60))).await;
    stage.settle(owner, &claimed[2], Ending::Dead(DeadReason::Fatal)).await;
    let expected = Counts { ready: 2, scheduled: 1, retrying: 1, running: 2, dead: 1 };
    assert_eq!(stage.connection.inspect().counts(&stage.queue).await.expect("counts"), expected);
    stage.advance(limits::LEASE + Duration::from_secs(1)).await;
    stage.sweep().await;
    let expected = Counts { ready: 4, running: 0, ..expected };
    assert_eq!(stage.connection.inspect().counts(&stage.queue).await.expect("counts"), expected);
}

/// Every queue that was used is listed once.
pub async fn every_queue_is_listed(stage: Stage) {
    for name in ["b", "a", "b"] {
        stage.with_queue(name).enqueue_one().await;
    }
    let mut names: Vec<_> =
        stage.connection.inspect().queues().await.expect("lists").into_iter().map(String::from).collect();
    names.sort();
    assert_eq!(names, ["a", "b"]);
}
