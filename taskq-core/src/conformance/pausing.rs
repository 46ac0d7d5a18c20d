//! Pausing a queue, and running now what waits for its time.

use std::time::Duration;

use crate::{
    broker::{Ending, Settled},
    conformance::Stage,
    state::State,
};

/// Nothing of a paused queue is handed out; what runs goes on, and others are not paused.
pub async fn a_paused_queue_hands_out_nothing(stage: Stage) {
    let control = stage.connection.control();
    let owner = stage.worker().await;
    let running = stage.enqueue_one().await;
    let claimed = stage.claim_one(owner).await;
    let waiting = stage.enqueue_one().await;
    assert!(control.pause(&stage.queue).await.expect("pauses"));
    assert!(!control.pause(&stage.queue).await.expect("answers"), "it was paused already");
    let accepted = stage.enqueue_one().await;
    assert_eq!(stage.claim(owner, 9).await.len(), 0);
    assert_eq!(stage.state(&waiting).await, Some(State::Ready));
    assert!(stage.beat(owner).await, "its lease lives on");
    let beats = [(owner, stage.queue.clone())];
    assert!(!stage.connection.broker().beat(&beats).await.expect("beats")[0].ready, "nobody shall come and claim");
    assert_eq!(stage.succeed(owner, &claimed, 1).await, Settled::Applied);
    assert_eq!(stage.state(&running).await, Some(State::Succeeded));
    let view = stage.connection.inspect().queue(&stage.queue).await.expect("looks");
    assert!(view.paused_at.is_some() && view.counts.ready == 2, "{view:?}");

    let other = stage.with_queue("other");
    let not_paused = other.enqueue_one().await;
    let there = other.worker().await;
    assert_eq!(other.claim_one(there).await.envelope.id, not_paused);

    assert!(control.resume(&stage.queue).await.expect("resumes"));
    assert!(!control.resume(&stage.queue).await.expect("answers"), "it was not paused");
    assert_eq!(stage.connection.inspect().queue(&stage.queue).await.expect("looks").paused_at, None);
    let claimed: Vec<_> = stage.claim(owner, 9).await.into_iter().map(|claimed| claimed.envelope.id.clone()).collect();
    assert_eq!(claimed, [waiting, accepted]);
}

/// A worker that waits is not woken while the queue is paused, and is when it is resumed.
pub async fn a_waiting_worker_hears_of_the_end_of_a_pause(stage: Stage) {
    let owner = stage.worker().await;
    stage.connection.control().pause(&stage.queue).await.expect("pauses");
    assert_eq!(stage.claim(owner, 1).await.len(), 0);
    let (broker, queue) = (stage.connection.broker().clone(), stage.queue.clone());
    let waits = tokio::spawn(async move { broker.work_arrived(&[(owner, queue)], Duration::from_secs(600)).await });
    // It stands in line before the task comes.
    while stage.connection.inspect().queue(&stage.queue).await.expect("looks").workers == 0 {
        tokio::task::yield_now().await;
    }
    let id = stage.enqueue_one().await;
    stage.enqueue(stage.invocation(1).delay(Duration::from_millis(500))).await;
    stage.advance(Duration::from_secs(1)).await;
    stage.beat(owner).await;
    assert_eq!(stage.claim(owner, 1).await.len(), 0);
    assert!(stage.connection.control().resume(&stage.queue).await.expect("resumes"));
    let brought = stage.finish(waits).await.expect("waits");
    let claimed = match brought.into_iter().next() {
        Some(claimed) => claimed,
        None => stage.claim_one(owner).await,
    };
    assert_eq!(claimed.envelope.id, id);
}

/// Handing back and sweeping go on in a paused queue, so nothing is held for ever.
pub async fn a_dead_workers_tasks_come_back_to_a_paused_queue(stage: Stage) {
    let id = stage.enqueue_one().await;
    let owner = stage.worker().await;
    stage.claim_one(owner).await;
    stage.connection.control().pause(&stage.queue).await.expect("pauses");
    stage.lapse().await;
    assert_eq!(stage.state(&id).await, Some(State::Ready));
    stage.connection.control().resume(&stage.queue).await.expect("resumes");
    let another = stage.worker().await;
    assert_eq!(stage.claim_one(another).await.envelope.id, id);
}

/// A scheduled or retrying task is made ready at once, and only once; nothing else is moved.
pub async fn a_waiting_task_can_be_run_now(stage: Stage) {
    let control = stage.connection.control();
    let (scheduled, _) = stage.enqueue(stage.invocation(0).delay(Duration::from_secs(3_600))).await;
    assert!(control.run_now(&scheduled).await.expect("moves"));
    assert!(!control.run_now(&scheduled).await.expect("answers"), "it is ready already");
    assert_eq!(stage.state(&scheduled).await, Some(State::Ready));
    let owner = stage.worker().await;
    let claimed = stage.claim_one(owner).await;
    assert_eq!(claimed.envelope.id, scheduled);
    assert!(!control.run_now(&scheduled).await.expect("answers"), "it runs");
    stage.settle(owner, &claimed, Ending::Retry(Duration::from_secs(3_600))).await;
    assert!(control.run_now(&scheduled).await.expect("moves"));
    let claimed = stage.claim_one(owner).await;
    assert_eq!(stage.succeed(owner, &claimed, 1).await, Settled::Applied);
    assert!(!control.run_now(&scheduled).await.expect("answers"), "it has ended");
    assert_eq!(stage.state(&scheduled).await, Some(State::Succeeded));
}

/// Whoever waits for work hears of a task that is run now.
pub async fn a_task_that_is_run_now_wakes_an_idle_worker(stage: Stage) {
    let (id, _) = stage.enqueue(stage.invocation(0).delay(Duration::from_secs(3_600))).await;
    let owner = stage.worker().await;
    assert_eq!(stage.claim(owner, 1).await.len(), 0);
    let (broker, queue) = (stage.connection.broker().clone(), stage.queue.clone());
    let waits = tokio::spawn(async move { broker.work_arrived(&[(owner, queue)], Duration::from_secs(600)).await });
    assert!(stage.connection.control().run_now(&id).await.expect("moves"));
    stage.finish(waits).await.expect("waits");
    assert_eq!(stage.claim_one(owner).await.envelope.id, id);
}
