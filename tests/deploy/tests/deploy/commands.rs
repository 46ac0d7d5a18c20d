//! Whether our program takes every command that is written in `deploy/` and in docs/operating.md.

use std::process::Command;

use crate::{
    process::{Process, words},
    repository::read,
};

/// Asks the real parser: with `--help` behind it a command is read and not obeyed.
fn check(told_in: &str, words: &[String]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_my-program"));
    let output = command.args(words).arg("--help").output().expect("starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told_in}: my-program {}: {told}", words.join(" "));
}

#[test]
fn the_parser_refuses_what_it_does_not_know_although_help_is_asked_for() {
    for wrong in [["worker", "--port"], ["--listen", "worker"], ["worker", "--listen=9000"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_my-program"));
        let output = command.args(wrong).arg("--help").output().expect("starts");
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn every_process_that_is_started_somewhere_has_a_command_that_the_program_takes() {
    let all = Process::all();
    for command in ["worker", "scheduler", "dashboard"] {
        let started = all.iter().filter(|process| process.command() == command).count();
        assert_eq!(started, 3, "by systemd, compose and Kubernetes: {command}");
    }
    for process in all {
        check(&process.told_in, &process.words);
    }
}

#[test]
fn the_image_starts_a_worker_without_a_shell() {
    let dockerfile = read("deploy/docker/Dockerfile");
    let list = |key: &str| {
        let line = dockerfile.lines().find_map(|line| line.strip_prefix(key)).expect("it is there");
        words(&serde_json::from_str(line).expect("a list: with a shell in front no signal would arrive"))
    };
    assert_eq!(list("ENTRYPOINT "), ["/usr/local/bin/program"]);
    assert!(dockerfile.contains("COPY --from=build /out/program /usr/local/bin/program\n"));
    check("deploy/docker/Dockerfile", &list("CMD "));
}

#[test]
fn every_command_in_the_document_is_one_that_the_program_takes() {
    let document = read("docs/operating.md");
    let mut commands = Vec::new();
    for (number, part) in document.split("```").enumerate() {
        match number % 2 {
            1 => commands.extend(part.lines()),
            _ => commands.extend(part.split('`').skip(1).step_by(2)),
        }
    }
    let commands: Vec<_> = commands.into_iter().filter_map(|text| text.strip_prefix("my-program ")).collect();
    assert!(commands.len() >= 12, "{commands:?}");
    for command in commands {
        // What a shell does with it is not the program's.
        let own = command.split(['|', '>', '<', '#', ';']).next().unwrap_or_default();
        let words: Vec<_> = own.split_whitespace().map(|word| word.trim_matches('\'').to_owned()).collect();
        check("docs/operating.md", &words);
    }
}
