//! `GET /metrics` for Prometheus, and `GET /depth?queue=NAME` for autoscalers.

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use taskq_core::{Connection, Counts, QueueName};

use super::probes::Pulses;
use crate::metrics::{CONTENT_TYPE, Metrics};

/// How much work a queue has. KEDA's `metrics-api` scaler reads `depth`.
#[derive(Serialize)]
struct Depth {
    queue: QueueName,
    /// Tasks that have a slot or need one now: ready and running. Those that wait for their time need none.
    depth: u64,
    ready: u64,
    running: u64,
    scheduled: u64,
    retrying: u64,
    dead: u64,
}

/// What tells the numbers of this process and of its broker.
pub(super) fn routes(connection: &Connection, pulses: &Pulses) -> Router {
    let mut metrics = Metrics::of(connection);
    if let Some(worker) = &pulses.worker {
        metrics = metrics.worker(worker.clone());
    }
    #[cfg(feature = "scheduler")]
    if let Some(scheduler) = &pulses.scheduler {
        metrics = metrics.scheduler(scheduler.clone());
    }
    Router::new().route("/metrics", get(text)).route("/depth", get(depth)).with_state(metrics)
}

async fn text(State(metrics): State<Metrics>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics.text().await)
}

async fn depth(State(metrics): State<Metrics>, uri: Uri) -> Response {
    // Names of queues have no character that is written in another way in an address.
    let queue = uri.query().unwrap_or_default().split('&').find_map(|part| part.strip_prefix("queue="));
    let Some(queue) = queue else {
        return (StatusCode::BAD_REQUEST, "say which queue: /depth?queue=NAME\n").into_response();
    };
    let queue = match QueueName::new(queue) {
        Ok(queue) => queue,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    match metrics.counts(&queue).await {
        Ok(Counts { ready, running, scheduled, retrying, dead, .. }) => {
            Json(Depth { queue, depth: ready + running, ready, running, scheduled, retrying, dead }).into_response()
        }
        // Not a zero: an autoscaler that cannot ask must keep what it has.
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}
