//! taskq as its users have it: the facade, a client, a worker, nothing special.

use std::process::ExitCode;

use bench_driver::{About, Job, Outcome, Report};

mod bulk;
mod drain;
mod flow;

mod lone;
mod one_by_one;

mod load;
mod pacer;

mod backlog;
mod due;
mod idle;
mod memory;
mod processes;
mod purge;

mod audit;
mod stage;
mod stamps;
mod tasks;

const ABOUT: About = About {
    system: "taskq",
    version: env!("CARGO_PKG_VERSION"),
    engine: "redis, sqlite",
    settings: "the defaults; 800 slots; 2 threads",
    lacks: "",
};

fn main() -> ExitCode {
    bench_driver::run(ABOUT, measure)
}

async fn measure(job: Job) -> Outcome<Report> {
    match job.metric.as_str() {
        "enqueue_one" => one_by_one::enqueue_one(&job).await,
        "enqueue_over_ping" => one_by_one::enqueue_over_ping(&job).await,
        "enqueue_64" => one_by_one::enqueue_64(&job).await,
        "enqueue_all" => bulk::enqueue_all(&job).await,
        "enqueue_all_untracked" => bulk::enqueue_all_untracked(&job).await,
        "fill_delayed" => memory::fill_delayed(&job).await,
        "fill_finished" => memory::fill_finished(&job).await,
        "drain" => drain::drain(&job).await,
        "drain_results" => drain::drain_results(&job).await,
        "flow" => flow::flow(&job).await,
        "flow_results" => flow::flow_results(&job).await,
        "start" => lone::start(&job).await,
        "result" => lone::result(&job).await,
        "load" => load::load(&job).await,
        "load_capacity" => load::capacity(&job).await,
        "idle" => idle::idle(&job).await,
        "due_100k" => due::due(&job).await,
        "purge_1m" => purge::purge(&job).await,
        "purge_delayed" => purge::purge_delayed(&job).await,
        "backlog" => backlog::backlog(&job).await,
        "processes" => processes::drain_by_others(&job).await,
        "start_processes" => processes::start_in_another(&job).await,
        "serve" => processes::serve(&job).await,
        "serve_idle" => processes::serve_idle(&job).await,
        other => Ok(Report::skipped(&format!("taskq has no measurement {other}"))),
    }
}
