//! Schedules on the command line: a scheduler whose file changes while it runs, and what `schedule` shows and changes.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use taskq_test_support::{ChildProcess, ProgramRun, TempFolder, example_program};

const LONG: Duration = Duration::from_secs(60);

fn command(folder: &TempFolder, arguments: &[&str]) -> Command {
    let mut command = Command::new(example_program("scheduled"));
    command.args(arguments).current_dir(folder.path()).env_remove("RUST_LOG");
    command
}

fn says(folder: &TempFolder, arguments: &[&str]) -> String {
    ProgramRun::of(&mut command(folder, arguments)).succeeded()
}

fn refused(folder: &TempFolder, arguments: &[&str]) -> String {
    ProgramRun::of(&mut command(folder, arguments)).refused()
}

fn write(folder: &TempFolder, text: &str) {
    std::fs::write(folder.file("taskq.toml"), text).expect("writes");
}

/// Asks again until the answer has the words; everything else runs meanwhile.
fn wait_until_list_has(folder: &TempFolder, words: &str) -> String {
    let begun = Instant::now();
    loop {
        let list = says(folder, &["schedule", "list"]);
        if list.contains(words) {
            return list;
        }
        assert!(begun.elapsed() < LONG, "{words} is missing in\n{list}");
    }
}

#[test]
fn a_file_that_changes_changes_what_is_scheduled_and_a_bad_one_changes_nothing() {
    let folder = TempFolder::new();
    let greeting = |name: &str, every: &str| {
        format!("[schedule.{name}]\nevery = \"{every}\"\ntask = \"greet\"\nargs = {{ name = \"{name}\" }}\n")
    };
    write(&folder, &greeting("ann", "1s"));
    let both = ChildProcess::spawn(&mut command(&folder, &["worker", "--scheduler"]));
    both.wait_for_line(|line| line == "hello, ann", LONG);

    // Found by a look at the file.
    write(&folder, &greeting("bob", "1s"));
    both.wait_for_line(|line| line == "hello, bob", LONG);
    let list = says(&folder, &["schedule", "list"]);
    assert!(list.contains("default/bob") && !list.contains("default/ann"), "{list}");

    // A mistake is told with its place, and what was there stays.
    write(&folder, "[schedule.bob]\nevery = \"1s\"\ntask = \"gret\"\n");
    let told = both.wait_for_line(|line| line.contains("the configuration is refused"), LONG);
    assert!(told.contains("taskq.toml:3:1") && told.contains("the nearest one is \"greet\""), "{told}");
    both.wait_for_line(|line| line == "hello, bob", LONG);

    // Told by a signal. What cannot change while it runs is named.
    write(&folder, &format!("[worker]\ndrain = \"3s\"\n{}", greeting("eve", "1s")));
    both.hang_up();
    let told = both.wait_for_line(|line| line.contains("take effect when the process is started again"), LONG);
    assert!(told.contains("worker.drain"), "{told}");
    both.wait_for_line(|line| line == "hello, eve", LONG);

    both.terminate();
    assert!(both.wait_for_exit(LONG).success());
}

#[test]
fn entries_are_added_changed_paused_triggered_and_removed() {
    let folder = TempFolder::new();
    let scheduler = ChildProcess::spawn(&mut command(&folder, &["scheduler"]));
    let list = wait_until_list_has(&folder, "default/chime");
    assert!(list.starts_with("ENTRY"), "{list}");
    assert!(list.contains("every 1h") && list.contains("code") && list.contains("never"), "{list}");

    let greet = ["--task", "greet", "--args", "{\"name\": \"ann\"}"];
    let with = |words: &[&'static str]| -> Vec<&str> { words.iter().copied().chain(greet).collect() };
    says(&folder, &with(&["schedule", "add", "hello", "--cron", "30 7 * * Mon", "--timezone", "Europe/Paris"]));
    let shown = says(&folder, &["schedule", "show", "hello"]);
    for words in ["default/hello", "run time", "cron \"30 7 * * Mon\" in Europe/Paris", "task      greet", "07:30:00+0"]
    {
        assert!(shown.contains(words), "{words} is missing in\n{shown}");
    }
    assert_eq!(shown.matches("07:30:00+0").count(), 10, "{shown}");
    says(&folder, &with(&["schedule", "change", "hello", "--every", "2h", "--misfire", "all=3"]));
    let json: serde_json::Value =
        serde_json::from_str(&says(&folder, &["schedule", "show", "default/hello", "--json"])).expect("is JSON");
    assert_eq!(json["schedule"]["every"], "2h");
    assert_eq!(json["misfire"]["all"], 3);
    assert_eq!(json["next"].as_array().map(Vec::len), Some(10));
    assert!(!json.to_string().contains("ann"), "arguments may be secret: {json}");

    let id = says(&folder, &["schedule", "trigger", "hello"]);
    assert!(id.starts_with("default/hello+"), "{id}");
    says(&folder, &["schedule", "pause", "hello"]);
    assert!(says(&folder, &["schedule", "list"]).lines().any(|line| line.contains("hello") && line.contains("paused")));
    says(&folder, &["schedule", "resume", "hello"]);
    let filled = says(
        &folder,
        &["schedule", "backfill", "hello", "--after", "2026-01-01T00:00:00Z", "--until", "2026-01-01T06:00:00Z"],
    );
    let ticks: Vec<_> = filled.lines().collect();
    assert_eq!(ticks, ["default/hello@1767232800000", "default/hello@1767240000000", "default/hello@1767247200000"]);
    says(&folder, &["schedule", "remove", "hello"]);
    assert!(!says(&folder, &["schedule", "list"]).contains("hello"));

    scheduler.terminate();
    assert!(scheduler.wait_for_exit(LONG).success());
}

#[test]
fn wrong_entries_are_told_with_the_option_and_the_cure() {
    let folder = TempFolder::new();
    let add =
        |words: &[&'static str]| refused(&folder, &[&["schedule", "add", "a", "--task", "greet"], words].concat());
    let told = |text: String, words: &[&str]| {
        for word in words {
            assert!(text.contains(word), "{word} is missing in\n{text}");
        }
    };
    told(add(&[]), &["--every", "--cron", "--at", "--calendar"]);
    told(add(&["--every", "1m", "--cron", "* * * * *"]), &["cannot be used with"]);
    told(add(&["--every", "1m"]), &["missing field `name`"]);
    told(add(&["--every", "1m", "--args", "{"]), &["--args", "no JSON"]);
    told(add(&["--every", "1m", "--args", "[1]"]), &["--args", "is a table"]);
    told(add(&["--every", "1m", "--args", "{\"nam\": \"x\"}"]), &["--args", "missing field `name`"]);
    let args = ["--args", "{\"name\": \"x\"}"];
    let with = |words: &[&'static str]| add(&[&args, words].concat());
    told(with(&["--cron", "61 * * * *"]), &["--cron", "use 0 to 59"]);
    told(with(&["--cron", "@daily", "--timezone", "Mars"]), &["--timezone", "IANA name"]);
    told(with(&["--calendar", "2 weeks"]), &["--calendar"]);
    told(with(&["--at", "tomorrow"]), &["--at", "2026-11-27T10:00:00Z"]);
    told(with(&["--every", "1m", "--priority", "11"]), &["--priority", "0 to 9"]);
    told(with(&["--every", "1m", "--overlap", "maybe"]), &["--overlap", "queue_one"]);
    told(refused(&folder, &["schedule", "add", "a", "--task", "gret", "--every", "1m"]), &["--task", "\"greet\""]);
    told(refused(&folder, &["schedule", "pause", "nothing"]), &["there is none of this name"]);
    told(refused(&folder, &["schedule", "change", "a", "--task", "chime", "--every", "1m"]), &["use add"]);
    told(refused(&folder, &["schedule", "backfill", "a", "--after", "x", "--until", "y"]), &["2026-11-27T10:00:00Z"]);
    says(&folder, &["schedule", "add", "a", "--task", "chime", "--every", "1m"]);
    told(refused(&folder, &["schedule", "add", "a", "--task", "chime", "--every", "1m"]), &["it exists"]);
    says(&folder, &["schedule", "add", "a", "--task", "chime", "--every", "1m", "--queue", "other"]);
    told(refused(&folder, &["schedule", "show", "a"]), &["say which: default/a, other/a"]);
    assert_eq!(says(&folder, &["schedule", "list", "--json"]).lines().count(), 2);
    write(&folder, "[schedule.a]\nevery = \"1m\"\ntask = \"chime\"\n[health.b]\nevery = \"30s\"\ntcp = \"a:1\"\n");
    let checked = says(&folder, &["check"]);
    assert!(checked.contains("default/a  every 1m") && checked.contains("health/b  every 30s"), "{checked}");
    write(&folder, "[schedule.a]\nevery = \"0s\"\ntask = \"chime\"\n");
    told(refused(&folder, &["scheduler"]), &["taskq.toml:2:1", "use at least 1s"]);
}
