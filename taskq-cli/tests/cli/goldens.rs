//! What each command prints, byte by byte, but for what differs from run to run. `UPDATE_GOLDENS=1` writes them anew: read
//! each that changed.

use std::path::PathBuf;

use regex::Regex;

use crate::shop::Shop;

/// What differs from run to run, and what stands for it.
fn without_chance(text: &str) -> String {
    let chances = [
        (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?( UTC|Z)?", "<instant>"),
        (r"\b[0-9a-f]{32}\b", "<worker>"),
        (r"\b[0-9a-f]{12}\b", "<worker>"),
        (r"\b\d+ d \d+ h|\b\d+ h \d+ m|\b\d+ m \d+ s|\b[\d.]+ (ms|µs|s)\b", "<time>"),
        (r"(in <time>|<time> ago|\bnow\b)", "<when>"),
        (r#""(up_seconds|oldest_ready_seconds|clock_error_seconds|for_ms|pid)":-?[\d.e-]+"#, r#""$1":<number>"#),
        (r"process \d+ on [^\s),]+", "process <pid> on <host>"),
        (r"\b(cli|taskq)-[0-9a-f]{16}\b", "cli"),
        (r"[+-][\d.]+ s beside", "<time> beside"),
        (r"<time> beside", "<time> beside"),
        (r"[\d.]+ MiB", "<size>"),
        (r"SQLite [\d.]+", "SQLite <version>"),
        (r"taskq \d+\.\d+\.\d+", "taskq <version>"),
        (r" {2,}", "  "),
        (r"(worker|scheduler)  \S+  \d+  \d+\.\d+\.\d+", "$1  <host>  <pid>  <version>"),
    ];
    let mut text = text.to_owned();
    for (chance, stand_in) in chances {
        text = Regex::new(chance).expect("valid").replace_all(&text, stand_in).into_owned();
    }
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn compare(name: &str, found: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cli/goldens").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        return std::fs::write(&path, found).expect("writes");
    }
    let golden = std::fs::read_to_string(&path).expect("UPDATE_GOLDENS=1 writes it");
    assert_eq!(found, golden, "{name} has changed; UPDATE_GOLDENS=1 writes it anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_see_is_what_was_agreed() {
    let (shop, worker) = Shop::busy().await;
    shop.says(&["queues", "pause", "nobodys"]);
    for (name, arguments) in [
        ("status", &["status"][..]),
        ("queues", &["queues"]),
        ("tasks-list", &["tasks", "list"]),
        ("tasks-list-filtered", &["tasks", "list", "--state", "dead", "--state", "scheduled", "--tag", "tenant:7"]),
        ("tasks-show-dead", &["tasks", "show", "payments/order-2"]),
        ("tasks-show-running", &["tasks", "show", "reports/year-2025"]),
        ("tasks-show-retrying", &["tasks", "show", "payments/order-3"]),
        ("tasks-show-succeeded", &["tasks", "show", "payments/order-1"]),
        ("dead-list", &["dead", "list"]),
        ("why-scheduled", &["why", "payments/order-4"]),
        ("why-ready", &["why", "reports/year-2026"]),
        ("why-paused", &["why", "nobodys/order-5"]),
        ("why-retrying", &["why", "payments/order-3"]),
        ("doctor", &["doctor"]),
        ("config-explain", &["config", "explain"]),
        ("top-once", &["top", "--once"]),
    ] {
        compare(name, &without_chance(&shop.says(arguments)));
    }
    worker.abort();
    worker.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_programs_read_is_json_and_has_its_fields() {
    let (shop, worker) = Shop::busy().await;
    for (name, arguments) in [
        ("json-status", &["status", "--json"][..]),
        ("json-queues", &["queues", "--json"]),
        ("json-tasks-show", &["tasks", "show", "payments/order-2", "--json"]),
        ("json-dead-list", &["dead", "list", "--json"]),
        ("json-why", &["why", "payments/order-4", "--json"]),
        ("json-doctor", &["doctor", "--json"]),
    ] {
        let said = shop.says(arguments);
        for line in said.lines() {
            assert!(serde_json::from_str::<serde_json::Value>(line).is_ok_and(|value| value.is_object()), "{line}");
        }
        compare(name, &without_chance(&said));
    }
    let workers = shop.says(&["workers", "--json"]);
    let one: serde_json::Value = serde_json::from_str(workers.lines().next().expect("one works")).expect("JSON");
    assert_eq!(one["report"]["running"][0]["id"], "reports/year-2025");
    assert_eq!(one["report"]["lanes"][0]["slots"], 2);
    worker.abort();
    worker.ended().await;
}

#[test]
fn the_help_teaches() {
    let help = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_taskq"));
        let output = command.args(arguments).arg("--help").env_remove("COLUMNS").output().expect("starts");
        assert!(output.status.success());
        String::from_utf8(output.stdout).expect("text")
    };
    for (name, arguments) in [
        ("help", &[][..]),
        ("help-queues", &["queues"]),
        ("help-tasks", &["tasks"]),
        ("help-tasks-list", &["tasks", "list"]),
        ("help-dead-replay", &["dead", "replay"]),
        ("help-workers", &["workers"]),
    ] {
        compare(name, &help(arguments));
    }
}

#[test]
fn shells_and_manuals_get_what_they_want_without_a_broker() {
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_taskq"));
        let output = command.args(["--url", "redis://127.0.0.1:1"]).args(arguments).output().expect("starts");
        assert!(output.status.success(), "{arguments:?} {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completions", shell]);
        assert!(script.contains("taskq") && script.contains("doctor"), "{shell}");
    }
    assert!(run(&["man"]).contains(".TH taskq"));
    let folder = taskq_test_support::TempFolder::new();
    run(&["man", folder.path().to_str().expect("text")]);
    for page in ["taskq.1", "taskq-tasks-list.1", "taskq-queues-pause.1"] {
        assert!(folder.file(page).is_file(), "{page}");
    }
}
