//! The commands beside a Redis that is full: none takes long, and none makes the server stand still.
//!
//! `TASKQ_LOAD=1000000` fills it with a million tasks and a tenth as many dead letters, which takes minutes.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use taskq::{Connection, QueueName, WorkerId, prelude::*};
use taskq_test_support::RedisServer;

/// Longest that a command may take, with the start of its process and its connection.
const COMMAND: Duration = Duration::from_millis(200);

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
    client.enqueue_all(graves).await.expect("accepted");
    let worker = Worker::builder(connection.clone()).queue("graves", 200).start().await.expect("starts");
    let queue = QueueName::new("graves").expect("valid");
    while connection.inspect().counts(&queue).await.expect("counts").dead < load() / 10 {
        tokio::time::sleep(Duration::from_millis(50)).await;
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
    let report = serde_json::json!({
        "kind": "worker", "program": "shop", "version": "0.1.0", "host": format!("host-{number}"), "pid": number,
        "started_at": now, "sent_at": now, "lanes": [{"queues": ["load"], "slots": 16}], "tasks": tasks,
        "running": running, "running_count": 16,
    });
    let member = WorkerId::generate().into();
    connection.fleet().check_in(member, &report.to_string(), Duration::from_secs(600)).await.expect("reported");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_takes_long_and_none_stalls_the_server_however_full_it_is() {
    let server = RedisServer::start();
    let connection = taskq::connect(&server.url()).await.expect("connects");
    let waiting = fill(&connection).await;
    let worker = connection.fleet().members(None, 1).await.expect("lists")[0].id.to_string();
    server.command(&["CONFIG", "SET", "slowlog-log-slower-than", STALL]);
    for arguments in [
        &["status"][..],
        &["queues"],
        &["tasks", "list"],
        &["tasks", "list", "--queue", "load", "--state", "ready", "--limit", "200"],
        &["tasks", "list", "--queue", "load", "--tag", "tenant:49"],
        &["tasks", "list", "--queue", "load", "--text", "nothing has this"],
        &["tasks", "show", &waiting],
        &["why", &waiting],
        &["dead", "list"],
        &["dead", "list", "--text", "nothing has this"],
        &["workers"],
        &["workers", "--json"],
        &["workers", "show", &worker],
        &["schedule", "list"],
        &["health"],
        &["top", "--once"],
        &["doctor"],
    ] {
        let mut best = (Duration::MAX, usize::MAX);
        for _ in 0..ROUNDS {
            server.command(&["SLOWLOG", "RESET"]);
            let begun = Instant::now();
            let output =
                Command::new(env!("CARGO_BIN_EXE_taskq")).args(["--url", &server.url()]).args(arguments).output();
            let took = begun.elapsed();
            let output = output.expect("starts");
            // The doctor finds a server without append-only file, which is bad.
            let is_expected = output.status.success() || arguments == ["doctor"];
            assert!(is_expected, "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            let stalls = server.command(&["SLOWLOG", "LEN"]).integer() as usize;
            best = (best.0.min(took), best.1.min(stalls));
        }
        println!("{:>8.1?}  {}", best.0, arguments.join(" "));
        assert!(best.0 <= COMMAND, "{arguments:?} takes {:?} at best", best.0);
        assert_eq!(best.1, 0, "{arguments:?} makes the server work for over {STALL} us on one command");
    }
    let found = String::from_utf8(
        Command::new(env!("CARGO_BIN_EXE_taskq"))
            .args(["--url", &server.url(), "tasks", "show", &waiting])
            .output()
            .expect("starts")
            .stdout,
    );
    assert!(found.expect("text").contains("customer"), "a task in the middle of the line is found with its arguments");
}
