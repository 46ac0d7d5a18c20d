//! Idempotence: an enqueue repeated after a lost answer changes nothing.

use std::time::Duration;

use crate::{
    broker::{Accepted, CancelAnswer, Ending},
    conformance::Stage,
    id::{BatchId, TaskId},
    state::DeadReason,
};

/// The same batch sent again is recognised, tracked or not, even after its tasks have run.
pub async fn a_repeated_batch_changes_nothing(stage: Stage) {
    let envelopes = [stage.envelope(stage.invocation(1)), stage.untracked(2), stage.untracked(3)];
    let broker = stage.connection.broker();
    let batch = BatchId::generate();
    let first = broker.enqueue(&stage.queue, batch, &envelopes).await.expect("enqueues");
    assert_eq!(first, [Accepted::Created, Accepted::Created, Accepted::Created]);
    let owner = stage.worker().await;
    let again = || broker.enqueue(&stage.queue, batch, &envelopes);
    assert_eq!(again().await.expect("answers"), [Accepted::Duplicate, Accepted::Duplicate, Accepted::Duplicate]);
    for claimed in stage.claim(owner, 9).await {
        stage.succeed(owner, &claimed, 1).await;
    }
    stage.advance(Duration::from_secs(60)).await;
    assert_eq!(again().await.expect("answers"), [Accepted::Duplicate, Accepted::Duplicate, Accepted::Duplicate]);
    assert!(stage.claim(stage.worker().await, 9).await.is_empty());
}

/// Within one batch and between batches, an own id makes one task.
pub async fn an_own_id_is_accepted_once(stage: Stage) {
    let own = || stage.envelope(stage.invocation(0).id("order:42"));
    assert_eq!(stage.enqueue_all(&[own(), own()]).await, [Accepted::Created, Accepted::Duplicate]);
    assert_eq!(stage.enqueue_all(&[own()]).await, [Accepted::Duplicate]);
    assert_eq!(stage.claim(stage.worker().await, 9).await.len(), 1);
}

/// An own id is refused whatever became of its task, as long as that is kept.
pub async fn an_own_id_is_known_in_every_state(stage: Stage) {
    let owner = stage.worker().await;
    let enqueue = async |name: &'static str, delay: u64| {
        let invocation = stage.invocation(0).id(name).delay(Duration::from_secs(delay));
        stage.enqueue(invocation).await.1
    };
    assert_eq!(enqueue("scheduled", 60).await, Accepted::Created);
    for (name, ending) in [
        ("retrying", Ending::Retry(Duration::from_secs(60))),
        ("dead", Ending::Dead(DeadReason::Fatal)),
        ("cancelled", Ending::Cancelled),
        ("succeeded", Ending::Succeeded(crate::conformance::payload(1))),
    ] {
        assert_eq!(enqueue(name, 0).await, Accepted::Created);
        let claimed = stage.claim_one(owner).await;
        stage.settle(owner, &claimed, ending).await;
    }
    assert_eq!(enqueue("running", 0).await, Accepted::Created);
    stage.claim_one(owner).await;
    assert_eq!(enqueue("ready", 0).await, Accepted::Created);
    assert_eq!(enqueue("gone", 0).await, Accepted::Created);
    let gone: TaskId = format!("{}/gone", stage.queue).parse().expect("valid");
    assert_eq!(stage.connection.broker().cancel(&gone).await.expect("cancels"), CancelAnswer::Cancelled);
    for name in ["scheduled", "retrying", "dead", "cancelled", "succeeded", "running", "ready", "gone"] {
        assert_eq!(enqueue(name, 0).await, Accepted::Duplicate, "{name}");
    }
}
