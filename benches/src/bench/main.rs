//! `cargo xtask bench`: taskq beside what the engine allows, and beside its peers, in one run.
//!
//! Every measured system is a driver, a program of its own (`benches/driver` says how it is spoken to). This harness starts
//! the servers, runs the drivers in turn, looks at the server meanwhile, audits, and prints. Absolute figures drift on
//! shared machines, so what is compared is measured in turn: run 1 of every system, then run 2, and so on.
//!
//! Reading order: `catalogue` says what is measured, `conductor` plays it, `watch` looks at the server meanwhile, `results`
//! keeps the figures, `table`, `targets` and `json` show them.

use std::process::ExitCode;

use bench_driver::Outcome;
use clap::Parser;

mod catalogue;
mod options;
mod selection;

mod conductor;
mod crew;
mod driver;
mod ground;
mod systems;

mod monitor;
mod pinger;
mod proxy;
mod slow_log;
mod watch;

mod figure;
mod json;
mod results;
mod table;
mod targets;

use crate::{conductor::Conductor, options::Options, results::Results, selection::Selection, systems::Systems};

fn main() -> ExitCode {
    run(&Options::parse()).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

fn run(options: &Options) -> Outcome<ExitCode> {
    let selection = Selection::of(options)?;
    let systems = Systems::find(&options.peer)?;
    let results = Conductor::new(options, &systems)?.play(&selection)?;
    if let Some(path) = &options.json {
        json::write(path, &results)?;
    }
    show(&selection, &systems, &results);
    Ok(results.exit_code())
}

fn show(selection: &Selection, systems: &Systems, results: &Results) {
    table::print(results);
    systems.print_peers(results);
    targets::print(results);
    selection.print_left_out();
    results.print_failures();
}
