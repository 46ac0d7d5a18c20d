//! Expiry: a task that was not started in time is never started.

use std::time::Duration;

use crate::{conformance::Stage, state::State};

/// A worker does not get a task after its expiry; what follows in the queue is not held up.
pub async fn an_expired_task_is_not_handed_out(stage: Stage) {
    let (expiring, _) = stage.enqueue(stage.invocation(0).expires_in(Duration::from_secs(2))).await;
    let (lasting, _) = stage.enqueue(stage.invocation(1).expires_in(Duration::from_secs(60))).await;
    stage.advance(Duration::from_secs(2)).await;
    assert_eq!(stage.claim_one(stage.worker().await).await.envelope.id, lasting);
    assert_eq!(stage.state(&expiring).await, Some(State::Expired));
}

/// The state is exact though no worker has come by.
pub async fn an_expired_task_is_expired_before_anybody_looks(stage: Stage) {
    let at = stage.now().await + Duration::from_secs(5);
    let (id, _) = stage.enqueue(stage.invocation(0).expires_at(at)).await;
    assert_eq!(stage.state(&id).await, Some(State::Ready));
    stage.advance(Duration::from_secs(6)).await;
    assert_eq!(stage.state(&id).await, Some(State::Expired));
}

/// A task whose expiry comes before its due time never runs.
pub async fn a_delayed_task_can_expire(stage: Stage) {
    let invocation = stage.invocation(0).delay(Duration::from_secs(9)).expires_in(Duration::from_secs(3));
    let (id, _) = stage.enqueue(invocation).await;
    stage.advance(Duration::from_secs(10)).await;
    assert!(stage.claim(stage.worker().await, 1).await.is_empty());
    assert_eq!(stage.state(&id).await, Some(State::Expired));
}
