//! Fencing: a write counts only from the present holder, under the present token, with a living lease.

use std::time::Duration;

use crate::{
    broker::{Ending, Settled, Settlement},
    conformance::{Stage, payload},
    limits,
    state::{DeadReason, State},
};

/// Every kind of ending, for trying each as a stale write.
fn endings() -> Vec<Ending> {
    vec![
        Ending::Succeeded(payload(666)),
        Ending::Retry(Duration::from_secs(1)),
        Ending::Dead(DeadReason::Fatal),
        Ending::Cancelled,
        Ending::Released,
    ]
}

/// A worker that lost its lease, and whose task another one runs now, changes nothing, whatever it writes.
pub async fn a_stale_settlement_changes_nothing(stage: Stage) {
    let id = stage.enqueue_one().await;
    let stale = stage.worker().await;
    let first = stage.claim_one(stale).await;
    stage.lapse().await;
    let living = stage.worker().await;
    let second = stage.claim_one(living).await;
    assert!(second.token > first.token, "tokens only grow");
    for ending in endings() {
        assert_eq!(stage.settle(stale, &first, ending).await, Settled::Fenced);
        assert_eq!(stage.state(&id).await, Some(State::Running));
    }
    assert_eq!(stage.succeed(living, &second, 1).await, Settled::Applied);
    for ending in endings() {
        assert_eq!(stage.settle(stale, &first, ending).await, Settled::Fenced);
    }
    let snapshot = stage.find(&id).await.expect("kept");
    assert_eq!((snapshot.state, snapshot.result), (State::Succeeded, Some(payload(1))));
}

/// The right token from the wrong worker is refused.
pub async fn another_worker_cannot_settle(stage: Stage) {
    let id = stage.enqueue_one().await;
    let (holder, other) = (stage.worker().await, stage.worker().await);
    let claimed = stage.claim_one(holder).await;
    for ending in endings() {
        assert_eq!(stage.settle(other, &claimed, ending).await, Settled::Fenced);
    }
    assert_eq!(stage.state(&id).await, Some(State::Running));
    assert_eq!(stage.succeed(holder, &claimed, 1).await, Settled::Applied);
}

/// The broker's clock alone ends a lease; nobody has to have noticed.
pub async fn a_lapsed_lease_settles_nothing_even_before_a_sweep(stage: Stage) {
    let id = stage.enqueue_one().await;
    let owner = stage.worker().await;
    let claimed = stage.claim_one(owner).await;
    stage.advance(limits::LEASE + Duration::from_millis(1)).await;
    for ending in endings() {
        assert_eq!(stage.settle(owner, &claimed, ending).await, Settled::Fenced);
    }
    stage.sweep().await;
    assert_eq!(stage.state(&id).await, Some(State::Ready));
}

/// An attempt that was already ended cannot be ended again after the same worker got the task anew.
pub async fn the_same_worker_cannot_settle_an_older_delivery(stage: Stage) {
    stage.enqueue_one().await;
    let owner = stage.worker().await;
    let first = stage.claim_one(owner).await;
    assert_eq!(stage.settle(owner, &first, Ending::Released).await, Settled::Applied);
    let second = stage.claim_one(owner).await;
    assert_eq!(stage.succeed(owner, &first, 666).await, Settled::Fenced);
    assert_eq!(stage.succeed(owner, &second, 1).await, Settled::Applied);
}

/// One stale settlement in a batch does not spoil the others.
pub async fn a_mixed_batch_is_judged_one_by_one(stage: Stage) {
    let envelopes: Vec<_> = (0..6).map(|number| stage.envelope(stage.invocation(number))).collect();
    stage.enqueue_all(&envelopes).await;
    let owner = stage.worker().await;
    let claimed = stage.claim(owner, 6).await;
    stage.succeed(owner, &claimed[2], 0).await;
    stage.settle(owner, &claimed[4], Ending::Retry(Duration::ZERO)).await;
    let again = stage.claim_one(owner).await;
    assert_eq!(again.envelope.id, claimed[4].envelope.id);
    let settlements: Vec<_> = claimed
        .iter()
        .map(|claimed| Settlement {
            token: claimed.token,
            envelope: claimed.envelope.clone(),
            ending: Ending::Succeeded(payload(1)),
        })
        .collect();
    let settled = stage.connection.broker().settle(owner, &stage.queue, &settlements).await.expect("settles");
    let applied: Vec<_> = settled.iter().map(|settled| *settled == Settled::Applied).collect();
    // The third was settled before under the same token: that is a repetition and no stale write.
    assert_eq!(applied, [true, true, true, true, false, true]);
    assert_eq!(stage.find(&claimed[2].envelope.id).await.expect("kept").result, Some(payload(0)));
    assert_eq!(stage.state(&claimed[4].envelope.id).await, Some(State::Running));
}

/// A settlement repeated after its answer was lost is told that it counted.
pub async fn a_repeated_settlement_of_a_success_is_applied(stage: Stage) {
    let id = stage.enqueue_one().await;
    let owner = stage.worker().await;
    let claimed = stage.claim_one(owner).await;
    assert_eq!(stage.succeed(owner, &claimed, 1).await, Settled::Applied);
    assert_eq!(stage.succeed(owner, &claimed, 2).await, Settled::Applied);
    assert_eq!(stage.find(&id).await.expect("kept").result, Some(payload(1)));
}

/// A worker whose id comes again, with the very term of its former self, holds nothing of what that one held: the number of
/// each hand-out tells them apart.
pub async fn a_reused_worker_id_ends_nothing_of_its_former_self(stage: Stage) {
    let id = stage.enqueue_one().await;
    let owner = stage.worker().await;
    let former = stage.claim_one(owner).await;
    stage.lapse().await;
    stage.connection.broker().join(owner, &stage.queue, limits::LEASE).await.expect("its former lease is forgotten");
    let present = stage.claim_one(owner).await;
    assert!(present.token > former.token, "tokens only grow");
    for ending in endings() {
        assert_eq!(stage.settle(owner, &former, ending).await, Settled::Fenced);
        assert_eq!(stage.state(&id).await, Some(State::Running));
    }
    assert_eq!(stage.succeed(owner, &present, 1).await, Settled::Applied);
}
