//! `--listen`: whoever runs a process hears over HTTP whether it lives and whether it can work.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use taskq_test_support::{ChildProcess, HttpAnswer, RedisServer, TempFolder, example_program};

const LONG: Duration = Duration::from_secs(60);

/// Starts a process that listens, and gives its address.
fn start(folder: &TempFolder, url: &str, arguments: &[&str]) -> (ChildProcess, String) {
    let mut command = Command::new(example_program("scheduled"));
    command.args(arguments).args(["--url", url, "--listen", "127.0.0.1:0"]).current_dir(folder.path());
    let process = ChildProcess::spawn(&mut command);
    let address = process.wait_for_words("answers /healthz and /readyz", LONG);
    (process, address.rsplit_once("at=").expect("it says where").1.to_owned())
}

/// Asks again and again until the answer is that it can work.
fn until_ready(address: &str) -> String {
    let begun = Instant::now();
    loop {
        match HttpAnswer::get(address, "/readyz") {
            HttpAnswer { status: 200, body, .. } => return body,
            other => assert!(begun.elapsed() < LONG, "{other:?}"),
        }
    }
}

#[test]
fn a_process_without_its_broker_lives_and_is_not_ready() {
    let folder = TempFolder::new();
    let mut server = RedisServer::start();
    let (both, address) = start(&folder, &server.url(), &["worker", "--scheduler"]);
    let alive = HttpAnswer::get(&address, "/healthz");
    assert_eq!((alive.status, alive.body.as_str()), (200, "alive\n"));
    assert_eq!(until_ready(&address), "ready\n");
    assert_eq!(HttpAnswer::get(&address, "/").status, 404);
    server.kill();
    both.wait_for_line(|line| line.contains("the worker is not ready"), LONG);
    let HttpAnswer { status, body: told, .. } = HttpAnswer::get(&address, "/readyz");
    assert_eq!(status, 503);
    assert!(told.contains("has succeeded") || told.contains("was not answered"), "{told}");
    assert_eq!(HttpAnswer::get(&address, "/healthz").status, 200);
    server.restart();
    both.wait_for_line(|line| line.contains("the worker is ready"), LONG);
    assert_eq!(until_ready(&address), "ready\n");
    both.terminate();
    assert!(both.wait_for_exit(LONG).success());
}

#[test]
fn a_scheduler_is_ready_whether_or_not_it_leads() {
    let folder = TempFolder::new();
    let url = format!("sqlite://{}", folder.file("tasks.db").display());
    let (first, leads) = start(&folder, &url, &["scheduler"]);
    let (second, follows) = start(&folder, &url, &["scheduler"]);
    assert_eq!((until_ready(&leads), until_ready(&follows)), ("ready\n".to_owned(), "ready\n".to_owned()));
    for process in [first, second] {
        process.terminate();
        assert!(process.wait_for_exit(LONG).success());
    }
}

#[test]
fn an_address_that_is_taken_is_told() {
    let folder = TempFolder::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let mut command = Command::new(example_program("scheduled"));
    let output = command.args(["scheduler", "--listen", &address]).current_dir(folder.path()).output().expect("starts");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains(&format!("listen at {address}")) && told.contains("in use"), "{told}");
}
