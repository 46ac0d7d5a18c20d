//! Unique keys: checked in the step that enqueues, freed in the step that ends or starts their task.

use std::time::Duration;

use crate::{
    broker::{Accepted, CancelAnswer, Ending},
    conformance::{Stage, payload},
    invocation::Unique,
    limits,
    state::{DeadReason, State},
};

/// The second invocation is not enqueued, and learns who holds the key.
pub async fn a_held_key_skips_the_second(stage: Stage) {
    let unique = || stage.invocation(0).unique(Unique::key("k"));
    let (holder, accepted) = stage.enqueue(unique()).await;
    assert_eq!(accepted, Accepted::Created);
    let (second, accepted) = stage.enqueue(unique()).await;
    assert_eq!(accepted, Accepted::Held(holder.key.clone()));
    assert_eq!(stage.state(&second).await, None);
    assert_eq!(stage.enqueue(stage.invocation(0).unique(Unique::key("other"))).await.1, Accepted::Created);
    assert_eq!(stage.claim(stage.worker().await, 9).await.len(), 2);
}

/// `replace` cancels a holder that is ready or scheduled.
pub async fn replacing_takes_the_place_of_a_waiting_holder(stage: Stage) {
    let unique = || stage.invocation(0).unique(Unique::key("k").replace());
    let (scheduled, _) = stage.enqueue(unique().delay(Duration::from_secs(60))).await;
    let (ready, accepted) = stage.enqueue(unique()).await;
    assert_eq!(accepted, Accepted::Replaced(scheduled.key.clone()));
    let (last, accepted) = stage.enqueue(unique()).await;
    assert_eq!(accepted, Accepted::Replaced(ready.key.clone()));
    assert_eq!(stage.state(&scheduled).await, Some(State::Cancelled));
    assert_eq!(stage.state(&ready).await, Some(State::Cancelled));
    let claimed = stage.claim(stage.worker().await, 9).await;
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].envelope.id, last);
    stage.advance(Duration::from_secs(61)).await;
    assert!(stage.claim(stage.worker().await, 9).await.is_empty());
}

/// `replace` leaves a running holder alone and skips the new one.
pub async fn a_running_holder_is_not_replaced(stage: Stage) {
    let unique = || stage.invocation(0).unique(Unique::key("k").replace());
    let (holder, _) = stage.enqueue(unique()).await;
    let owner = stage.worker().await;
    let claimed = stage.claim_one(owner).await;
    assert_eq!(stage.enqueue(unique()).await.1, Accepted::Held(holder.key.clone()));
    stage.succeed(owner, &claimed, 1).await;
    assert_eq!(stage.enqueue(unique()).await.1, Accepted::Created);
}

/// With `until_start`, one may wait while another runs.
pub async fn a_key_until_start_is_free_when_the_task_starts(stage: Stage) {
    let unique = || stage.invocation(0).unique(Unique::key("k").until_start());
    let (holder, _) = stage.enqueue(unique()).await;
    assert_eq!(stage.enqueue(unique()).await.1, Accepted::Held(holder.key.clone()));
    let owner = stage.worker().await;
    let claimed = stage.claim_one(owner).await;
    let (second, accepted) = stage.enqueue(unique()).await;
    assert_eq!(accepted, Accepted::Created);
    // The end of the first must not free the key of the second.
    stage.succeed(owner, &claimed, 1).await;
    assert_eq!(stage.enqueue(unique()).await.1, Accepted::Held(second.key));
}

/// With a duration, the key stays held that long whatever became of the task, and not longer.
pub async fn a_key_for_a_time_outlives_its_task(stage: Stage) {
    let unique = || stage.invocation(0).unique(Unique::key("k").for_duration(Duration::from_secs(3)));
    let (holder, _) = stage.enqueue(unique()).await;
    let owner = stage.worker().await;
    let claimed = stage.claim_one(owner).await;
    stage.succeed(owner, &claimed, 1).await;
    assert_eq!(stage.enqueue(unique()).await.1, Accepted::Held(holder.key));
    stage.advance(Duration::from_secs(3)).await;
    assert_eq!(stage.enqueue(unique()).await.1, Accepted::Created);
}

/// Success, death, cancellation, expiry and a crash without retries all free the key.
pub async fn a_key_is_freed_however_its_task_ends(stage: Stage) {
    let unique = || stage.invocation(0).unique(Unique::key("k")).expires_in(Duration::from_secs(100)).max_deliveries(1);
    for ending in [Ending::Succeeded(payload(1)), Ending::Dead(DeadReason::Fatal), Ending::Cancelled] {
        assert_eq!(stage.enqueue(unique()).await.1, Accepted::Created);
        let owner = stage.worker().await;
        let claimed = stage.claim_one(owner).await;
        stage.settle(owner, &claimed, ending).await;
    }
    let (id, accepted) = stage.enqueue(unique()).await;
    assert_eq!(accepted, Accepted::Created);
    assert_eq!(stage.connection.broker().cancel(&id).await.expect("cancels"), CancelAnswer::Cancelled);
    assert_eq!(stage.enqueue(unique()).await.1, Accepted::Created);
    assert_eq!(stage.claim(stage.worker().await, 9).await.len(), 1);
    stage.lapse().await;
    assert_eq!(stage.enqueue(unique()).await.1, Accepted::Created, "the crashed one is dead");
    stage.advance(Duration::from_secs(101)).await;
    assert!(stage.claim(stage.worker().await, 9).await.is_empty());
    assert_eq!(stage.enqueue(unique()).await.1, Accepted::Created, "the expired one is gone");
}

/// A crash alone does not free the key: the task will run again.
pub async fn a_crashed_holder_still_holds(stage: Stage) {
    let unique = || stage.invocation(0).unique(Unique::key("k"));
    let (holder, _) = stage.enqueue(unique()).await;
    stage.claim_one(stage.worker().await).await;
    stage.lapse().await;
    assert_eq!(stage.enqueue(unique()).await.1, Accepted::Held(holder.key));
    let owner = stage.worker().await;
    let claimed = stage.claim_one(owner).await;
    stage.advance(limits::LEASE / 2).await;
    stage.succeed(owner, &claimed, 1).await;
    assert_eq!(stage.enqueue(unique()).await.1, Accepted::Created);
}

/// The same key in two queues is two keys.
pub async fn keys_are_per_queue(stage: Stage) {
    let other = stage.with_queue("other");
    assert_eq!(stage.enqueue(stage.invocation(0).unique(Unique::key("k"))).await.1, Accepted::Created);
    assert_eq!(other.enqueue(other.invocation(0).unique(Unique::key("k"))).await.1, Accepted::Created);
}

/// Two invocations of one batch with the same key: the first wins, or the last if it replaces.
pub async fn two_in_one_batch_conflict(stage: Stage) {
    let envelope = |unique| stage.envelope(stage.invocation(0).unique(unique));
    let skip = [envelope(Unique::key("a")), envelope(Unique::key("a"))];
    let holder = skip[0].id.key.clone();
    assert_eq!(stage.enqueue_all(&skip).await, [Accepted::Created, Accepted::Held(holder)]);
    let replace = [envelope(Unique::key("b").replace()), envelope(Unique::key("b").replace())];
    let replaced = replace[0].id.key.clone();
    assert_eq!(stage.enqueue_all(&replace).await, [Accepted::Created, Accepted::Replaced(replaced)]);
    let claimed = stage.claim(stage.worker().await, 9).await;
    let ids: Vec<_> = claimed.iter().map(|claimed| &claimed.envelope.id).collect();
    assert_eq!(ids, [&skip[0].id, &replace[1].id]);
}
