//! The floor below taskq: what the engine allows through the same client, without any framework.
//!
//! A floor is the least that a task queue has to ask of the engine. It is the same whatever layout taskq chooses, so it is
//! what taskq is measured against, and it is no queue: it checks nothing, knows no delay and nobody's death.

use std::process::ExitCode;

use bench_driver::{About, Job, Outcome, Report};

mod cycle;
mod fill;
mod layouts;
mod round_trips;
mod wake;

mod disk;
mod redis_benchmark;

mod element;
mod server;

const ABOUT: About = About {
    system: "floor",
    version: env!("CARGO_PKG_VERSION"),
    engine: "redis",
    settings: "LPUSH in batches of 200; settle rides with the next claim; the better of 2 x 200 and 4 x 100 in flight",
    lacks: "everything but a lease that nobody checks: fencing, recovery, delays, cancelling, limits",
};

fn main() -> ExitCode {
    bench_driver::run(ABOUT, measure)
}

async fn measure(job: Job) -> Outcome<Report> {
    match job.metric.as_str() {
        "enqueue_all" => fill::enqueue_all(&job).await,
        "drain" => cycle::drain(&job).await,
        "drain_results" => cycle::drain_results(&job).await,
        "ping" => round_trips::ping(&job).await,
        "enqueue_one" => round_trips::enqueue_one(&job).await,
        "wake" => wake::wake(&job).await,
        "two_hop" => wake::two_hop(&job).await,
        "redis_benchmark" => redis_benchmark::measure(&job),
        "layouts" => layouts::measure(&job).await,
        "fsync" => disk::fsync(&job),
        other => Ok(Report::skipped(&format!("there is no floor for {other}"))),
    }
}
