//! Releasing: a task given back unrun costs nothing and is first again.

use crate::{
    broker::{Ending, Settled},
    conformance::Stage,
    state::State,
};

/// A released task is the next of its priority, with no delivery counted.
pub async fn a_released_task_is_first_again_and_spends_nothing(stage: Stage) {
    let first = stage.enqueue_one().await;
    stage.enqueue_one().await;
    let owner = stage.worker().await;
    for _ in 0..5 {
        let claimed = stage.claim_one(owner).await;
        assert_eq!((&claimed.envelope.id, claimed.deliveries), (&first, 1));
        assert_eq!(stage.settle(owner, &claimed, Ending::Released).await, Settled::Applied);
        assert_eq!(stage.state(&first).await, Some(State::Ready));
    }
}

/// A worker that leaves gives back everything at once; nobody waits for its lease.
pub async fn leaving_gives_everything_back(stage: Stage) {
    let envelopes: Vec<_> = (0..4).map(|number| stage.envelope(stage.invocation(number))).collect();
    stage.enqueue_all(&envelopes).await;
    let leaving = stage.worker().await;
    let claimed = stage.claim(leaving, 3).await;
    stage.connection.broker().leave(leaving, &stage.queue).await.expect("leaves");
    let staying = stage.worker().await;
    let again = stage.claim(staying, 9).await;
    assert_eq!(again.len(), 4);
    assert!(again.iter().all(|claimed| claimed.deliveries == 1));
    assert_eq!(again[3].envelope.id, envelopes[3].id, "what was given back comes first");
    assert_eq!(stage.succeed(leaving, &claimed[0], 666).await, Settled::Fenced);
}

/// Leaving is repeated after a lost answer without harm.
pub async fn leaving_twice_is_harmless(stage: Stage) {
    let owner = stage.worker().await;
    let broker = stage.connection.broker();
    broker.leave(owner, &stage.queue).await.expect("leaves");
    broker.leave(owner, &stage.queue).await.expect("leaves again");
    assert!(!stage.beat(owner).await);
}
