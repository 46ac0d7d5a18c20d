//! Whether the probes of `deploy/kubernetes` are answered by processes that are started as it says.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;
use taskq_test_support::{ChildProcess, HttpAnswer, TempFolder};

use crate::process::{Process, pod};

/// The longest that anything here is awaited, on a machine that is busy with other tests.
const LONG: Duration = Duration::from_secs(60);

/// A process of a manifest: the same words, but at a free port of this machine.
struct Started {
    process: ChildProcess,
    address: String,
    container: Value,
}

impl Started {
    fn of(file: &str, folder: &TempFolder, says_where: &str) -> Self {
        let file = format!("deploy/kubernetes/{file}");
        let told = Process::all().into_iter().find(|process| process.told_in == file).expect("it is there");
        let toml = told.configuration.clone().expect("a ConfigMap");
        std::fs::write(folder.file("taskq.toml"), toml).expect("is written");
        let listen = told.option("--listen").expect("it listens").to_owned();
        let words = told.words.iter().map(|word| match word {
            word if *word == listen => "127.0.0.1:0".to_owned(),
            word if word.ends_with("/accounts") => folder.file("accounts").display().to_string(),
            word => word.clone(),
        });
        let mut command = Command::new(env!("CARGO_BIN_EXE_my-program"));
        command.args(words).current_dir(folder.path());
        command.env("TASKQ_CONFIG", folder.file("taskq.toml"));
        command.env("TASKQ__BROKER__URL", format!("sqlite://{}", folder.file("tasks.db").display()));
        let process = ChildProcess::spawn(&mut command);
        let address = process.wait_for_words(says_where, LONG).trim_end_matches('/').to_owned();
        Self { process, address, container: pod(&file)["containers"][0].clone() }
    }

    /// The status that the probe gets.
    fn answer(&self, probe: &str) -> u16 {
        let get = &self.container[probe]["httpGet"];
        let host = get["httpHeaders"][0]["value"].as_str().unwrap_or(&self.address);
        self.status(get["path"].as_str().expect("a path"), host)
    }

    fn status(&self, path: &str, host: &str) -> u16 {
        HttpAnswer::get_as(&self.address, host, path).status
    }

    fn answers_its_probes_and_ends(self) {
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            let begun = Instant::now();
            while self.answer(probe) != 200 {
                assert!(begun.elapsed() < LONG, "{probe}");
            }
        }
        self.process.terminate();
        assert!(self.process.wait_for_exit(LONG).success());
    }
}

#[test]
fn a_worker_of_the_manifest_becomes_ready_and_ends_by_sigterm() {
    let folder = TempFolder::new();
    let worker = Started::of("worker.yaml", &folder, "/metrics and /depth at=");
    assert_eq!(worker.status("/metrics", "here"), 200, "the PodMonitor asks for it");
    worker.answers_its_probes_and_ends();
}

#[test]
fn a_scheduler_of_the_manifest_becomes_ready_and_tells_depths() {
    let folder = TempFolder::new();
    let scheduler = Started::of("scheduler.yaml", &folder, "/metrics and /depth at=");
    assert_eq!(scheduler.status("/depth?queue=mail", "here"), 200, "KEDA asks for it");
    scheduler.answers_its_probes_and_ends();
}

#[test]
fn a_dashboard_of_the_manifest_answers_its_probes_and_to_no_other_name() {
    let folder = TempFolder::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_my-program"));
    let password = folder.file("password.txt");
    std::fs::write(&password, "a long password of a test\n").expect("is written");
    let password = std::fs::File::open(password).expect("is there");
    let output = command.args(["dashboard", "hash-password"]).stdin(password).output().expect("starts");
    let hash = String::from_utf8(output.stdout).expect("text");
    std::fs::write(folder.file("accounts"), format!("ada:operator:{}\n", hash.trim())).expect("is written");
    let dashboard = Started::of("dashboard.yaml", &folder, "dashboard at http://");
    assert_ne!(dashboard.status("/login", "evil.example"), 200);
    dashboard.answers_its_probes_and_ends();
}
