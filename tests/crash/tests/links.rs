//! What networks do to a connection, done by a proxy between real processes and a real Redis.
//!
//! `TASKQ_HALF_OPEN_SECONDS` makes the silence longer: `TASKQ_HALF_OPEN_SECONDS=20 cargo test --release -p
//! taskq-crash-tests --test links -- --nocapture`.

use std::time::{Duration, Instant};

use taskq::{Client, TaskHandle};
use taskq_crash_tests::{LONG, Program, count, ending, executions, number, square};
use taskq_test_support::{Fault, FaultProxy, RedisServer, TempFolder};

const PROGRAM: Program = Program(env!("CARGO_BIN_EXE_crash-worker"));

/// A server, a proxy before it, and the way through the proxy.
struct Link {
    /// Dropped last: the proxy speaks to it.
    proxy: FaultProxy,
    server: RedisServer,
}

impl Link {
    fn start() -> Self {
        let server = RedisServer::start();
        Self { proxy: FaultProxy::start(server.port(), 7), server }
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.proxy.port())
    }
}

async fn client(url: &str) -> Client {
    taskq::connect(url).await.expect("opens").client().with_deadline(LONG)
}

async fn enqueue(client: &Client, numbers: std::ops::Range<u64>) -> Vec<TaskHandle<square>> {
    let mut handles = Vec::new();
    for number in numbers {
        handles.push(client.enqueue(square::with(number, 500)).await.expect("the deadline is long"));
    }
    handles
}

async fn all_succeed(handles: &[TaskHandle<square>], from: u64) {
    for (number, handle) in (from..).zip(handles) {
        assert_eq!(handle.wait(LONG).await.expect("none is lost"), number * number);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_open_link_is_left_and_work_goes_on_soon_after_the_heal() {
    let (link, folder) = (Link::start(), TempFolder::new());
    let direct = client(&link.server.url()).await;
    let worker = PROGRAM.worker(&link.url(), 8, folder.path());
    all_succeed(&enqueue(&direct, 0..50).await, 0).await;
    link.proxy.set(Fault::HalfOpen);
    // Longer than a lease: what the worker held is lost to it, and it does not know.
    let silence = Duration::from_secs(number("TASKQ_HALF_OPEN_SECONDS", 6));
    let meanwhile = enqueue(&direct, 50..100).await;
    tokio::time::sleep(silence).await;
    link.proxy.set(Fault::None);
    let healed = Instant::now();
    meanwhile[0].wait(LONG).await.expect("none is lost");
    let consuming = healed.elapsed();
    println!("half-open for {silence:?}: consuming again {consuming:?} after the heal");
    assert!(consuming < Duration::from_secs(5), "{consuming:?}");
    all_succeed(&meanwhile, 50).await;
    let tally = ending(&worker);
    assert_eq!((count(&tally, "retried"), count(&tally, "dead")), (0, 0), "{tally}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_double_nothing_and_lose_nothing() {
    let (link, folder) = (Link::start(), TempFolder::new());
    let workers = [(); 2].map(|()| PROGRAM.worker(&link.url(), 8, folder.path()));
    let client = client(&link.url()).await;
    link.proxy.set(Fault::DropReplies { in_thousand: 100 });
    let handles = enqueue(&client, 0..300).await;
    let direct = taskq::connect(&link.server.url()).await.expect("opens").client();
    for (number, handle) in (0u64..).zip(&handles) {
        let handle = direct.handle::<square>(handle.id());
        assert_eq!(handle.wait(LONG).await.expect("none is lost"), number * number);
    }
    link.proxy.set(Fault::None);
    let dropped = link.proxy.dropped();
    let tallies = workers.each_ref().map(ending);
    let executions = executions(folder.path());
    let twice = executions.values().filter(|count| **count > 1).count() as u64;
    let lapsed: u64 = tallies.iter().map(|tally| count(tally, "leases_lost")).sum();
    println!("{dropped} answers dropped: 300 tasks, 0 lost, {twice} ran twice, {lapsed} leases lost");
    assert!(dropped > 50, "{dropped} answers were dropped");
    assert_eq!(executions.len(), 300, "nothing else ran");
    assert!(twice == 0 || lapsed > 0, "{twice} ran twice and no lease was lost");
    for tally in &tallies {
        assert_eq!((count(tally, "retried"), count(tally, "dead")), (0, 0), "{tally}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_links_only_slow() {
    let (link, folder) = (Link::start(), TempFolder::new());
    let worker = PROGRAM.worker(&link.url(), 8, folder.path());
    let client = client(&link.url()).await;
    let late = Fault::Late { latency: Duration::from_millis(30), jitter: Duration::from_millis(60) };
    for (round, fault) in (0u64..).zip([late, Fault::ByteByByte, Fault::SlowReader { bytes_a_second: 20_000 }]) {
        link.proxy.set(fault);
        let from = round * 20;
        let handles = enqueue(&client, from..from + 20).await;
        all_succeed(&handles, from).await;
    }
    link.proxy.set(Fault::None);
    let tally = ending(&worker);
    assert_eq!((count(&tally, "leases_lost"), count(&tally, "retried")), (0, 0), "{tally}");
    assert!(executions(folder.path()).values().all(|count| *count == 1), "each ran once");
}
