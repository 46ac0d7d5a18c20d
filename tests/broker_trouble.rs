//! What a worker says of itself while its broker is in trouble, and that the trouble is never its tasks' trouble.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use taskq::{Readiness, WorkerHandle, prelude::*};
use taskq_test_support::{Fault, FaultProxy, RedisServer};
use tokio::sync::Notify;

/// The longest that anything here is awaited, on a machine that is busy with other tests.
const BOUND: Duration = Duration::from_secs(60);

static RUNS: AtomicU32 = AtomicU32::new(0);
static BEGUN: Notify = Notify::const_new();
static GO_ON: Notify = Notify::const_new();

#[task]
async fn noop() {}

/// Ends when the test says so.
#[task(retry = Retry::never())]
async fn held() -> u32 {
    BEGUN.notify_one();
    GO_ON.notified().await;
    RUNS.fetch_add(1, Ordering::SeqCst) + 1
}

#[task]
async fn talks(ctx: &Context) {
    ctx.log("one");
    ctx.log("two");
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < BOUND, "{what} did not happen");
        tokio::task::yield_now().await;
    }
}

fn complaint(worker: &WorkerHandle) -> Option<String> {
    match worker.readiness() {
        Readiness::Ready => None,
        Readiness::NotReady(why) => Some(why),
    }
}

/// A power loss takes the end of what a server has written, and with it the end of a task whose worker goes on.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_has_forgotten_to_have_ended_runs_again_though_its_worker_lives() {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    static FIRST: Notify = Notify::const_new();
    static SECOND: Notify = Notify::const_new();

    #[task(queue = "forgotten")]
    async fn first() -> u32 {
        if RUNS.fetch_add(1, Ordering::SeqCst) == 0 {
            FIRST.notified().await;
        }
        RUNS.load(Ordering::SeqCst)
    }

    /// Has the only slot while the server is away, so that no claim meets the trouble.
    #[task(queue = "forgotten")]
    async fn second() {
        RUNS.fetch_add(1, Ordering::SeqCst);
        SECOND.notified().await;
    }

    let mut server = RedisServer::start();
    let connection = taskq::connect(&server.url()).await.expect("opens");
    let worker = Worker::builder(connection.clone()).queue("forgotten", 1).lease(Duration::from_secs(30));
    let worker = worker.tasks(taskq::tasks![first, second]).start().await.expect("starts");
    let client = connection.client();
    let forgotten = client.enqueue(first::with()).await.expect("enqueues");
    until("the first run", || RUNS.load(Ordering::SeqCst) == 1).await;
    server.command(&["SAVE"]);
    FIRST.notify_one();
    assert_eq!(forgotten.wait(BOUND).await.expect("ends"), 1);
    client.enqueue(second::with()).await.expect("enqueues");
    until("the second one", || RUNS.load(Ordering::SeqCst) == 2).await;

    server.kill();
    server.restart();
    assert_eq!(forgotten.state().await.expect("answers"), Some(State::Running), "as far as the server knows");
    SECOND.notify_one();
    // Long before the worker would look for work by itself, and before any lease ends.
    assert_eq!(forgotten.wait(Duration::from_secs(15)).await.expect("ends again"), 3);
    worker.drain();
    assert_eq!(worker.ended().await.claimed, 3);
}

#[tokio::test]
async fn a_worker_that_cannot_claim_is_not_ready_says_why_and_is_ready_again_after_the_heal() {
    let server = RedisServer::start();
    let proxy = FaultProxy::start(server.port(), 1);
    let url = format!("redis://127.0.0.1:{}", proxy.port());
    let connection = taskq::connect(&url).await.expect("opens");
    let worker = Worker::builder(connection.clone()).queue("default", 2).lease(Duration::from_secs(2));
    let worker = worker.tasks(taskq::tasks![noop]).start().await.expect("starts");
    assert_eq!(worker.readiness(), Readiness::Ready);
    for fault in [Fault::Refuse, Fault::HalfOpen] {
        proxy.set(fault);
        if fault == Fault::Refuse {
            proxy.cut();
        }
        until("the complaint", || complaint(&worker).is_some()).await;
        let why = complaint(&worker).unwrap_or_default();
        assert!(why.contains("heartbeat") || why.contains("claim"), "{why}");
        proxy.set(Fault::None);
        until("the recovery", || worker.readiness().is_ready()).await;
        let client = connection.client().with_deadline(BOUND);
        client.enqueue(noop::with()).await.expect("enqueues").wait(BOUND).await.expect("runs");
    }
    worker.drain();
    assert_eq!(complaint(&worker).expect("it ends"), "the worker is ending");
    worker.ended().await;
}

#[tokio::test]
async fn rights_that_are_taken_away_while_a_body_runs_cost_no_result_and_no_attempt() {
    let server = RedisServer::builder().user("shop", "pw", "~* &* +@all").start();
    let connection = taskq::connect(&server.url()).await.expect("opens");
    let worker = Worker::builder(connection.clone()).queue("default", 2).tasks(taskq::tasks![held]);
    let worker = worker.start().await.expect("starts");
    let handle = connection.client().enqueue(held::with()).await.expect("enqueues");
    BEGUN.notified().await;
    server.command(&["ACL", "SETUSER", "shop", "-eval", "-evalsha"]);
    let errors = worker.tally().broker_errors;
    GO_ON.notify_one();
    until("a refused settlement", || RUNS.load(Ordering::SeqCst) == 1 && worker.tally().broker_errors > errors + 1)
        .await;
    server.command(&["ACL", "SETUSER", "shop", "+eval", "+evalsha"]);
    let patient = connection.client().with_deadline(BOUND);
    assert_eq!(patient.handle::<held>(handle.id()).wait(BOUND).await.expect("succeeds"), 1);
    worker.drain();
    let tally = worker.ended().await;
    assert_eq!((tally.retried, tally.dead, RUNS.load(Ordering::SeqCst)), (0, 0, 1), "{tally:?}");
}

/// What is lost is counted, and is no trouble of the task.
#[tokio::test]
async fn a_broker_that_takes_no_log_lines_fails_no_task() {
    let server = RedisServer::builder().user("shop", "pw", "~* &* +@all -lindex").start();
    let connection = taskq::connect(&server.url()).await.expect("opens");
    let worker = Worker::builder(connection.clone()).queue("default", 2).tasks(taskq::tasks![talks]);
    let worker = worker.start().await.expect("starts");
    let handle = connection.client().enqueue(talks::with()).await.expect("enqueues");
    handle.wait(BOUND).await.expect("succeeds");
    until("the count", || worker.tally().log_lines_lost == 2).await;
    assert_eq!(worker.readiness(), Readiness::Ready);
    server.command(&["ACL", "SETUSER", "shop", "+lindex"]);
    let handle = connection.client().enqueue(talks::with()).await.expect("enqueues");
    handle.wait(BOUND).await.expect("succeeds");
    worker.drain();
    let tally = worker.ended().await;
    assert_eq!((tally.log_lines_lost, tally.succeeded, tally.retried), (2, 2, 0));
    assert_eq!(handle.log_lines().await.expect("answers").len(), 2);
}
