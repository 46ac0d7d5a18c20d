//! [`Post`]: how spans get to the collector: by HTTP, on the program's runtime, from a thread that has none.

use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use reqwest::{Client, redirect};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use taskq_core::{Result, limits};
use tokio::runtime::Handle;

use super::export::wrong;

/// Sends requests of the thread that exports spans.
#[derive(Debug)]
pub(super) struct Post {
    runtime: Handle,
    client: Client,
}

impl Post {
    pub(super) fn new(runtime: Handle, timeout: Duration) -> Result<Self> {
        let client = Client::builder()
            .timeout(timeout)
            // A token for the collector is for nobody else.
            .redirect(redirect::Policy::none())
            .tls_backend_preconfigured(tls()?)
            .build()
            .map_err(|error| wrong(error.to_string()))?;
        Ok(Self { runtime, client })
    }
}

#[async_trait]
impl HttpClient for Post {
    async fn send_bytes(&self, request: Request<Bytes>) -> std::result::Result<Response<Bytes>, HttpError> {
        // Given up, it goes on until its timeout and no longer.
        self.runtime.spawn(post(self.client.clone(), request)).await?
    }
}

async fn post(client: Client, request: Request<Bytes>) -> std::result::Result<Response<Bytes>, HttpError> {
    let mut answer = client.execute(request.try_into()?).await?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        let room = limits::TRACE_ANSWER - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = answer.status();
    *response.headers_mut() = std::mem::take(answer.headers_mut());
    Ok(response)
}

/// The system's authorities, and ring whatever the program has chosen for itself.
fn tls() -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    // Some systems have certificates that nobody can read, some have none, and most collectors need none.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(format!("TLS cannot be used: {error}")))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
