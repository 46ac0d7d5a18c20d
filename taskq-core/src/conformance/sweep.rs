//! Sweeping: bounded work a call, and the living are spared.

use std::time::Duration;

use crate::{broker::Settled, conformance::Stage, limits, state::State};

/// Many tasks of a dead worker come back in bounded steps.
pub async fn a_sweep_is_bounded_and_says_when_more_is_left(stage: Stage) {
    let envelopes: Vec<_> = (0..25).map(|number| stage.envelope(stage.invocation(number))).collect();
    stage.enqueue_all(&envelopes).await;
    assert_eq!(stage.claim(stage.worker().await, 25).await.len(), 25);
    stage.advance(limits::LEASE + Duration::from_millis(1)).await;
    let mut reclaimed = Vec::new();
    loop {
        let answer = stage.connection.broker().sweep(&stage.queue, 10).await.expect("sweeps");
        reclaimed.push(answer.reclaimed);
        if !answer.more {
            break;
        }
    }
    assert!(reclaimed.iter().all(|count| *count <= 10), "{reclaimed:?}");
    assert_eq!(reclaimed.iter().sum::<usize>(), 25);
    assert_eq!(stage.claim(stage.worker().await, 99).await.len(), 25);
}

/// Due tasks become ready though no worker claims.
pub async fn a_sweep_promotes_due_tasks(stage: Stage) {
    let (id, _) = stage.enqueue(stage.invocation(0).delay(Duration::from_secs(1))).await;
    stage.advance(Duration::from_secs(1)).await;
    let answer = stage.connection.broker().sweep(&stage.queue, 10).await.expect("sweeps");
    assert_eq!(answer.due, 1);
    assert_eq!(stage.state(&id).await, Some(State::Ready));
}

/// A sweep takes nothing from a worker whose lease lives.
pub async fn a_sweep_spares_the_living(stage: Stage) {
    stage.enqueue_one().await;
    let owner = stage.worker().await;
    let claimed = stage.claim_one(owner).await;
    stage.advance(limits::LEASE - Duration::from_secs(2)).await;
    let answer = stage.connection.broker().sweep(&stage.queue, 10).await.expect("sweeps");
    assert_eq!((answer.reclaimed, answer.buried), (0, 0));
    assert_eq!(stage.succeed(owner, &claimed, 1).await, Settled::Applied);
}
