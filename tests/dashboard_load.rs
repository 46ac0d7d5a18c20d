//! The dashboard beside a Redis that is full: no page takes long, and none makes the server stand still.
//!
//! `TASKQ_LOAD=1000000` fills it with a million tasks and a tenth as many dead letters, which takes minutes.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use axum::{body::Body, extract::ConnectInfo, http::Request};
use taskq::{
    Connection, QueueName, WorkerId,
    dashboard::{self, Options},
    prelude::*,
};
use taskq_test_support::RedisServer;
use tower::ServiceExt;

/// Longest that a page may take, and longest that the server may work on one command.
const PAGE: Duration = Duration::from_millis(200);
const STALL_MICROS: &str = "5000";

/// Another program may have had the processor: what is really slow is so every time.
const ROUNDS: usize = 5;

const WORKERS: usize = 200;

#[task(queue = "graves", retry = Retry::fixed(Duration::from_secs(1)).attempts(1))]
fn lost(number: u64, why: String) -> Result<(), String> {
    Err(format!("{number} was lost: {why}"))
}

#[task(queue = "load")]
fn idle(number: u64, customer: String) {
    let _nobody_runs_it = (number, customer);
}

fn load() -> u64 {
    std::env::var("TASKQ_LOAD").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000)
}

async fn fill(connection: &Connection) {
    let client = connection.client();
    let tasks = (0..load())
        .map(|number| idle::with(number, format!("customer {}", number % 977)).tag(format!("tenant:{}", number % 50)));
    client.enqueue_all(tasks).await.expect("accepted");
    let graves = (0..load() / 10).map(|number| lost::with(number, "nobody was there".to_owned()));
    client.enqueue_all(graves).await.expect("accepted");
    let worker = Worker::builder(connection.clone()).queue("graves", 200).start().await.expect("starts");
    let queue = QueueName::new("graves").expect("valid");
    while connection.inspect().counts(&queue).await.expect("counts").dead < load() / 10 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    worker.drain();
    worker.ended().await;
    let queue = QueueName::new("load").expect("valid");
    assert_eq!(connection.inspect().counts(&queue).await.expect("counts").ready, load());
    for number in 0..WORKERS {
        report(connection, number).await;
    }
}

/// A worker of a larger program, busy.
async fn report(connection: &Connection, number: usize) {
    let now = connection.clock().now();
    let tasks: Vec<_> = (0..60).map(|task| format!("task_number_{task}")).collect();
    let running: Vec<_> = (0..16)
        .map(|task| serde_json::json!({"id": format!("load/{number}-{task}"), "task": "idle", "attempt": 1, "for_ms": 1_234}))
        .collect();
    let figures: serde_json::Map<_, _> = (0..20)
        .map(|queue| (format!("queue_{queue}"), serde_json::json!({"tasks": {"idle": {"started": 7, "succeeded": 5}}})))
        .collect();
    let report = serde_json::json!({
        "kind": "worker", "program": "shop", "version": "0.1.0", "host": format!("host-{number}"), "pid": number,
        "started_at": now, "sent_at": now, "lanes": [{"queues": ["load"], "slots": 16}], "tasks": tasks, "running": running,
        "running_count": 16, "figures": {"queues": figures},
    });
    let member = WorkerId::generate().into();
    connection.fleet().check_in(member, &report.to_string(), Duration::from_secs(600)).await.expect("reported");
}

async fn get(router: &axum::Router, path: &str) -> (Duration, String) {
    let request = Request::builder().uri(path).header("host", "127.0.0.1").body(Body::empty()).expect("valid");
    let mut request = request;
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 50_000))));
    let began = Instant::now();
    let response = router.clone().oneshot(request).await.expect("answers");
    assert_eq!(response.status(), 200, "{path}");
    let body = axum::body::to_bytes(response.into_body(), 16 << 20).await.expect("bounded");
    (began.elapsed(), String::from_utf8(body.into()).expect("UTF-8"))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_takes_long_and_none_stalls_the_server_however_full_it_is() {
    let server = RedisServer::start();
    let connection = taskq::connect(&server.url()).await.expect("connects");
    fill(&connection).await;
    server.command(&["CONFIG", "SET", "slowlog-log-slower-than", STALL_MICROS]);
    let dashboard = dashboard::new(connection, Options::new());
    let router = dashboard.router();

    let (_, dead) = get(&router, "/dead?queue=graves").await;
    let task = dead.split("href=\"/task?id=").nth(1).and_then(|rest| rest.split('"').next()).expect("a dead letter");
    let (_, ready) = get(&router, "/tasks?queue=load&state=ready").await;
    let waiting = ready.split("href=\"/task?id=").nth(1).and_then(|rest| rest.split('"').next()).expect("a task");
    let (_, workers) = get(&router, "/workers").await;
    let worker = workers.split("href=\"/worker?id=").nth(1).and_then(|rest| rest.split('"').next()).expect("a worker");
    let task = format!("/task?id={task}");
    let waiting = format!("/task?id={waiting}");
    let worker = format!("/worker?id={worker}");
    let pages = [
        "/",
        "/queues",
        "/queue?name=load",
        "/tasks?queue=load&state=ready",
        "/tasks?queue=load&state=ready&text=nothing-has-this",
        "/tasks?queue=load&state=ready&tag=tenant:49",
        "/dead?queue=graves",
        "/dead?queue=graves&text=nothing-has-this",
        &task,
        &waiting,
        "/workers",
        &worker,
        "/schedules",
        "/health",
    ];
    for path in pages {
        let mut best = (Duration::MAX, usize::MAX);
        for _ in 0..ROUNDS {
            server.command(&["SLOWLOG", "RESET"]);
            let (took, _) = get(&router, path).await;
            let stalls = server.command(&["SLOWLOG", "LEN"]).integer() as usize;
            best = (best.0.min(took), best.1.min(stalls));
        }
        println!("{:>8.1?}  {path}", best.0);
        assert!(best.0 <= PAGE, "{path} takes {:?} at best", best.0);
        assert_eq!(best.1, 0, "{path} makes the server work for over {STALL_MICROS} us on one command");
    }
    dashboard.close().await;
}
