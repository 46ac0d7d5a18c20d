//! The command `events` of the one-line main: what it prints, and what it says to wrong input.

use std::process::Command;

use taskq_test_support::{ProgramRun, TempFolder, example_program};

/// `index_files` is an app with one task.
fn app(folder: &TempFolder, arguments: &[&str], variables: &[(&str, &str)]) -> ProgramRun {
    let mut command = Command::new(example_program("index_files"));
    ProgramRun::of(command.args(arguments).current_dir(folder.path()).envs(variables.iter().copied()))
}

#[test]
fn what_happens_is_printed_where_it_is_told() {
    let folder = TempFolder::new();
    let enqueue = |id: &str, mode: &str| {
        let arguments = ["enqueue", "index_file", "{\"path\": \"x\"}", "--id", id];
        let output = app(&folder, &arguments, &[("TASKQ__EVENTS", mode)]);
        assert!(output.status.success(), "{}", output.text());
    };
    enqueue("untold", "off");
    enqueue("told", "on");
    // In a pipe what is kept is printed, and that is all.
    let output = app(&folder, &["events"], &[]);
    let lines = output.text();
    assert!(output.status.success() && lines.ends_with("  enqueued        files/told  index_file\n"), "{lines}");
    assert_eq!(lines.lines().count(), 1, "{lines}");
    let output = app(&folder, &["events", "--json", "--since", "1h", "--kind", "enqueued"], &[]).text();
    assert!(output.contains(r#""id":"files/told""#) && output.contains(r#""cursor":""#), "{output}");
    assert_eq!(app(&folder, &["events", "--queue", "other"], &[]).text(), "");
    let wrong = app(&folder, &["events", "--kind", "explosions"], &[]).refused();
    assert!(wrong.contains("settled") && wrong.contains("health_changed"), "{wrong}");
    let wrong = app(&folder, &["events"], &[("TASKQ__EVENTS", "loud")]).refused();
    assert!(wrong.contains("TASKQ__EVENTS") && wrong.contains(r#"events is "off" or "on""#), "{wrong}");
}
