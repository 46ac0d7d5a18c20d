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
mod stage;
mod worker;

use std::process::ExitCode;

use clap::Parser;

use options::{Options, Role};

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let ended = match &options.role {
        Some(Role::Worker(arguments)) => worker::run(arguments).await.map(|()| true),
        Some(Role::Producer(arguments)) => producer::run(arguments).await.map(|()| true),
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

/// Runs what was asked for; whether all of it kept the promises.
async fn conduct(options: &Options) -> Result<bool, Box<dyn std::error::Error>> {
    let mut outcomes = Vec::new();
    for (nemesis, broker) in options.campaigns()? {
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
