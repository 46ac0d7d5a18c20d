//! `cargo xtask chaos`: real producers, workers and servers under real faults, and a check of what happened.
//!
//! ```text
//!   producers --- enqueue ---> server or file <--- claim, settle --- workers
//!       |                          ^                                    |
//!       |                       nemesis: kills, stops, cuts, fills      |
//!       v                                                               v
//!   what was acknowledged  ------------> check <------------  what ran, under which token
//! ```
//!
//! Every process appends what it did to a file of its own, outside the broker. After the faults everything is healed and
//! drained, and the files have to agree with what the broker says.

mod campaign;
mod check;
mod clock;
mod fleet;
mod history;
mod nemesis;
mod options;
mod outcome;
mod producer;
mod scheduler;
mod soak;
mod stage;
mod starvation;
mod theatre;
mod worker;

use std::{
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
};

use clap::Parser;

use options::{Options, Role};
use stage::Ground;

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let ended = match &options.role {
        Some(Role::Worker(arguments)) => worker::run(arguments).await.map(|()| true),
        Some(Role::Producer(arguments)) => producer::run(arguments).await.map(|()| true),
        Some(Role::Scheduler(arguments)) => scheduler::run(arguments).await.map(|()| true),
        None => conduct(&options).await,
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Told to itself by a conductor that has mounts of its own.
const OWN_MOUNTS: &str = "TASKQ_CHAOS_OWN_MOUNTS";

/// Begins again with mounts of its own, as a small disk is mounted: they end with the process, and nobody else sees them.
fn own_mounts() -> Result<(), String> {
    if std::env::var_os(OWN_MOUNTS).is_some() {
        return Ok(());
    }
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "--"]).arg(program).args(std::env::args_os().skip(1));
    let error = command.env(OWN_MOUNTS, "1").exec();
    Err(format!(
        "disk-full mounts a small disk in a mount namespace, by `unshare` of util-linux, and that failed: {error}"
    ))
}

/// Runs what was asked for; whether all of it kept the promises.
async fn conduct(options: &Options) -> Result<bool, Box<dyn std::error::Error>> {
    let mut outcomes = Vec::new();
    let campaigns = options.campaigns()?;
    if campaigns.iter().any(|(nemesis, _)| nemesis.ground() == Ground::SmallDisk) {
        own_mounts()?;
    }
    for (nemesis, broker) in campaigns {
        eprintln!("== {nemesis} on {broker}, seed {}: {}", options.seed, nemesis.describe());
        let outcome = campaign::run(nemesis, broker, options).await?;
        if options.json {
            println!("{}", serde_json::to_string(&outcome)?);
        }
        outcomes.push(outcome);
    }
    if !options.json {
        outcome::print(&outcomes);
    }
    Ok(outcomes.iter().all(|outcome| outcome.ok))
}
