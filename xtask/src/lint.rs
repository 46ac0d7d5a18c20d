//! `cargo xtask lint`: everything about the code that a program can judge without running it. All
//! steps run, also after one has failed, so that one run tells everything.

use std::process::{Command, ExitCode};

use clap::Args;

use crate::cargo::{cargo, has_cargo_command};
use crate::failure::Failure;
use crate::headline;

/// Checks format, lints, documentation and licences.
///
/// Runs `cargo fmt --check`, `cargo clippy` and `cargo doc`, with warnings as errors, over the
/// whole workspace with all features; and `cargo deny`, which judges the licences and the origin
/// of all dependencies by deny.toml, where it is installed.
#[derive(Args, Debug)]
#[command(after_help = "Most of what it finds is mended by:\n  \
    cargo fmt --all\n  \
    cargo clippy --workspace --all-features --all-targets --fix --allow-dirty")]
pub(crate) struct LintOptions {}

/// Runs all checks and fails if any of them did.
pub(crate) fn run(_options: &LintOptions) -> Result<ExitCode, Failure> {
    let checks =
        [("format", format()), ("clippy", clippy()), ("documentation", documentation()), ("licences", licences())];
    let mut failed = Vec::new();
    for (name, command) in checks {
        headline(name);
        let passed = match command {
            Some(command) => succeeds(command)?,
            None => {
                println!("not checked: cargo-deny is missing (cargo install --locked cargo-deny)");
                continue;
            }
        };
        if !passed {
            failed.push(name);
        }
    }
    match failed.is_empty() {
        true => Ok(ExitCode::SUCCESS),
        false => Err(Failure::new(format!("not in order: {}", failed.join(", ")))),
    }
}

fn format() -> Option<Command> {
    let mut command = cargo();
    command.args(["fmt", "--all", "--check"]);
    Some(command)
}

fn clippy() -> Option<Command> {
    let mut command = cargo();
    command.args(["clippy", "--workspace", "--all-features", "--all-targets"]);
    command.args(["--", "-D", "warnings"]);
    Some(command)
}

fn documentation() -> Option<Command> {
    let mut command = cargo();
    command.args(["doc", "--no-deps", "--workspace", "--all-features"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    Some(command)
}

/// Advisories are left out: their database has to be fetched, and a new one must not turn an old
/// commit red.
fn licences() -> Option<Command> {
    if !has_cargo_command("deny") {
        return None;
    }
    let mut command = cargo();
    command.args(["deny", "--all-features", "check", "licenses", "bans", "sources"]);
    Some(command)
}

fn succeeds(mut command: Command) -> Result<bool, Failure> {
    match command.status() {
        Ok(status) => Ok(status.success()),
        Err(err) => Err(Failure::new(format!("cannot run {command:?}: {err}"))),
    }
}
