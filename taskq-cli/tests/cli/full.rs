//! Commands and pages beside a Redis that is full: none takes long, and none makes the server stand still.
//!
//! `TASKQ_LOAD=1000000` fills it with a million tasks and a tenth as many dead letters, which takes minutes.

use std::{
    net::SocketAddr,
    process::Command,
    time::{Duration, Instant},
};

use axum::{body::Body, extract::ConnectInfo, http::Request};
use taskq::{
    Connection, State, WorkerId,
    dashboard::{self, Options},
    prelude::*,
};
use taskq_test_support::{ProgramRun, RedisServer};
use tower::ServiceExt;

/// Longest that an answer may take: of a command with the start of its process and its connection.
const ANSWER: Duration = Duration::from_millis(200);

/// Longest that a grave is waited for.
const LONG: Duration = Duration::from_secs(600);

/// Longest that the server may work on one command, in microseconds.
const STALL: &str = "5000";

/// Another program may have had the processor: what is really slow is so every time.
const ROUNDS: usize = 5;

const WORKERS: usize = 200;

#[task(queue = "graves", retry = Retry::fixed(Duration::from_secs(1)).attempts(1))]
fn bury(number: u64, why: String) -> Result<(), String> {
    Err(format!("{number} was lost: {why}"))
}

#[task(queue = "load")]
fn wait_for_ever(number: u64, customer: String) {
    let _nobody_runs_it = (number, customer);
}

fn load() -> u64 {
    std::env::var("TASKQ_LOAD").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000)
}

/// Fills it; answers the id of a task in the middle of the line.
async fn fill(connection: &Connection) -> String {
    let client = connection.client();
    let tasks = (0..load()).map(|number| {
        wait_for_ever::with(number, format!("customer {}", number % 977)).tag(format!("tenant:{}", number % 50))
    });
    let handles = client.enqueue_all(tasks).await.expect("accepted");
    let graves = (0..load() / 10).map(|number| bury::with(number, "nobody was there".to_owned()));
    let graves = client.enqueue_all(graves).await.expect("accepted");
    let worker = Worker::builder(connection.clone()).queue("graves", 200).start().await.expect("starts");
    for grave in &graves {
        let ended = connection.broker().wait(grave.id(), LONG).await.expect("waits").expect("is known");
        assert_eq!(ended.state, State::Dead);
    }
    worker.drain();
    worker.ended().await;
    for number in 0..WORKERS {
        report(connection, number).await;
    }
    handles[handles.len() / 2].id().to_string()
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

/// A Redis that is full, with its slow log for what takes too long.
async fn full() -> (RedisServer, Connection, String) {
    let server = RedisServer::start();
    let connection = taskq::connect(&server.url()).await.expect("connects");
    let waiting = fill(&connection).await;
    server.command(&["CONFIG", "SET", "slowlog-log-slower-than", STALL]);
    (server, connection, waiting)
}

/// Does it a few times: the best of them takes no longer than it may, and the server works on nothing for long.
async fn measure(server: &RedisServer, what: &str, mut once: impl AsyncFnMut() -> Duration) {
    let mut best = (Duration::MAX, usize::MAX);
    for _ in 0..ROUNDS {
        server.command(&["SLOWLOG", "RESET"]);
        let took = once().await;
        let stalls = server.command(&["SLOWLOG", "LEN"]).integer() as usize;
        best = (best.0.min(took), best.1.min(stalls));
    }
    println!("{:>8.1?}  {what}", best.0);
    assert!(best.0 <= ANSWER, "{what} takes {:?} at best", best.0);
    assert_eq!(best.1, 0, "{what} makes the server work for over {STALL} us on one command");
}

/// Pages and commands in one test, since filling takes longest.
#[tokio::test(flavor = "multi_thread")]
async fn no_command_or_page_takes_long_and_none_stalls_the_server_however_full_it_is() {
    let (server, connection, waiting) = full().await;
    commands(&server, &connection, &waiting).await;
    pages(&server, connection).await;
}

async fn commands(server: &RedisServer, connection: &Connection, waiting: &str) {
    let worker = connection.fleet().members(None, 1).await.expect("lists")[0].id.to_string();
    let run = |arguments: &[&str]| {
        ProgramRun::of(Command::new(env!("CARGO_BIN_EXE_taskq")).args(["--url", &server.url()]).args(arguments))
    };
    for arguments in [
        &["status"][..],
        &["queues"],
        &["tasks", "list"],
        &["tasks", "list", "--queue", "load", "--state", "ready", "--limit", "200"],
        &["tasks", "list", "--queue", "load", "--tag", "tenant:49"],
        &["tasks", "list", "--queue", "load", "--text", "nothing has this"],
        &["tasks", "show", waiting],
        &["why", waiting],
        &["dead", "list"],
        &["dead", "list", "--text", "nothing has this"],
        &["workers"],
        &["workers", "--json"],
        &["workers", "show", &worker],
        &["schedule", "list"],
        &["health"],
        &["events"],
        &["top", "--once"],
        &["doctor"],
    ] {
        let once = async || {
            let begun = Instant::now();
            let output = run(arguments);
            let took = begun.elapsed();
            // The doctor finds a server without append-only file, which is bad.
            assert!(output.status.success() || arguments == ["doctor"], "{arguments:?}: {}", output.text());
            took
        };
        measure(server, &arguments.join(" "), once).await;
    }
    let found = run(&["tasks", "show", waiting]).succeeded();
    assert!(found.contains("customer"), "a task in the middle of the line is found with its arguments: {found}");
}

async fn pages(server: &RedisServer, connection: Connection) {
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
        measure(server, path, async || get(&router, path).await.0).await;
    }
    dashboard.close().await;
}
