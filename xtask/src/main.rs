//! `cargo xtask`: the project's own commands. Each begins on a machine that has only Rust, and
//! leaves nothing running.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod chaos;
mod lint;
mod test;

mod browser;
mod instructions;
mod leftovers;
mod package_manager;
mod prometheus;
mod runner;
mod server;
mod summary;
mod test_folder;

mod cargo;
mod failure;

/// The project's own commands.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    after_help = "Before a change is handed in, both must pass:\n  \
        cargo xtask lint\n  \
        cargo xtask test"
)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Test(test::TestOptions),
    Lint(lint::LintOptions),
    Bench(bench::BenchOptions),
    Chaos(chaos::ChaosOptions),
    #[command(hide = true)]
    CleanUpAfter(leftovers::CleanUpOptions),
}

fn main() -> ExitCode {
    let done = match CommandLine::parse().command {
        Command::Test(options) => test::run(&options),
        Command::Lint(options) => lint::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Chaos(options) => chaos::run(&options),
        Command::CleanUpAfter(options) => leftovers::clean_up_after(&options),
    };
    done.unwrap_or_else(|failure| {
        eprintln!("error: {failure}");
        ExitCode::FAILURE
    })
}

/// Shows where a command has come to.
fn headline(text: &str) {
    println!("== {text}");
}
