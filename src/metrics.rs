//! What a process did and how its queues are, as metrics for Prometheus.
//!
//! With the feature `metrics` a program made with [`taskq::app`](crate::app()) answers `GET /metrics` where it listens. In a server of
//! your own, [`Metrics::text`] makes the same text:
//!
//! ```no_run
//! # async fn example(connection: taskq::Connection) -> taskq::Result<()> {
//! use taskq::{Worker, metrics::{CONTENT_TYPE, Metrics}};
//!
//! let worker = Worker::builder(connection.clone()).queue("mail", 20).start().await?;
//! let metrics = Metrics::of(&connection).worker(worker.pulse());
//! // In the handler of GET /metrics, with CONTENT_TYPE as its content type:
//! let body = metrics.text().await;
//! # Ok(())
//! # }
//! ```
//!
//! The promise: whatever is enqueued, the text stays small, and a scrape never waits for long. Queues and task names have
//! bounds, beyond which they are counted as `other` or left out; the broker is asked at most once a second, and if it does not
//! answer in time, the rest is told without it. Nothing is registered anywhere else: each `Metrics` stands for itself.
//! docs/metrics.md explains every family.

mod answers;
mod family;
mod scrape;

use std::sync::Arc;

use prometheus_client::{encoding::text::encode, registry::Registry};
use taskq_core::{
    Connection, Counts, Error, ErrorKind, QueueName, Result,
    figures::{Figure, Figures},
    limits,
};
use taskq_worker::Pulse;

use answers::Asked;
pub use family::{Family, Kind, families};
use scrape::Scrape;

/// The content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What a process tells Prometheus. Cheap to clone; clones ask the broker together.
#[derive(Clone, Debug)]
pub struct Metrics {
    connection: Connection,
    workers: Vec<Pulse>,
    #[cfg(feature = "scheduler")]
    scheduler: Option<taskq_scheduler::Pulse>,
    asked: Arc<Asked>,
}

impl Metrics {
    /// What the clients of a connection did, and how its queues are.
    pub fn of(connection: &Connection) -> Self {
        Self {
            connection: connection.clone(),
            workers: Vec::new(),
            #[cfg(feature = "scheduler")]
            scheduler: None,
            asked: Arc::default(),
        }
    }

    /// Also what a worker of this process did: [`WorkerHandle::pulse`](crate::WorkerHandle::pulse). Several are added up.
    #[must_use]
    pub fn worker(mut self, worker: Pulse) -> Self {
        self.workers.push(worker);
        self
    }

    /// Also what the scheduler of this process did: [`SchedulerHandle::pulse`](crate::SchedulerHandle::pulse).
    #[cfg(feature = "scheduler")]
    #[must_use]
    pub fn scheduler(self, scheduler: taskq_scheduler::Pulse) -> Self {
        Self { scheduler: Some(scheduler), ..self }
    }

    /// What the process has counted so far: its workers and the clients of the connection together.
    pub fn figures(&self) -> Figures {
        let mut figures = self.connection.figures();
        self.workers.iter().for_each(|worker| figures.add_up(&worker.figures()));
        figures
    }

    /// Everything as OpenMetrics text. It takes at most [`limits::METRICS_BOUND`], and a moment more.
    pub async fn text(&self) -> String {
        let answers = self.asked.answers(&self.connection).await;
        let scrape = Scrape {
            figures: self.figures(),
            is_ready: (!self.workers.is_empty())
                .then(|| self.workers.iter().all(|worker| worker.readiness().is_ready())),
            #[cfg(feature = "scheduler")]
            scheduler: self.scheduler.clone(),
            answers,
        };
        let mut registry = Registry::default();
        registry.register_collector(Box::new(scrape));
        let mut text = String::new();
        encode(&mut text, &registry).expect("a text takes whatever is written");
        text
    }

    /// How many tasks a queue holds, for autoscalers.
    ///
    /// # Errors
    /// If the broker cannot be asked, or does not answer within [`limits::METRICS_BOUND`].
    pub async fn counts(&self, queue: &QueueName) -> Result<Counts> {
        let counts = self.connection.inspect().counts(queue);
        let in_time = self.connection.clock().timeout(limits::METRICS_BOUND, counts).await;
        in_time.unwrap_or_else(|_| Err(Error::new(ErrorKind::DeadlineExceeded, "count", queue)))
    }
}
