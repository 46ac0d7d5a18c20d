//! `--listen`: tells whoever runs this process, over HTTP, whether it lives and whether it can work.
//!
//! `GET /healthz` is answered while the process runs at all. `GET /readyz` is 200 if it can work, and else 503 with what is
//! wrong, a sentence a line. Nothing else is shown, so nothing has to be protected.

use std::{future::Future, net::SocketAddr, sync::Arc};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use taskq_core::{Clock, Error, ErrorKind, Result};
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
pub(super) fn serve(listener: Option<TcpListener>, clock: &Clock, pulses: Pulses) {
    let Some(listener) = listener else { return };
    let at = listener.local_addr().map_or_else(|error| error.to_string(), |address| address.to_string());
    tracing::info!(%at, "answers /healthz and /readyz");
    drop(clock.spawn("probes", answer(listener, pulses)));
}

fn answer(listener: TcpListener, pulses: Pulses) -> impl Future<Output = ()> {
    let ready = async |State(pulses): State<Arc<Pulses>>| match pulses.complaints() {
        complaints if complaints.is_empty() => (StatusCode::OK, "ready\n".to_owned()),
        complaints => (StatusCode::SERVICE_UNAVAILABLE, complaints.join("\n") + "\n"),
    };
    let router = Router::new()
        .route("/healthz", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .with_state(Arc::new(pulses));
    async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "/healthz and /readyz are answered no more");
        }
    }
}
