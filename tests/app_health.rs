//! `health` on the command line: what it shows, how it ends, and what it says to wrong input.

use std::{process::Command, time::Duration};

use taskq_test_support::{ChildProcess, ProgramRun, TempFolder, example_program};

const LONG: Duration = Duration::from_secs(60);

fn run(folder: &TempFolder, arguments: &[&str]) -> ProgramRun {
    let mut command = Command::new(example_program("scheduled"));
    ProgramRun::of(command.arg("health").args(arguments).current_dir(folder.path()))
}

/// Has to be refused with these words.
fn refused(folder: &TempFolder, arguments: &[&str], words: &[&str]) {
    let told = run(folder, arguments).refused();
    for word in words {
        assert!(told.contains(word), "{word} is missing in\n{told}");
    }
}

#[test]
fn checks_are_added_shown_and_removed() {
    let folder = TempFolder::new();
    let nothing = run(&folder, &[]);
    assert!(nothing.status.success() && nothing.said.contains("nothing is watched"), "{nothing:?}");
    assert!(
        run(&folder, &["add", "port", "--tcp", "127.0.0.1:1", "--every", "1m", "--failures", "2"]).status.success()
    );
    assert!(
        run(&folder, &["add", "page", "--check", "{\"http\": {\"url\": \"http://a\", \"contains\": \"x\"}}"])
            .status
            .success()
    );
    let shown = run(&folder, &[]);
    assert_eq!(shown.status.code(), Some(0), "nobody knows yet");
    let table = shown.said;
    assert!(
        table.starts_with("CHECK") && table.contains("unknown") && table.contains("nobody has looked yet"),
        "{table}"
    );
    assert_eq!(run(&folder, &["--strict"]).status.code(), Some(1));
    let lines = run(&folder, &["--json"]).said;
    let rows: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect();
    let names: Vec<_> =
        rows.iter().map(|row| (row["name"].as_str(), row["from"].as_str(), row["health"].as_str())).collect();
    assert_eq!(
        names,
        [(Some("page"), Some("run time"), Some("unknown")), (Some("port"), Some("run time"), Some("unknown")),]
    );
    assert!(run(&folder, &["remove", "port"]).status.success());
    assert_eq!(run(&folder, &["--json"]).said.lines().count(), 1);
}

#[test]
fn wrong_checks_are_told_with_their_cure() {
    let folder = TempFolder::new();
    refused(&folder, &["add", "x"], &["--http", "--tcp", "--check"]);
    refused(&folder, &["add", "x", "--tcp", "a:1", "--http", "http://a"], &["cannot be used with"]);
    refused(&folder, &["add", "x", "--tcp", "nowhere"], &["tcp", "write host:port"]);
    refused(&folder, &["add", "x", "--http", "ftp://a"], &["http"]);
    refused(&folder, &["add", "x", "--tcp", "a:1", "--every", "0s"], &["every", "at least 1s"]);
    refused(&folder, &["add", "a b", "--tcp", "a:1"], &["' ' is not allowed"]);
    refused(&folder, &["add", "x", "--check", "[]"], &["--check", "no JSON object"]);
    refused(&folder, &["add", "x", "--check", "{\"tpc\": \"a:1\"}"], &["did you mean \"tcp\""]);
    assert!(run(&folder, &["add", "port", "--tcp", "a:1"]).status.success());
    refused(&folder, &["remove", "prt"], &["the nearest one is \"port\""]);
    let file = "[health.a]\nevery = \"30s\"\ntcp = \"a:1\"\n";
    std::fs::write(folder.file("taskq.toml"), file).expect("writes");
    let shown = run(&folder, &["--strict"]);
    assert_eq!(shown.status.code(), Some(1), "nobody looks at it");
    assert!(shown.said.contains("no scheduler has brought it"), "{shown:?}");
    std::fs::write(folder.file("taskq.toml"), "[health.a]\nevery = \"30s\"\n").expect("writes");
    refused(&folder, &[], &["taskq.toml:1:9", "it looks at nothing"]);
}

/// A program may have a queue of its own that is called so, and may say how many slots the looks get.
#[test]
fn a_worker_that_serves_the_queue_already_starts() {
    for queues in [
        "[worker.queues]\ndefault = 1\nhealth = 3\n",
        "[[worker.shared]]\nslots = 2\nqueues = [\"health\", \"default\"]\n",
    ] {
        let folder = TempFolder::new();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let check = format!("{queues}[health.port]\nevery = \"1s\"\ntcp = \"127.0.0.1:{port}\"\n");
        std::fs::write(folder.file("taskq.toml"), check).expect("writes");
        let mut command = Command::new(example_program("scheduled"));
        let both = ChildProcess::spawn(command.args(["worker", "--scheduler"]).current_dir(folder.path()));
        both.wait_for_line(|line| line.contains("health changed") && line.contains("to=healthy"), LONG);
        assert!(run(&folder, &["--strict"]).status.success());
        both.terminate();
        assert!(both.wait_for_exit(LONG).success());
    }
}
