//! The measurements that every driver under `benches/peers/` makes, written once so that they mean the same for each
//! peer. A driver says how its peer enqueues, works and answers ([`Peer`]); [`measure`] does the rest.

mod latency;
mod peer;
mod throughput;

use bench_driver::{Job, Outcome, Report};

pub use peer::{Args, Body, Peer, Results, Running};

/// Makes one measurement of a peer. `benches/peers/README.md` says what each of them means.
pub async fn measure<P: Peer>(job: Job) -> Outcome<Report> {
    if let Some(reason) = P::lacks(&job).await? {
        return Ok(Report::skipped(reason));
    }
    match job.metric.as_str() {
        "enqueue_one" => latency::enqueue_one::<P>(&job).await,
        "enqueue_64" => throughput::enqueue_64::<P>(&job).await,
        "enqueue_all" => throughput::enqueue_all::<P>(&job).await,
        "drain" => throughput::drain::<P>(&job, Results::Discard).await,
        "drain_results" => throughput::drain::<P>(&job, Results::Store).await,
        "flow" => throughput::flow::<P>(&job, Results::Discard).await,
        "flow_results" => throughput::flow::<P>(&job, Results::Store).await,
        "start" => latency::start::<P>(&job).await,
        "result" => latency::result::<P>(&job).await,
        "idle" => latency::idle::<P>(&job).await,
        "due_100k" => throughput::due::<P>(&job).await,
        unknown => Err(format!(
            "unknown metric {unknown}; known: enqueue_one enqueue_64 enqueue_all drain drain_results flow flow_results \
             start result idle due_100k"
        )
        .into()),
    }
}
