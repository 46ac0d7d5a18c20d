//! What a process counts: the figures of a worker and of the clients beside it, in simulated time.

use std::time::Duration;

use taskq::{Figures, figures::TaskFigures, prelude::*, testing::TestQueue};

#[task(queue = "work")]
async fn takes(ctx: &Context, seconds: u64) -> u64 {
    ctx.sleep(Duration::from_secs(seconds)).await;
    seconds
}

#[task(queue = "work")]
async fn at_once(number: u64) -> u64 {
    number
}

#[task(queue = "work", retry = Retry::fixed(Duration::from_secs(10)).attempts(2))]
async fn fails() -> TaskResult<()> {
    Err("always".into())
}

#[task(queue = "work", retry = Retry::never())]
async fn panics() {
    panic!("as told")
}

#[task(queue = "work", retry = Retry::never(), timeout = Duration::from_secs(30))]
async fn hangs() {
    std::future::pending().await
}

#[task(queue = "work")]
async fn snoozes(ctx: &Context<()>) -> TaskResult<()> {
    match ctx.headers().contains_key("done") {
        true => Ok(()),
        false => Err(TaskError::snooze(Duration::from_secs(3_600))),
    }
}

fn of_name(figures: &Figures, name: &str) -> TaskFigures {
    figures.queue("work").and_then(|queue| queue.tasks.get(name)).cloned().unwrap_or_default()
}

#[tokio::test]
async fn every_end_of_an_attempt_is_counted_under_its_task() {
    let queue = TestQueue::start().await.expect("starts");
    let client = queue.client();
    client.enqueue_all((0..500).map(at_once::with)).await.expect("enqueues");
    client.enqueue(fails::with()).await.expect("enqueues");
    client.enqueue(panics::with()).await.expect("enqueues");
    client.enqueue(hangs::with()).await.expect("enqueues");
    client.enqueue(snoozes::with()).await.expect("enqueues");
    let cancelled = client.enqueue(takes::with(1_000)).await.expect("enqueues");
    queue.advance(Duration::from_secs(1)).await;
    let figures = queue.worker().figures();
    assert_eq!(of_name(&figures, "hangs").started, 1, "what runs has started");
    assert_eq!(figures.lanes["work"].busy, 2);
    cancelled.cancel().await.expect("is asked for");
    queue.advance(Duration::from_secs(100)).await;

    let figures = queue.worker().figures();
    let good = of_name(&figures, "at_once");
    assert_eq!((good.started, good.succeeded, good.settled(), good.run.count()), (500, 500, 500, 500));
    let failed = of_name(&figures, "fails");
    assert_eq!((failed.started, failed.retried, failed.dead), (2, 1, 1));
    assert_eq!((of_name(&figures, "panics").panicked, of_name(&figures, "panics").dead), (1, 1));
    let hung = of_name(&figures, "hangs");
    assert_eq!((hung.timed_out, hung.dead, hung.run.sum()), (1, 1, Duration::from_secs(30)));
    assert_eq!(of_name(&figures, "snoozes").put_off, 1);
    assert_eq!(of_name(&figures, "takes").cancelled, 1);
    let total = figures.queue("work").expect("serves it").total();
    assert_eq!((total.started, total.settled()), (506, 506));
    let work = figures.queue("work").expect("serves it");
    assert_eq!(work.settles.tasks.sum(), 506);
    assert_eq!(work.claims.tasks.sum(), 506);
    assert_eq!((work.fenced, work.redelivered, figures.broker_errors), (0, 0, 0));
    assert_eq!(figures.lanes["work"].busy, 0);
    let clients = queue.connection().figures();
    assert_eq!(clients.queue("work").expect("enqueued").enqueued, 505);

    let tally = queue.drain().await;
    assert_eq!((tally.claimed, tally.succeeded, tally.dead), (506, 500, 3), "the tally agrees");
}

#[tokio::test]
async fn a_queue_time_counts_from_when_a_task_was_due() {
    let queue = TestQueue::start_with(|worker| worker.queue("work", 1)).await.expect("starts");
    let client = queue.client();
    let waits = async || of_name(&queue.worker().figures(), "takes").wait;
    client.enqueue(takes::with(20)).await.expect("enqueues");
    queue.advance(Duration::from_secs(5)).await;
    assert_eq!(waits().await.sum(), Duration::ZERO, "a slot was free");
    // The only slot is taken for 15 seconds more.
    client.enqueue(takes::with(1)).await.expect("enqueues");
    queue.advance(Duration::from_secs(100)).await;
    assert_eq!((waits().await.count(), waits().await.sum()), (2, Duration::from_secs(15)));
    // What is delayed does not wait before it is due, even under an id of its own.
    client.enqueue(takes::with(1).delay(Duration::from_secs(3_600))).await.expect("enqueues");
    client.enqueue(takes::with(1).id("mine").delay(Duration::from_secs(7_200))).await.expect("enqueues");
    queue.advance(Duration::from_secs(10_000)).await;
    assert_eq!((waits().await.count(), waits().await.sum()), (4, Duration::from_secs(15)));
    // Nor does what waits for its next attempt.
    client.enqueue(fails::with()).await.expect("enqueues");
    queue.advance(Duration::from_secs(100)).await;
    let failed = of_name(&queue.worker().figures(), "fails").wait;
    assert_eq!((failed.count(), failed.sum()), (2, Duration::ZERO));
    // A dead letter that is replayed is due from then on.
    let dead = queue.dead_letters().await.remove(0);
    assert!(queue.connection().control().replay(&dead.id).await.expect("answers"));
    queue.advance(Duration::from_secs(5)).await;
    let failed = of_name(&queue.worker().figures(), "fails");
    assert_eq!((failed.started, failed.wait.count(), failed.wait.sum()), (3, 3, Duration::ZERO));
    queue.drain().await;
}

#[tokio::test]
async fn ten_thousand_foreign_names_are_counted_together() {
    let queue = TestQueue::start_with(|worker| worker.queue("work", 50)).await.expect("starts");
    let nothing = serde_json::json!({});
    let foreign = |number: u32| taskq::Invocation::named(&format!("foreign-{number}"), &nothing).queue("work");
    queue.client().enqueue_all((0..10_000).map(foreign)).await.expect("enqueues");
    queue.client().enqueue(at_once::with(1)).await.expect("enqueues");
    queue.advance(Duration::from_secs(1)).await;
    let figures = queue.worker().figures().without_idle_tasks();
    let names: Vec<_> = figures.queue("work").expect("serves it").tasks.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["at_once", "other"]);
    assert_eq!(of_name(&figures, "other").put_off, 10_000);
    assert!(figures.encode().len() < 4_000, "{}", figures.encode().len());
    queue.drain().await;
}

#[tokio::test]
async fn what_was_running_when_a_worker_ended_was_released() {
    let queue =
        TestQueue::start_with(|worker| worker.queue("work", 5).drain(Duration::from_secs(2))).await.expect("starts");
    let handle = queue.client().enqueue(takes::with(1_000)).await.expect("enqueues");
    queue.advance(Duration::from_secs(1)).await;
    let pulse = queue.worker().pulse();
    queue.drain().await;
    let figures = pulse.figures();
    let taken = of_name(&figures, "takes");
    assert_eq!((taken.started, taken.released, taken.settled()), (1, 1, 1));
    assert_eq!(handle.state().await.expect("answers"), Some(State::Ready));
}
