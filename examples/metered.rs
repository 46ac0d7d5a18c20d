//! A program that tells Prometheus what it does: tasks that succeed, that need a second attempt, and that are beyond help.
//!
//! ```sh
//! cargo run --features metrics --example metered -- worker --scheduler --listen 127.0.0.1:9000
//! cargo run --features metrics --example metered -- enqueue resize '{"width": 640}'
//! cargo run --features metrics --example metered -- enqueue fetch '{}'
//! curl localhost:9000/metrics
//! curl 'localhost:9000/depth?queue=images'
//! ```
//!
//! docs/metrics.md explains each number; deploy/ has a dashboard for Grafana and alerts for Prometheus.

use std::process::ExitCode;

use taskq::prelude::*;

/// Succeeds.
#[task(queue = "images")]
fn resize(width: u32) -> u32 {
    width / 2
}

/// Fails at its first attempt.
#[task(queue = "images", retry = Retry::fixed(Duration::from_millis(50)).attempts(3))]
async fn fetch(ctx: &Context) -> TaskResult<u32> {
    match ctx.attempt() {
        1 => Err("the other side was busy".into()),
        attempt => Ok(attempt),
    }
}

/// Becomes a dead letter at once.
#[task(queue = "images")]
fn decode() -> TaskResult<()> {
    Err(TaskError::fatal("not an image"))
}

#[tokio::main]
async fn main() -> ExitCode {
    taskq::app().main().await
}
