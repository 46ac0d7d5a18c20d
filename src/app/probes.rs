//! `--listen`: tells whoever runs this process, over HTTP, whether it lives and whether it can work.
//!
//! `GET /healthz` is answered while the process runs at all. `GET /readyz` is 200 if it can work, and else 503 with what is
//! wrong, a sentence a line. With the feature `metrics`, `GET /metrics` and `GET /depth` tell numbers, and names of queues and
//! tasks. Nothing can be changed, and nothing else is shown.

use std::{future::Future, net::SocketAddr, sync::Arc};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use taskq_core::{Connection, Error, ErrorKind, Result};
use taskq_worker::Readiness;
use tokio::net::TcpListener;

/// What can be not ready.
#[derive(Clone, Debug, Default)]
pub(super) struct Pulses {
    pub(super) worker: Option<taskq_worker::Pulse>,
    #[cfg(feature = "scheduler")]
    pub(super) scheduler: Option<taskq_scheduler::Pulse>,
}

impl Pulses {
    fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        if let Some(Readiness::NotReady(why)) = self.worker.as_ref().map(taskq_worker::Pulse::readiness) {
            complaints.push(why);
        }
        #[cfg(feature = "scheduler")]
        if let Some(Err(why)) = self.scheduler.as_ref().map(taskq_scheduler::Pulse::readiness) {
            complaints.push(why);
        }
        complaints
    }
}

/// Takes the address, if there is one: before anything is started that would be torn off if it is taken.
pub(super) async fn bind(address: Option<SocketAddr>) -> Result<Option<TcpListener>> {
    let Some(address) = address else { return Ok(None) };
    let taken = |error: std::io::Error| {
        let cure = format!("{error}; name another address, or end whoever listens there");
        Error::new(ErrorKind::Config, "listen at", address).because(cure)
    };
    TcpListener::bind(address).await.map(Some).map_err(taken)
}

/// Answers until the process ends, if there is an address to answer at.
pub(super) fn serve(listener: Option<TcpListener>, connection: &Connection, pulses: Pulses) {
    let Some(listener) = listener else { return };
    let at = listener.local_addr().map_or_else(|error| error.to_string(), |address| address.to_string());
    #[cfg(feature = "metrics")]
    let (what, more) =
        ("answers /healthz and /readyz, /metrics and /depth", super::numbers::routes(connection, &pulses));
    #[cfg(not(feature = "metrics"))]
    let (what, more) = ("answers /healthz and /readyz", Router::new());
    tracing::info!(%at, "{what}");
    drop(connection.clock().spawn("probes", answer(listener, pulses, more)));
}

fn answer(listener: TcpListener, pulses: Pulses, more: Router) -> impl Future<Output = ()> {
    let ready = async |State(pulses): State<Arc<Pulses>>| match pulses.complaints() {
        complaints if complaints.is_empty() => (StatusCode::OK, "ready\n".to_owned()),
        complaints => (StatusCode::SERVICE_UNAVAILABLE, complaints.join("\n") + "\n"),
    };
    let router = Router::new()
        .route("/healthz", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .with_state(Arc::new(pulses))
        .merge(more);
    async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "/healthz and /readyz are answered no more");
        }
    }
}
