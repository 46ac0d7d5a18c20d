//! Commands and pages beside a broker that is full: none takes long, and none makes the broker stand still.
//!
//! `TASKQ_LOAD=1000000` fills it with a million tasks that are queued, a tenth as many dead letters, and a twentieth as many
//! each that are scheduled, retrying and finished with a result, which takes minutes.

use std::{
    net::SocketAddr,
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{body::Body, extract::ConnectInfo, http::Request};
use taskq::{
    Connection, State, WorkerHandle, WorkerId,
    dashboard::{self, Options},
    prelude::*,
};
use taskq_test_support::{ProgramRun, RedisServer, TempFolder};
use tokio::task::JoinHandle;
use tower::ServiceExt;

/// Longest that an answer may take: of a command with the start of its process and its connection.
const ANSWER: Duration = Duration::from_millis(200);

/// Longest that a grave is waited for.
const LONG: Duration = Duration::from_secs(600);

/// Longest that a Redis server may work on one command, in microseconds.
const STALL: &str = "5000";

/// Longest that somebody who writes a SQLite file may wait for it.
const HELD_UP: Duration = Duration::from_millis(50);

/// How often somebody writes a SQLite file while others look into it.
const WRITES: Duration = Duration::from_millis(5);

/// How often each is asked.
const ROUNDS: usize = 5;

/// How often it is asked at most until it is quick once: other programs may have the processor, and what is really slow is
/// so every time.
const PATIENCE: usize = 25;

const WORKERS: usize = 200;

/// Tasks that run all the time.
const RUNNING: u64 = 64;

/// Tasks of one call, so that filling takes no more memory the fuller it gets.
const CALL: u64 = 10_000;

#[task(queue = "graves", retry = Retry::fixed(Duration::from_secs(1)).attempts(1))]
fn bury(number: u64, why: String) -> Result<(), String> {
    Err(format!("{number} was lost: {why}"))
}

#[task(queue = "graves", retry = Retry::fixed(Duration::from_secs(36_000)).attempts(3))]
fn try_later(number: u64) -> Result<(), String> {
    Err(format!("{number} has to wait"))
}

#[task(queue = "graves")]
fn double(number: u64) -> u64 {
    2 * number
}

#[task(queue = "load")]
fn wait_for_ever(number: u64, customer: String) {
    let _nobody_runs_it = (number, customer);
}

#[task(queue = "held", timeout = Duration::from_secs(36_000))]
async fn hold(ctx: &Context<()>) {
    ctx.cancelled().await;
}

#[task(queue = "writes")]
fn write() {}

fn load() -> u64 {
    std::env::var("TASKQ_LOAD").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000)
}

/// A broker of its own.
enum Store {
    Redis(Box<RedisServer>),
    Sqlite(TempFolder),
}

impl Store {
    fn url(&self) -> String {
        match self {
            Self::Redis(server) => server.url(),
            // What is measured waits for no disk, and neither need what fills it.
            Self::Sqlite(folder) => format!("sqlite://{}?synchronous=normal", folder.file("full.db").display()),
        }
    }
}

/// How it is seen that a broker stands still.
enum Watch<'a> {
    /// The server keeps what takes too long.
    SlowLog(&'a RedisServer),
    /// The longest that somebody who writes all the time has waited.
    Writer(Arc<Mutex<Duration>>, JoinHandle<()>),
}

impl<'a> Watch<'a> {
    async fn over(store: &'a Store) -> Self {
        match store {
            Store::Redis(server) => {
                server.command(&["CONFIG", "SET", "slowlog-log-slower-than", STALL]);
                Self::SlowLog(server)
            }
            Store::Sqlite(_) => {
                let longest = Arc::default();
                let client = taskq::connect(&store.url()).await.expect("connects").client();
                Self::Writer(Arc::clone(&longest), tokio::spawn(write_on(client, longest)))
            }
        }
    }

    fn begin(&self) {
        match self {
            Self::SlowLog(server) => drop(server.command(&["SLOWLOG", "RESET"])),
            Self::Writer(longest, _) => *longest.lock().expect("not poisoned") = Duration::ZERO,
        }
    }

    fn stood_still(&self) -> bool {
        match self {
            Self::SlowLog(server) => server.command(&["SLOWLOG", "LEN"]).integer() > 0,
            Self::Writer(longest, _) => *longest.lock().expect("not poisoned") > HELD_UP,
        }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if let Self::Writer(_, writer) = self {
            writer.abort();
        }
    }
}

/// Writes again and again, and keeps the longest that it had to wait.
async fn write_on(client: Client, longest: Arc<Mutex<Duration>>) {
    let mut next = tokio::time::interval(WRITES);
    loop {
        next.tick().await;
        let begun = Instant::now();
        client.enqueue(write::with()).await.expect("accepted");
        let mut longest = longest.lock().expect("not poisoned");
        *longest = (*longest).max(begun.elapsed());
    }
}

/// A broker that is full.
struct Full {
    store: Store,
    connection: Connection,
    /// The id of a task in the middle of the line.
    waiting: String,
    /// Holds the tasks that run.
    worker: WorkerHandle,
}

impl Full {
    async fn of(store: Store) -> Self {
        let connection = taskq::connect(&store.url()).await.expect("connects");
        let waiting = fill(&connection).await;
        let worker = Worker::builder(connection.clone()).queue("held", RUNNING as usize).start().await.expect("starts");
        let held = "held".parse().expect("valid");
        while connection.inspect().counts(&held).await.expect("counts").running < RUNNING {
            tokio::task::yield_now().await;
        }
        Self { store, connection, waiting, worker }
    }

    async fn close(self) {
        self.worker.abort();
        self.worker.ended().await;
    }
}

/// Most stand in one queue, and some in others.
fn queue(number: u64) -> &'static str {
    match number % 20 {
        0 => "mail",
        1 => "reports",
        2 => "thumbnails",
        _ => "load",
    }
}

/// Fills it; answers the id of a task in the middle of the line.
async fn fill(connection: &Connection) -> String {
    let client = connection.client();
    let mut middle = String::new();
    for first in (0..load()).step_by(CALL as usize) {
        let numbers = first..load().min(first + CALL);
        let tasks = numbers.map(|number| {
            let task = wait_for_ever::with(number, format!("customer {}", number % 977));
            task.tag(format!("tenant:{}", number % 50)).queue(queue(number))
        });
        let handles = client.enqueue_all(tasks).await.expect("accepted");
        if first <= load() / 2 {
            let mut loads = handles.iter().map(|handle| handle.id()).filter(|id| id.queue.as_str() == "load");
            middle = loads.next_back().expect("most are there").to_string();
        }
    }
    let later = (0..load() / 20).map(|number| {
        let delay = Duration::from_secs(36_000) + Duration::from_millis(number);
        wait_for_ever::with(number, "later".to_owned()).queue(queue(number)).delay(delay)
    });
    client.enqueue_all(later).await.expect("accepted");
    client.enqueue_all((0..load() / 20).map(try_later::with)).await.expect("accepted");
    let doubled = client.enqueue_all((0..load() / 20).map(double::with)).await.expect("accepted");
    let graves = (0..load() / 10).map(|number| bury::with(number, "nobody was there".to_owned()));
    let graves = client.enqueue_all(graves).await.expect("accepted");
    let worker = Worker::builder(connection.clone()).queue("graves", 200).start().await.expect("starts");
    for (state, ids) in [
        (State::Succeeded, doubled.iter().map(|handle| handle.id()).collect::<Vec<_>>()),
        (State::Dead, graves.iter().map(|handle| handle.id()).collect()),
    ] {
        for id in ids {
            let ended = connection.broker().wait(id, LONG).await.expect("waits").expect("is known");
            assert_eq!(ended.state, state);
        }
    }
    // What is to run again stood before these in line.
    worker.drain();
    worker.ended().await;
    client.enqueue_all((0..RUNNING).map(|_| hold::with())).await.expect("accepted");
    for number in 0..WORKERS {
        report(connection, number).await;
    }
    middle
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

/// An answer as it begins.
async fn open(router: &axum::Router, path: &str) -> axum::response::Response {
    let request = Request::builder().uri(path).header("host", "127.0.0.1").body(Body::empty()).expect("valid");
    let mut request = request;
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 50_000))));
    let response = router.clone().oneshot(request).await.expect("answers");
    assert_eq!(response.status(), 200, "{path}");
    response
}

async fn get(router: &axum::Router, path: &str) -> (Duration, String) {
    let began = Instant::now();
    let response = open(router, path).await;
    let body = axum::body::to_bytes(response.into_body(), 16 << 20).await.expect("bounded");
    (began.elapsed(), String::from_utf8(body.into()).expect("UTF-8"))
}

/// Does it a few times: the best of them takes no longer than it may, and the broker stands still for none.
async fn measure(watch: &Watch<'_>, what: &str, mut once: impl AsyncFnMut() -> Duration) {
    let (mut took, mut stood_still) = (Vec::new(), true);
    let is_quick = |took: &[Duration]| took.iter().any(|took| *took <= ANSWER);
    while took.len() < ROUNDS || took.len() < PATIENCE && (stood_still || !is_quick(&took)) {
        watch.begin();
        took.push(once().await);
        stood_still &= watch.stood_still();
    }
    took.sort();
    let (best, median) = (took[0], took[took.len() / 2]);
    println!("{best:>8.1?} {median:>8.1?}  {what}");
    assert!(best <= ANSWER, "{what} takes {best:?} at best");
    assert!(!stood_still, "{what} makes the broker stand still every time");
}

/// Pages and commands in one test, since filling takes longest.
async fn no_command_or_page_takes_long_and_none_makes_it_stand_still(store: Store) {
    let full = Full::of(store).await;
    println!("    best   median");
    {
        let watch = Watch::over(&full.store).await;
        commands(&watch, &full).await;
        pages(&watch, full.connection.clone()).await;
    }
    full.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_or_page_takes_long_and_none_stalls_a_redis_server_however_full_it_is() {
    no_command_or_page_takes_long_and_none_makes_it_stand_still(Store::Redis(Box::new(RedisServer::start()))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_or_page_takes_long_and_none_holds_up_writers_of_a_sqlite_file_however_full_it_is() {
    no_command_or_page_takes_long_and_none_makes_it_stand_still(Store::Sqlite(TempFolder::new())).await;
}

async fn commands(watch: &Watch<'_>, full: &Full) {
    let (waiting, url) = (full.waiting.as_str(), full.store.url());
    let worker = full.connection.fleet().members(None, 1).await.expect("lists")[0].id.to_string();
    let run = |arguments: &[&str]| {
        ProgramRun::of(Command::new(env!("CARGO_BIN_EXE_taskq")).args(["--url", &url]).args(arguments))
    };
    for arguments in [
        &["status"][..],
        &["queues"],
        &["tasks", "list"],
        &["tasks", "list", "--queue", "load", "--state", "ready", "--limit", "200"],
        &["tasks", "list", "--queue", "load", "--state", "scheduled", "--limit", "200"],
        &["tasks", "list", "--queue", "graves", "--state", "retrying", "--limit", "200"],
        &["tasks", "list", "--queue", "held", "--state", "running", "--limit", "200"],
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
            // The doctor finds a Redis server without append-only file, which is bad.
            assert!(output.status.success() || arguments == ["doctor"], "{arguments:?}: {}", output.text());
            took
        };
        measure(watch, &arguments.join(" "), once).await;
    }
    let found = run(&["tasks", "show", waiting]).succeeded();
    assert!(found.contains("customer"), "a task in the middle of the line is found with its arguments: {found}");
}

async fn pages(watch: &Watch<'_>, connection: Connection) {
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
        "/tasks?queue=load&state=scheduled",
        "/tasks?queue=graves&state=retrying",
        "/tasks?queue=held&state=running",
        "/dead?queue=graves",
        "/dead?queue=graves&text=nothing-has-this",
        &task,
        &waiting,
        "/workers",
        &worker,
        "/schedules",
        "/health",
        "/events",
        "/events?text=nothing-has-this",
    ];
    for path in pages {
        measure(watch, path, async || get(&router, path).await.0).await;
    }
    // Whoever watches lists whose filters let nothing through keeps nobody else waiting, and the server neither.
    let mut streams = Vec::new();
    for text in ["no", "task", "has", "this"] {
        streams.push(open(&router, &format!("/live?page=tasks&queue=load&state=ready&text=nothing-{text}")).await);
    }
    measure(watch, "/ beside four lists that are watched", async || get(&router, "/").await.0).await;
    dashboard.close().await;
}
