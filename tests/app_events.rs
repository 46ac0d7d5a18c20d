//! The command `events` of the one-line main: what it prints, and what it says to wrong input.

use std::process::{Command, Output};

use taskq_test_support::{TempFolder, example_program};

/// `index_files` is an app with one task.
fn app(folder: &TempFolder, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(example_program("index_files"));
    command.args(arguments).current_dir(folder.path()).env_remove("RUST_LOG").envs(variables.iter().copied());
    command.output().expect("the example was built and starts")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What a failing run says.
fn refused(folder: &TempFolder, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let output = app(folder, arguments, variables);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{} {}", output.status, text(&output));
    text(&output)
}

#[test]
fn what_happens_is_printed_where_it_is_told() {
    let folder = TempFolder::new();
    let enqueue = |id: &str, mode: &str| {
        let arguments = ["enqueue", "index_file", "{\"path\": \"x\"}", "--id", id];
        let output = app(&folder, &arguments, &[("TASKQ__EVENTS", mode)]);
        assert!(output.status.success(), "{}", text(&output));
    };
    enqueue("untold", "off");
    enqueue("told", "on");
    // In a pipe what is kept is printed, and that is all.
    let output = app(&folder, &["events"], &[]);
    let lines = text(&output);
    assert!(output.status.success() && lines.ends_with("  enqueued        files/told  index_file\n"), "{lines}");
    assert_eq!(lines.lines().count(), 1, "{lines}");
    let output = text(&app(&folder, &["events", "--json", "--since", "1h", "--kind", "enqueued"], &[]));
    assert!(output.contains(r#""id":"files/told""#) && output.contains(r#""cursor":""#), "{output}");
    assert_eq!(text(&app(&folder, &["events", "--queue", "other"], &[])), "");
    let wrong = refused(&folder, &["events", "--kind", "explosions"], &[]);
    assert!(wrong.contains("settled") && wrong.contains("health_changed"), "{wrong}");
    let wrong = refused(&folder, &["events"], &[("TASKQ__EVENTS", "loud")]);
    assert!(wrong.contains("TASKQ__EVENTS") && wrong.contains(r#"events is "off" or "on""#), "{wrong}");
}
