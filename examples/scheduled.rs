//! Tasks by schedules, in a program of one line: `worker`, `scheduler`, `schedule` and more come with `taskq::app()`.
//!
//! ```sh
//! cargo run --example scheduled -- worker --scheduler          # both in one process; or each as often as you like
//! cargo run --example scheduled -- schedule list
//! cargo run --example scheduled -- schedule add hello --task greet --args '{"name": "ann"}' --every 2s
//! cargo run --example scheduled -- schedule show chime
//! ```
//!
//! `taskq.toml` in the working directory can have more of them, and can change while the scheduler runs:
//!
//! ```toml
//! [schedule.good-morning]
//! cron = "30 7 * * Mon-Fri"
//! timezone = "Europe/Paris"
//! task = "greet"
//! args = { name = "everybody" }
//! ```

use std::process::ExitCode;

use taskq::{every, prelude::*};

/// Says hello.
#[task]
fn greet(name: String) {
    println!("hello, {name}");
}

/// Says what the broker's clock shows.
#[task]
async fn chime(ctx: &Context) {
    println!("{} of the hour", ctx.id().key);
}

#[tokio::main]
async fn main() -> ExitCode {
    taskq::app()
        .scheduler_with(|scheduler| Ok(scheduler.entry("chime", every(Duration::from_secs(3_600))?, chime::with())))
        .main()
        .await
}
