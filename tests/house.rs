//! The rules of the house that a machine can check; ARCHITECTURE.md gives their reasons.

use std::path::{Path, PathBuf};

/// Every Rust source under a folder of this repository.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the folder exists") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("readable");
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has sources");
    found
}

/// The code of a file without comments and without its tests.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let end = text.find("#[cfg(test)]\nmod tests").unwrap_or(text.len());
    text[..end].lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
}

const LIBRARIES: [&str; 7] = [
    "src",
    "taskq-core/src",
    "taskq-worker/src",
    "taskq-brokers/src",
    "taskq-scheduler/src",
    "taskq-console/src",
    "taskq-macros/src",
];

/// Every line of library code that contains one of the words, except in files that end so.
fn lines_with(folders: &[&str], words: &[&str], except: &[&str]) -> Vec<String> {
    let mut hits = Vec::new();
    for (path, text) in folders.iter().flat_map(|folder| sources(folder)) {
        if except.iter().any(|end| path.ends_with(end)) {
            continue;
        }
        for (number, line) in code(&text).filter(|(_, line)| words.iter().any(|word| line.contains(word))) {
            hits.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
        }
    }
    hits
}

#[test]
fn time_is_read_only_in_the_clock() {
    let words = ["SystemTime::now", "Instant::now", "tokio::time::sleep", "thread::sleep"];
    // `boot.rs` reads the boot time, which no other clock knows; `busy.rs` pauses a thread of SQLite's own between
    // attempts at a lock that no clock of ours governs; the test kit waits for things outside simulated time.
    let hits = lines_with(&LIBRARIES, &words, &["clock.rs", "boot.rs", "sqlite/busy.rs", "src/testing/test_queue.rs"]);
    assert!(hits.is_empty(), "take a Clock instead: {hits:#?}");
}

#[test]
fn loops_are_spawned_only_through_the_clock_or_by_adapters() {
    let hits = lines_with(
        &["taskq-core/src", "taskq-worker/src", "taskq-console/src", "src"],
        &["tokio::spawn("],
        &["clock.rs"],
    );
    let outside_conformance: Vec<_> = hits.into_iter().filter(|hit| !hit.contains("conformance")).collect();
    assert!(outside_conformance.is_empty(), "use Clock::spawn: {outside_conformance:#?}");
}

#[test]
fn drivers_stay_in_the_adapters() {
    let folders = ["src", "taskq-core/src", "taskq-worker/src", "taskq-scheduler/src", "taskq-console/src"];
    let hits = lines_with(&folders, &["redis::", "rusqlite::"], &["connect.rs", "src/engines.rs"]);
    assert!(hits.is_empty(), "driver types outside taskq-brokers: {hits:#?}");
}

#[test]
fn worker_scheduler_and_brokers_do_not_know_one_another() {
    for (crate_name, strangers) in [
        ("taskq-core", ["taskq-worker", "taskq-brokers", "taskq-scheduler", "taskq-console"].as_slice()),
        ("taskq-worker", &["taskq-brokers", "taskq-scheduler", "taskq-macros"]),
        ("taskq-brokers", &["taskq-worker", "taskq-scheduler", "taskq-macros"]),
        ("taskq-scheduler", &["taskq-worker", "taskq-brokers", "taskq-macros"]),
        ("taskq-console", &["taskq-worker", "taskq-brokers", "taskq-scheduler", "taskq-macros"]),
        ("taskq-macros", &["taskq-core", "taskq-worker", "taskq-brokers", "taskq-scheduler"]),
    ] {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join(crate_name).join("Cargo.toml");
        let text = std::fs::read_to_string(manifest).expect("readable");
        for stranger in strangers {
            let depends = text.lines().any(|line| line.starts_with(stranger));
            assert!(!depends, "{crate_name} must not depend on {stranger}");
        }
    }
}

#[test]
fn every_source_opens_with_what_it_holds() {
    for (path, text) in LIBRARIES.iter().flat_map(|folder| sources(folder)) {
        let first = text.lines().next().unwrap_or_default();
        let includes_readme = first.starts_with("#![doc = include_str!");
        assert!(first.starts_with("//!") || includes_readme, "{} begins with {first:?}", path.display());
    }
}

#[test]
fn features_never_use_the_weak_form() {
    for folder in ["", "taskq-core/", "taskq-brokers/", "taskq-worker/", "taskq-scheduler/", "taskq-console/"] {
        let manifest = format!("{folder}Cargo.toml");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&manifest);
        let text = std::fs::read_to_string(path).expect("readable");
        assert!(!text.contains("?/"), "{manifest} uses dep?/feature");
    }
}
