//! The one-line main on the command line: what it prints, what it exits with, and what it says to wrong input.

use std::process::Command;

use taskq_test_support::{ChildProcess, ProgramRun, TempFolder, example_program};

/// `index_files` is an app with one task.
fn app(folder: &TempFolder, arguments: &[&str], variables: &[(&str, &str)]) -> ProgramRun {
    let mut command = Command::new(example_program("index_files"));
    ProgramRun::of(command.args(arguments).current_dir(folder.path()).envs(variables.iter().copied()))
}

#[test]
fn check_lists_tasks_tests_the_broker_and_explains_the_configuration() {
    let folder = TempFolder::new();
    std::fs::write(folder.file("taskq.toml"), "[worker]\ndrain = \"5s\"\n").expect("writes");
    let output = app(&folder, &["check"], &[("TASKQ__CLIENT__DEADLINE", "2s")]);
    let text = output.text();
    assert!(output.status.success(), "{text}");
    for expected in [
        "broker.url = sqlite://taskq.db  (default)",
        "worker.drain = 5s  (taskq.toml:2:1)",
        "client.deadline = 2s  (TASKQ__CLIENT__DEADLINE)",
        "index_file  queue files",
        "sqlite answers",
    ] {
        assert!(text.contains(expected), "{expected} is missing in\n{text}");
    }
}

#[test]
fn a_task_is_enqueued_by_name_and_its_result_printed() {
    let folder = TempFolder::new();
    std::fs::write(folder.file("three"), "one two\nthree\n").expect("writes");
    let worker =
        ChildProcess::spawn(Command::new(example_program("index_files")).arg("worker").current_dir(folder.path()));
    let path = folder.file("three");
    let arguments = format!("{{\"path\": \"{}\"}}", path.display());
    let output = app(&folder, &["enqueue", "index_file", &arguments, "--wait", "30s", "--id", "mine"], &[]);
    let text = output.text();
    assert!(output.status.success(), "{text}");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("files/mine"), "the task's declared queue is used");
    assert!(lines.next().expect("a result").contains("\"words\":3"), "{text}");
    worker.terminate();
    assert!(worker.wait_for_exit(std::time::Duration::from_secs(60)).success());
}

#[test]
fn wrong_input_is_told_with_its_cure_and_an_exit_code() {
    let folder = TempFolder::new();
    let says = |text: String, words: &[&str]| {
        for word in words {
            assert!(text.contains(word), "{word} is missing in\n{text}");
        }
    };
    says(app(&folder, &["wroker"], &[]).refused(), &["worker"]);
    says(app(&folder, &["check", "--url", "mysql://me:secret@host"], &[]).refused(), &["mysql://", "sqlite://path"]);
    says(app(&folder, &["enqueue", "index_file", "{"], &[]).refused(), &["no JSON"]);
    says(app(&folder, &["enqueue", "index_file", "[1]"], &[]).refused(), &["JSON object"]);
    says(app(&folder, &["enqueue", "index_file", "--priority", "10"], &[]).refused(), &["use 0 to 9"]);
    says(
        app(&folder, &["enqueue", "index_file", "--queue", "a:b"], &[]).refused(),
        &["queue name", "':' is not allowed"],
    );
    says(app(&folder, &["enqueue", "index_file", "--delay", "soon"], &[]).refused(), &["\"90s\""]);
    says(app(&folder, &["worker", "--queue", "mail"], &[]).refused(), &["mail=20"]);
    says(
        app(&folder, &["check"], &[("TASKQ__WORKER__DRIAN", "5s")]).refused(),
        &["TASKQ__WORKER__DRIAN", "worker.drain"],
    );
    says(app(&folder, &["check", "--config", "nowhere.toml"], &[]).refused(), &["nowhere.toml"]);
    std::fs::write(folder.file("bad.toml"), "[worker]\nqueues = { mail = \"many\" }\n").expect("writes");
    says(
        app(&folder, &["check", "--config", "bad.toml"], &[]).refused(),
        &["bad.toml:2:12", "whole number above zero"],
    );
    let output = app(&folder, &["check", "--url", "redis://me:secret@127.0.0.1:1/0"], &[]).refused();
    says(output.clone(), &["127.0.0.1:1"]);
    assert!(!output.contains("secret"), "{output}");
}

#[test]
fn help_teaches() {
    let folder = TempFolder::new();
    let output = app(&folder, &["--help"], &[]);
    let text = output.text();
    for word in ["worker", "enqueue", "check", "--url", "--config", "Exit codes"] {
        assert!(text.contains(word), "{word} is missing in\n{text}");
    }
}
