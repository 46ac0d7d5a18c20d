//! A dozen health checks of servers that this program starts itself, one of which is killed and revived while it watches.
//!
//! ```sh
//! cargo run --example health_monitor                               # SQLite, one worker with a scheduler
//! cargo run --example health_monitor -- --url redis://127.0.0.1    # three workers and two schedulers
//! ```
//!
//! It writes a `taskq.toml` into a folder of its own, and starts itself as worker and scheduler there, as `taskq::app()`
//! makes possible. What it prints at the end is what `health_monitor health` shows there.

mod servers;
mod story;

use std::process::ExitCode;

use taskq::task;

/// A check may be a task of your own: an error is unhealthy.
#[task]
fn count_stock(least: u32) -> Result<u32, String> {
    let found = 5;
    if found < least { Err(format!("{found} left, {least} wanted")) } else { Ok(found) }
}

#[tokio::main]
async fn main() -> ExitCode {
    let first = std::env::args().nth(1);
    match first.as_deref() {
        None | Some("--url") => {
            let url = std::env::args().nth(2);
            match story::play(url).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("error: {error}");
                    ExitCode::FAILURE
                }
            }
        }
        Some(_) => taskq::app().main().await,
    }
}
