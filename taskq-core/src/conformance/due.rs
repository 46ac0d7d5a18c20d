//! Due times: never early, by the broker's clock.

use std::time::Duration;

use crate::{conformance::Stage, state::State};

/// A delayed task cannot be claimed a millisecond before its time.
pub async fn a_delayed_task_is_never_early(stage: Stage) {
    let owner = stage.worker().await;
    let (id, _) = stage.enqueue(stage.invocation(0).delay(Duration::from_secs(4))).await;
    assert_eq!(stage.state(&id).await, Some(State::Scheduled));
    stage.advance(Duration::from_millis(3_000)).await;
    assert!(stage.claim(owner, 1).await.is_empty());
    stage.sweep().await;
    assert!(stage.claim(owner, 1).await.is_empty());
    stage.advance(Duration::from_millis(1_000)).await;
    assert_eq!(stage.claim_one(owner).await.envelope.id, id);
}

/// `run_at` in the past means now.
pub async fn a_task_in_the_past_is_ready_at_once(stage: Stage) {
    let (id, _) = stage.enqueue(stage.invocation(0).run_at(std::time::UNIX_EPOCH)).await;
    assert_eq!(stage.state(&id).await, Some(State::Ready));
    assert_eq!(stage.claim_one(stage.worker().await).await.envelope.id, id);
}

/// Delayed tasks become ready in the order of their due times.
pub async fn due_tasks_follow_their_due_time(stage: Stage) {
    let (late, _) = stage.enqueue(stage.invocation(0).delay(Duration::from_secs(20))).await;
    let at = stage.now().await + Duration::from_secs(10);
    let (early, _) = stage.enqueue(stage.invocation(1).run_at(at)).await;
    stage.advance(Duration::from_secs(21)).await;
    let owner = stage.worker().await;
    assert_eq!(stage.claim_one(owner).await.envelope.id, early);
    assert_eq!(stage.claim_one(owner).await.envelope.id, late);
}

/// A claim says how long it is until the next task is due, so that nobody has to poll.
pub async fn a_claim_tells_when_the_next_task_is_due(stage: Stage) {
    let owner = stage.worker().await;
    let broker = stage.connection.broker();
    assert_eq!(broker.claim(owner, &stage.queue, 1, stage.next_claim()).await.expect("claims").next_due, None);
    stage.enqueue(stage.invocation(0).delay(Duration::from_secs(4))).await;
    stage.enqueue(stage.invocation(0).delay(Duration::from_secs(9))).await;
    let next_due =
        broker.claim(owner, &stage.queue, 1, stage.next_claim()).await.expect("claims").next_due.expect("one waits");
    assert!(next_due <= Duration::from_secs(4) && next_due > Duration::from_secs(3), "{next_due:?}");
}
