//! Claiming: every ready task is handed out once, whole and in order.

use std::collections::HashSet;

use crate::{
    conformance::Stage,
    envelope::Envelope,
    error::ErrorKind,
    id::{Owner, WorkerId},
    invocation::Unique,
    limits,
    retry::Retry,
    state::State,
};

/// What a worker claims is what the client enqueued.
pub async fn tasks_come_out_as_they_went_in(stage: Stage) {
    let invocation = stage
        .invocation(7)
        .priority(3)
        .timeout(std::time::Duration::from_secs(9))
        .retry(Retry::never())
        .header("traceparent", "00-ab")
        .unique(Unique::key("only \u{0} one é"))
        .max_deliveries(5);
    let envelope = stage.envelope(invocation);
    stage.enqueue_all(std::slice::from_ref(&envelope)).await;
    let claimed = stage.claim_one(stage.worker().await).await;
    assert_eq!(claimed.deliveries, 1);
    let mut got = Envelope::clone(&claimed.envelope);
    got.enqueued_at = None;
    got.expiry = None;
    assert_eq!(got, envelope);
}

/// Within one priority, the oldest task is handed out first.
pub async fn first_in_is_first_out(stage: Stage) {
    let envelopes: Vec<_> = (0..10).map(|number| stage.envelope(stage.invocation(number))).collect();
    stage.enqueue_all(&envelopes[..4]).await;
    stage.enqueue_all(&envelopes[4..]).await;
    let claimed = stage.claim(stage.worker().await, 10).await;
    let got: Vec<_> = claimed.iter().map(|claimed| &claimed.envelope.id).collect();
    assert_eq!(got, envelopes.iter().map(|envelope| &envelope.id).collect::<Vec<_>>());
}

/// However many workers claim at once, each task goes to one of them.
pub async fn no_task_is_handed_out_twice(stage: Stage) {
    let envelopes: Vec<_> = (0..200).map(|number| stage.envelope(stage.invocation(number))).collect();
    stage.enqueue_all(&envelopes).await;
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let stage = stage.clone();
            tokio::spawn(async move {
                let owner = stage.worker().await;
                let mut keys = Vec::new();
                loop {
                    let claimed = stage.claim(owner, 7).await;
                    if claimed.is_empty() {
                        return keys;
                    }
                    keys.extend(claimed.into_iter().map(|claimed| claimed.envelope.id.key.clone()));
                }
            })
        })
        .collect();
    let mut keys = Vec::new();
    for worker in workers {
        keys.extend(worker.await.expect("claims"));
    }
    assert_eq!(keys.len(), 200);
    assert_eq!(keys.into_iter().collect::<HashSet<_>>().len(), 200);
}

/// A worker of one queue gets nothing of another.
pub async fn queues_do_not_mix(stage: Stage) {
    let other = stage.with_queue("other.queue_1-b");
    let id = other.enqueue_one().await;
    assert!(stage.claim(stage.worker().await, 10).await.is_empty());
    assert_eq!(other.claim_one(other.worker().await).await.envelope.id, id);
}

/// A claim never exceeds what was asked for, nor the batch limit.
pub async fn a_claim_takes_no_more_than_asked(stage: Stage) {
    let envelopes: Vec<_> = (0..200).map(|number| stage.envelope(stage.invocation(number))).collect();
    stage.enqueue_all(&envelopes).await;
    stage.enqueue_all(&(0..100).map(|number| stage.envelope(stage.invocation(number))).collect::<Vec<_>>()).await;
    let owner = stage.worker().await;
    assert_eq!(stage.claim(owner, 3).await.len(), 3);
    assert_eq!(stage.claim(owner, 10_000).await.len(), limits::CLAIM_BATCH);
    assert_eq!(stage.claim(owner, 200).await.len(), 97);
}

/// A worker that never joined gets nothing.
pub async fn claiming_without_a_lease_is_fenced(stage: Stage) {
    let id = stage.enqueue_one().await;
    let stranger = Owner { worker: WorkerId::generate(), term: 0 };
    let error =
        stage.connection.broker().claim(stranger, &stage.queue, 1, stage.next_claim()).await.expect_err("has no lease");
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert_eq!(stage.claim_one(stage.worker().await).await.envelope.id, id);
}

/// A claim whose answer was lost is found again, under the same token.
pub async fn a_worker_finds_what_it_holds(stage: Stage) {
    stage.enqueue_one().await;
    let owner = stage.worker().await;
    let claimed = stage.claim_one(owner).await;
    let broker = stage.connection.broker();
    assert_eq!(
        broker.held(owner, &stage.queue, stage.next_claim()).await.expect("lists"),
        std::slice::from_ref(&claimed)
    );
    stage.succeed(owner, &claimed, 1).await;
    assert!(broker.held(owner, &stage.queue, stage.next_claim()).await.expect("lists").is_empty());
    // What it held before its lease lapsed runs elsewhere, even if no sweep has seen to that yet.
    stage.enqueue_one().await;
    stage.claim_one(owner).await;
    stage.advance(limits::LEASE + std::time::Duration::from_millis(1)).await;
    let error = broker.held(owner, &stage.queue, stage.next_claim()).await.expect_err("has no lease");
    assert_eq!(error.kind(), ErrorKind::Fenced);
}

/// A claim on a connection that was given up may arrive after its worker has looked for what it holds.
pub async fn a_claim_that_comes_late_hands_out_nothing(stage: Stage) {
    let id = stage.enqueue_one().await;
    let (owner, other) = (stage.worker().await, stage.worker().await);
    let broker = stage.connection.broker();
    let (late, last) = (stage.next_claim(), stage.next_claim());
    assert!(broker.held(owner, &stage.queue, last).await.expect("lists").is_empty());
    for number in [late, last] {
        let error = broker.claim(owner, &stage.queue, 1, number).await.expect_err("nobody waits for it");
        assert_eq!(error.kind(), ErrorKind::Fenced);
    }
    assert_eq!(stage.state(&id).await, Some(State::Ready));
    // The worker's lease lives on, others are not concerned, and neither is its next claim.
    assert!(stage.beat(owner).await);
    assert_eq!(stage.claim(other, 1).await.len(), 1);
    stage.enqueue_one().await;
    assert_eq!(stage.claim(owner, 1).await.len(), 1);
}
