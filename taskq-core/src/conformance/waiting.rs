//! Waiting: for the end of a task, and for work; woken at once, bounded always.

use std::time::Duration;

use tokio::task::JoinHandle;

use crate::{
    broker::{Claimed, Ending, Snapshot},
    conformance::{Stage, payload},
    id::{Owner, TaskId, TaskKey},
    state::{DeadReason, State},
};

/// Far longer than any of these tests may take.
const LONG: Duration = Duration::from_secs(600);

fn wait(stage: &Stage, id: &TaskId, bound: Duration) -> JoinHandle<Option<Snapshot>> {
    let (broker, id) = (stage.connection.broker().clone(), id.clone());
    tokio::spawn(async move { broker.wait(&id, bound).await.expect("waits") })
}

fn wait_for_work(stage: &Stage, owner: Owner, bound: Duration) -> JoinHandle<Vec<Claimed>> {
    let (broker, queue) = (stage.connection.broker().clone(), stage.queue.clone());
    tokio::spawn(async move { broker.work_arrived(&[(owner, queue)], bound).await.expect("waits") })
}

/// The result is in the caller's hands when the task ends, whether the wait began before or after.
pub async fn a_wait_ends_with_the_task(stage: Stage) {
    let id = stage.enqueue_one().await;
    let before = wait(&stage, &id, LONG);
    let owner = stage.worker().await;
    let claimed = stage.claim_one(owner).await;
    let during = wait(&stage, &id, LONG);
    stage.succeed(owner, &claimed, 5).await;
    let after = wait(&stage, &id, LONG);
    for waiting in [before, during, after] {
        let snapshot = stage.finish(waiting).await.expect("known");
        assert_eq!((snapshot.state, snapshot.result), (State::Succeeded, Some(payload(5))));
    }
}

/// A task that does not end leaves the caller with its present state.
pub async fn a_wait_ends_with_its_bound(stage: Stage) {
    let id = stage.enqueue_one().await;
    let waiting = wait(&stage, &id, Duration::from_millis(60));
    assert_eq!(stage.finish(waiting).await.expect("known").state, State::Ready);
}

/// Every kind of end wakes.
pub async fn a_wait_ends_on_cancel_expiry_and_death(stage: Stage) {
    let cancelled = stage.enqueue_one().await;
    let waiting = wait(&stage, &cancelled, LONG);
    stage.connection.broker().cancel(&cancelled).await.expect("cancels");
    assert_eq!(stage.finish(waiting).await.expect("known").state, State::Cancelled);

    let dead = stage.enqueue_one().await;
    let waiting = wait(&stage, &dead, LONG);
    let owner = stage.worker().await;
    let claimed = stage.claim_one(owner).await;
    stage.settle(owner, &claimed, Ending::Dead(DeadReason::Fatal)).await;
    assert_eq!(stage.finish(waiting).await.expect("known").state, State::Dead);

    let (expiring, _) = stage.enqueue(stage.invocation(0).expires_in(Duration::from_secs(2))).await;
    let waiting = wait(&stage, &expiring, LONG);
    assert_eq!(stage.finish(waiting).await.expect("known").state, State::Expired);
}

/// Nobody waits for what will never come.
pub async fn waiting_for_an_unknown_task_ends_at_once(stage: Stage) {
    let unknown = TaskId::new(stage.queue.clone(), TaskKey::generate());
    assert_eq!(stage.connection.broker().wait(&unknown, LONG).await.expect("answers"), None);
    let untracked = TaskId::new(stage.queue.clone(), TaskKey::generate_untracked());
    let snapshot = stage.connection.broker().wait(&untracked, LONG).await.expect("answers").expect("untracked");
    assert_eq!(snapshot.state, State::Untracked);
}

/// All who wait for a task are told.
pub async fn many_wait_for_one_task(stage: Stage) {
    let id = stage.enqueue_one().await;
    let another = stage.connection.open_another().await.expect("opens");
    let elsewhere = Stage { connection: another, ..stage.clone() };
    let waiting: Vec<_> =
        (0..10).map(|number| wait(if number % 2 == 0 { &stage } else { &elsewhere }, &id, LONG)).collect();
    let owner = stage.worker().await;
    let claimed = stage.claim_one(owner).await;
    stage.succeed(owner, &claimed, 5).await;
    for waiting in waiting {
        assert_eq!(stage.finish(waiting).await.expect("known").result, Some(payload(5)));
    }
}

/// A worker that found nothing is woken by the next enqueue, from another connection too.
pub async fn an_enqueue_wakes_an_idle_worker(stage: Stage) {
    let another = stage.connection.open_another().await.expect("opens");
    let elsewhere = Stage { connection: another, ..stage.clone() };
    let owner = stage.worker().await;
    for enqueuer in [&stage, &elsewhere] {
        assert!(stage.claim(owner, 1).await.is_empty());
        let waiting = wait_for_work(&stage, owner, LONG);
        enqueuer.enqueue_one().await;
        // Some brokers hand the task over with the ring, and answer it again in case nobody heard.
        let handed = waiting.await.expect("is woken without any time passing");
        let claimed = stage.claim(owner, 1).await;
        assert_eq!(claimed.len(), 1);
        assert!(handed.is_empty() || handed == claimed, "{handed:?} and {claimed:?}");
        assert!(stage.claim(owner, 1).await.is_empty());
    }
}

/// A worker without work waits no longer than it said.
pub async fn a_wait_for_work_ends_with_its_bound(stage: Stage) {
    let owner = stage.worker().await;
    assert!(stage.claim(owner, 1).await.is_empty());
    stage.finish(wait_for_work(&stage, owner, Duration::from_millis(60))).await;
}

/// What one worker gives back wakes another that waits.
pub async fn a_release_wakes_an_idle_worker(stage: Stage) {
    let (busy, idle) = (stage.worker().await, stage.worker().await);
    stage.enqueue_one().await;
    let claimed = stage.claim_one(busy).await;
    assert!(stage.claim(idle, 1).await.is_empty());
    let waiting = wait_for_work(&stage, idle, LONG);
    stage.settle(busy, &claimed, Ending::Released).await;
    waiting.await.expect("is woken without any time passing");
    assert_eq!(stage.claim(idle, 1).await.len(), 1);
}
