//! The examples do what they say: each is run as a program of its own, and its output is checked.

use std::{
    process::{Command, Output},
    time::Duration,
};

use taskq_test_support::{ChildProcess, TempFolder, example_program};

fn run(example: &str, arguments: &[&str], folder: &TempFolder) -> Output {
    let mut command = Command::new(example_program(example));
    command.args(arguments).current_dir(folder.path()).output().expect("the example was built and starts")
}

/// The lines that a successful run printed.
fn lines(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}\n{text}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    text.lines().map(str::to_owned).collect()
}

#[test]
fn hello() {
    let output = run("hello", &[], &TempFolder::new());
    assert_eq!(lines(&output), ["2 + 3 = 5", "hello, world", "called directly: 5", "2 tasks done"]);
}

#[test]
fn delay_and_retry() {
    let output = run("delay_and_retry", &[], &TempFolder::new());
    let expected = [
        "reminder is scheduled",
        "remember: tea",
        "not before its time: true",
        "answered at attempt 3",
        "dead letter (fatal): card 1234 does not exist",
        "replayed: true",
        "dead again: true",
        "dropped: true",
    ];
    assert_eq!(lines(&output), expected);
}

#[test]
fn shared_app() {
    let output = lines(&run("shared_app", &[], &TempFolder::new()));
    assert_eq!(output[..2], ["total 10", "bookings 1"]);
    assert!(output[2].contains("dead (fatal)") && output[2].contains("no price for gold"), "{output:?}");
}

#[test]
fn custom_layer() {
    let output = lines(&run("custom_layer", &[], &TempFolder::new()));
    assert_eq!(output[..3], ["quick 1", "slow: slow", "slow 2"]);
    assert!(output[3].contains("needs the role admin"), "{output:?}");
    assert_eq!(output[4], "admin 3");
}

#[test]
fn testing() {
    let output = lines(&run("testing", &[], &TempFolder::new()));
    assert_eq!(output, ["a week and 90 seconds tested", "in less than ten seconds: true"]);
}

#[test]
fn graceful_shutdown() {
    let folder = TempFolder::new();
    let url = format!("sqlite://{}", folder.file("tasks.db").display());
    let bound = Duration::from_secs(60);
    for _ in 0..2 {
        let process = ChildProcess::spawn(Command::new(example_program("graceful_shutdown")).arg(&url));
        process.wait_for_line(|line| line.starts_with("long begins, attempt 1"), bound);
        process.terminate();
        process.wait_for_line(|line| line == "long is asked to stop", bound);
        process.wait_for_line(|line| line == "long is ready with 0 failed attempts", bound);
        assert!(process.wait_for_exit(bound).success());
        let output = process.output_lines();
        let begun = output.iter().filter(|line| line.starts_with("short") && line.ends_with("begins")).count();
        let ended = output.iter().filter(|line| line.starts_with("short") && line.ends_with("ends")).count();
        assert_eq!(begun, ended, "what is short is finished: {output:?}");
    }
}

#[test]
fn a_second_signal_ends_the_drain() {
    let bound = Duration::from_secs(60);
    let folder = TempFolder::new();
    let url = format!("sqlite://{}", folder.file("tasks.db").display());
    let mut command = Command::new(example_program("graceful_shutdown"));
    let process = ChildProcess::spawn(command.args([&url, "600"]));
    process.wait_for_line(|line| line.starts_with("long begins"), bound);
    process.terminate();
    // What is short ends, so the first signal was heard; two at once are one to the system.
    (0..4).for_each(|_| drop(process.wait_for_line(|line| line.starts_with("short") && line.ends_with("ends"), bound)));
    process.terminate();
    process.wait_for_line(|line| line == "long is asked to stop", bound);
    assert!(process.wait_for_exit(bound).success());
}

/// Three worker processes index this project's own sources; the totals are those of the system's own tools.
#[test]
fn index_files() {
    let folder = TempFolder::new();
    let tree = concat!(env!("CARGO_MANIFEST_DIR"), "/taskq-core");
    let url = format!("sqlite://{}?synchronous=normal", folder.file("tasks.db").display());
    let command = |arguments: &[&str]| {
        let mut command = Command::new(example_program("index_files"));
        command.args(arguments).current_dir(folder.path()).env("TASKQ__BROKER__URL", &url);
        command
    };
    let workers: Vec<_> = (0..3).map(|_| ChildProcess::spawn(&mut command(&["worker"]))).collect();
    let output = lines(&command(&["index", tree]).output().expect("starts"));
    for worker in &workers {
        worker.terminate();
        assert!(worker.wait_for_exit(Duration::from_secs(60)).success());
    }
    let script = r#"
        cd "$1" && find "$PWD" -type f | LC_ALL=C sort > "$2"
        echo "files $(wc -l < "$2")"
        xargs cat < "$2" > "$2.all"
        echo "bytes $(wc -c < "$2.all")"
        echo "lines $(xargs wc -l < "$2" | awk '$2 != "total" {n += $1} END {print n}')"
        echo "words $(LC_ALL=C xargs wc -w < "$2" | awk '$2 != "total" {n += $1} END {print n}')"
        echo "sha256 $(xargs sha256sum < "$2" | sha256sum | cut -d' ' -f1)""#;
    let list = folder.file("list");
    let expected = Command::new("bash").args(["-ec", script, "bash", tree]).arg(&list).output().expect("bash is there");
    assert_eq!(output, lines(&expected));
}

/// What it prints of the targets that it watches; it fails by itself if one is not found as it should be in time.
fn watched(output: &Output) {
    let lines = lines(output);
    let has = |words: &[&str]| lines.iter().any(|line| words.iter().all(|word| line.contains(word)));
    for words in [
        ["certificate-expired is unhealthy", "its certificate expired on"].as_slice(),
        &["redirect is unhealthy", "10.0.0.1, which is a private network"],
        &["hangs is unhealthy", "not done within 1s"],
        &["the shop was killed", "shop is unhealthy"],
        &["the shop was revived", "shop is healthy again"],
        &["certificate-soon", "degraded", "expires on"],
        &["slow", "degraded", "more than 100ms"],
        &["stock", "healthy", "task count_stock"],
    ] {
        assert!(has(words), "{words:?} is missing in {lines:#?}");
    }
}

#[test]
fn health_monitor_on_sqlite_with_one_process() {
    let output = run("health_monitor", &[], &TempFolder::new());
    assert_eq!(lines(&output)[0], "targets: 12, processes that watch them: 1");
    watched(&output);
}

#[test]
fn health_monitor_on_redis_with_three_workers_and_two_schedulers() {
    let server = taskq_test_support::RedisServer::start();
    let output = run("health_monitor", &["--url", &server.url()], &TempFolder::new());
    assert_eq!(lines(&output)[0], "targets: 12, processes that watch them: 5");
    watched(&output);
}

#[test]
fn the_demo_says_where_its_dashboard_is_and_ends_on_ctrl_c() {
    let folder = TempFolder::new();
    let mut command = Command::new(example_program("demo"));
    let demo = ChildProcess::spawn(command.args(["--listen", "127.0.0.1:0"]).current_dir(folder.path()));
    let line = demo.wait_for_line(|line| line.starts_with("dashboard at http://127.0.0.1:"), Duration::from_secs(60));
    assert!(line.ends_with('/'), "{line}");
    demo.interrupt();
    assert!(demo.wait_for_exit(Duration::from_secs(60)).success());
}
