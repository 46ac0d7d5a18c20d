//! Cancelling: what waits is never started, what runs is told, and nobody forgets it.

use std::time::Duration;

use crate::{
    broker::{CancelAnswer, Ending, Settled},
    conformance::Stage,
    id::{Owner, TaskId, TaskKey},
    state::{DeadReason, State},
};

async fn cancel(stage: &Stage, id: &TaskId) -> CancelAnswer {
    stage.connection.broker().cancel(id).await.expect("cancels")
}

async fn told(stage: &Stage, owner: Owner) -> Vec<TaskKey> {
    stage.connection.broker().beat(&[(owner, stage.queue.clone())]).await.expect("beats").remove(0).cancelled
}

/// Ready, scheduled and retrying tasks end at once.
pub async fn a_waiting_task_is_cancelled_at_once(stage: Stage) {
    let retrying = stage.enqueue_one().await;
    let owner = stage.worker().await;
    let claimed = stage.claim_one(owner).await;
    stage.settle(owner, &claimed, Ending::Retry(Duration::from_secs(60))).await;
    let ready = stage.enqueue_one().await;
    let (scheduled, _) = stage.enqueue(stage.invocation(0).delay(Duration::from_secs(60))).await;
    for id in [&ready, &scheduled, &retrying] {
        assert_eq!(cancel(&stage, id).await, CancelAnswer::Cancelled);
        assert_eq!(stage.state(id).await, Some(State::Cancelled));
        assert_eq!(cancel(&stage, id).await, CancelAnswer::AlreadyEnded);
    }
    assert!(stage.claim(owner, 9).await.is_empty());
    stage.advance(Duration::from_secs(120)).await;
    stage.sweep().await;
    assert!(stage.claim(stage.worker().await, 9).await.is_empty());
}

/// The holder of a running task hears of it with its next heartbeat.
pub async fn a_running_task_is_told(stage: Stage) {
    let id = stage.enqueue_one().await;
    let owner = stage.worker().await;
    let claimed = stage.claim_one(owner).await;
    assert!(told(&stage, owner).await.is_empty());
    assert_eq!(cancel(&stage, &id).await, CancelAnswer::Requested);
    assert_eq!(stage.state(&id).await, Some(State::Running));
    assert_eq!(told(&stage, owner).await, std::slice::from_ref(&id.key));
    // A body that had finished anyway keeps its result.
    assert_eq!(stage.succeed(owner, &claimed, 1).await, Settled::Applied);
    assert_eq!(stage.state(&id).await, Some(State::Succeeded));
    assert!(told(&stage, owner).await.is_empty());
}

/// A task that was to be cancelled while its worker died is not started again.
pub async fn a_cancel_survives_the_worker(stage: Stage) {
    let id = stage.enqueue_one().await;
    stage.claim_one(stage.worker().await).await;
    assert_eq!(cancel(&stage, &id).await, CancelAnswer::Requested);
    stage.lapse().await;
    assert!(stage.claim(stage.worker().await, 9).await.is_empty());
    assert_eq!(stage.state(&id).await, Some(State::Cancelled));
}

/// Ended and unknown tasks are told apart.
pub async fn what_has_ended_cannot_be_cancelled(stage: Stage) {
    let id = stage.enqueue_one().await;
    let owner = stage.worker().await;
    let claimed = stage.claim_one(owner).await;
    stage.succeed(owner, &claimed, 1).await;
    assert_eq!(cancel(&stage, &id).await, CancelAnswer::AlreadyEnded);
    let dead = stage.enqueue_one().await;
    let claimed = stage.claim_one(owner).await;
    stage.settle(owner, &claimed, Ending::Dead(DeadReason::Fatal)).await;
    assert_eq!(cancel(&stage, &dead).await, CancelAnswer::AlreadyEnded);
    let unknown = TaskId::new(stage.queue.clone(), TaskKey::generate());
    assert_eq!(cancel(&stage, &unknown).await, CancelAnswer::NotFound);
}

/// A body that gave up ends its task for good.
pub async fn a_cancelled_attempt_ends_as_cancelled(stage: Stage) {
    let id = stage.enqueue_one().await;
    let owner = stage.worker().await;
    let claimed = stage.claim_one(owner).await;
    cancel(&stage, &id).await;
    assert_eq!(stage.settle(owner, &claimed, Ending::Cancelled).await, Settled::Applied);
    assert_eq!(stage.state(&id).await, Some(State::Cancelled));
    assert!(stage.claim(owner, 1).await.is_empty());
}

/// A task that was to be cancelled is not handed out again, whatever its attempt ends in.
pub async fn a_cancelled_task_is_not_retried(stage: Stage) {
    let owner = stage.worker().await;
    for ending in [Ending::Retry(Duration::ZERO), Ending::Released] {
        let id = stage.enqueue_one().await;
        let claimed = stage.claim_one(owner).await;
        assert_eq!(cancel(&stage, &id).await, CancelAnswer::Requested);
        assert_eq!(stage.settle(owner, &claimed, ending).await, Settled::Applied);
        assert_eq!(stage.state(&id).await, Some(State::Cancelled));
        assert!(stage.claim(owner, 1).await.is_empty());
    }
}

/// An untracked task that waits is not started after its cancellation.
pub async fn an_untracked_task_can_be_cancelled(stage: Stage) {
    let (first, second) = (stage.untracked(1), stage.untracked(2));
    stage.enqueue_all(&[first.clone(), second.clone()]).await;
    cancel(&stage, &first.id).await;
    let claimed = stage.claim(stage.worker().await, 9).await;
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].envelope.id, second.id);
}
