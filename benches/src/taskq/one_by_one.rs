//! Tasks enqueued one at a time, each awaited.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use bench_driver::{Job, Outcome, Report, Spent, quantile_micros};
use redis::{AsyncConnectionConfig, IntoConnectionInfo, aio::MultiplexedConnection, io::tcp::TcpSettings};
use tokio::task::JoinSet;

use crate::{
    stage::Stage,
    tasks::{TEXT, noop},
};

/// As many callers share one client in `enqueue_64`.
const CALLERS: usize = 64;

/// The first ones, for which scripts are loaded and caches filled, do not count.
const WARM_UP: u64 = 20;

/// Microseconds of one awaited enqueue, the median.
pub(crate) async fn enqueue_one(job: &Job) -> Outcome<Report> {
    let stage = Stage::open(job, 0).await?;
    warm_up(&stage).await?;
    let mut times = Vec::new();
    for n in 0..job.tasks {
        let begun = Instant::now();
        stage.client.enqueue(noop::with(n, TEXT.to_owned())).await?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    let report = Report::default().value("enqueue_one", "us", quantile_micros(&times, 0.5));
    Ok(report.value("enqueue_one_p99_us", "us", quantile_micros(&times, 0.99)))
}

/// How many PINGs one awaited enqueue takes. They alternate, so that both meet the same moments of the machine.
pub(crate) async fn enqueue_over_ping(job: &Job) -> Outcome<Report> {
    let stage = Stage::open(job, 0).await?;
    warm_up(&stage).await?;
    let mut connection = connect(&job.url).await?;
    let (mut pings, mut enqueues) = (Vec::new(), Vec::new());
    for n in 0..job.tasks {
        let begun = Instant::now();
        let _pong: String = redis::cmd("PING").query_async(&mut connection).await?;
        pings.push(begun.elapsed());
        let begun = Instant::now();
        stage.client.enqueue(noop::with(n, TEXT.to_owned())).await?;
        enqueues.push(begun.elapsed());
    }
    pings.sort_unstable();
    enqueues.sort_unstable();
    let ratio = quantile_micros(&enqueues, 0.5) / quantile_micros(&pings, 0.5);
    Ok(Report::default().value("enqueue_over_ping", "x", ratio))
}

/// Tasks a second by many callers at once on one client.
pub(crate) async fn enqueue_64(job: &Job) -> Outcome<Report> {
    let stage = Stage::open(job, 0).await?;
    warm_up(&stage).await?;
    let next = Arc::new(AtomicU64::new(0));
    let (spent, tasks) = (Spent::new(), job.tasks);
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (client, next) = (stage.client.clone(), Arc::clone(&next));
        callers.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= tasks {
                    return Outcome::Ok(());
                }
                client.enqueue(noop::with(n, TEXT.to_owned())).await?;
            }
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    Ok(Report::default().value("enqueue_64", "/s", spent.rate(tasks)))
}

async fn warm_up(stage: &Stage) -> Outcome<()> {
    for n in 0..WARM_UP {
        stage.client.enqueue(noop::with(n, TEXT.to_owned())).await?;
    }
    Ok(())
}

/// A connection as taskq's own.
async fn connect(url: &str) -> Outcome<MultiplexedConnection> {
    let url = url.split('?').next().unwrap_or(url);
    let address = url.into_connection_info()?.set_tcp_settings(TcpSettings::default().set_nodelay(true));
    let config = AsyncConnectionConfig::new();
    Ok(redis::Client::open(address)?.get_multiplexed_async_connection_with_config(&config).await?)
}
