//! An idle worker leaves the server alone.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use taskq_test_support::{ChildProcess, RedisServer, Reply, TempFolder};

/// How long it is watched, in seconds.
const WATCHED: u64 = 20;

#[test]
fn an_idle_worker_on_two_queues_sends_at_most_one_command_a_second() {
    let (server, folder) = (RedisServer::start(), TempFolder::new());
    let mut command = Command::new(env!("CARGO_BIN_EXE_crash-worker"));
    let command = command.arg(server.url()).arg("10").arg(folder.file("history")).args(["mail", "default"]);
    let worker = ChildProcess::spawn(command);
    worker.wait_for_line(|line| line.starts_with("ready"), Duration::from_secs(60));
    wait_until_both_queues_are_listened_to(&server);
    let mut monitor = server.connect().expect("connects");
    assert_eq!(monitor.command(&["MONITOR"]).expect("answers"), Reply::Text("OK".to_owned()));
    // What is measured is time itself: there is nothing else to wait for.
    std::thread::sleep(Duration::from_secs(WATCHED));
    server.command(&["ECHO", "the end"]);
    let mut sent = Vec::new();
    loop {
        let reply = monitor.next_reply().expect("goes on");
        match reply.text() {
            line if line.contains("the end") => break,
            // Commands that scripts call are not sent by anybody.
            line if line.contains(" lua]") => {}
            line => sent.push(line.to_owned()),
        }
    }
    println!("{} commands in {WATCHED} s", sent.len());
    assert!(sent.len() as u64 <= WATCHED, "{} commands in {WATCHED} s: {sent:#?}", sent.len());
    assert!(!sent.is_empty(), "the heartbeat goes on");
}

/// What a worker does at its start does not count.
fn wait_until_both_queues_are_listened_to(server: &RedisServer) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while server.command(&["CLIENT", "LIST"]).text().matches("cmd=blpop").count() < 2 {
        assert!(Instant::now() < deadline, "the worker never came to wait for work");
        std::thread::sleep(Duration::from_millis(20));
    }
}
