//! One awaited round trip after the other.

use std::time::Instant;

use bench_driver::{Job, Outcome, Report, quantile_micros};

use crate::{
    element::{READY, element},
    server::connect,
};

/// Microseconds of one PING, the median.
pub(crate) async fn ping(job: &Job) -> Outcome<Report> {
    let mut connection = connect(&job.url).await?;
    let mut times = Vec::new();
    for _ in 0..job.tasks {
        let begun = Instant::now();
        let _pong: String = redis::cmd("PING").query_async(&mut connection).await?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    Ok(Report::default().value("ping", "us", quantile_micros(&times, 0.5)))
}

/// Microseconds of one awaited push, the median.
pub(crate) async fn enqueue_one(job: &Job) -> Outcome<Report> {
    let mut connection = connect(&job.url).await?;
    let mut times = Vec::new();
    for number in 0..job.tasks {
        let begun = Instant::now();
        let mut push = redis::cmd("LPUSH");
        let _length: u64 = push.arg(READY).arg(element(number)).query_async(&mut connection).await?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    let report = Report::default().value("enqueue_one", "us", quantile_micros(&times, 0.5));
    Ok(report.value("enqueue_one_p99_us", "us", quantile_micros(&times, 0.99)))
}
