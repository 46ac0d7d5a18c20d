//! What is watched: servers on free ports of this machine, well and not so well.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::{get, post},
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Answers by path: `/ok`, `/slow`, `/hangs`, `/error`, `/redirect`.
pub(crate) async fn website() -> Result<SocketAddr> {
    let hang = || async {
        std::future::pending::<()>().await;
    };
    let slow = || async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        "here I am"
    };
    let router = Router::new()
        .route("/ok", get(async || Json(json!({ "status": "up", "queue": 3 }))))
        .route("/slow", get(slow))
        .route("/hangs", get(hang))
        .route("/error", get(async || StatusCode::INTERNAL_SERVER_ERROR))
        .route(
            "/redirect",
            get(async || (StatusCode::FOUND, [(header::LOCATION, "http://10.0.0.1/")]).into_response()),
        );
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

/// A server that can be killed, and started again at the same place.
pub(crate) async fn shop(address: Option<SocketAddr>) -> Result<(SocketAddr, JoinHandle<()>)> {
    let listener = TcpListener::bind(address.unwrap_or_else(|| ([127, 0, 0, 1], 0).into())).await?;
    let address = listener.local_addr()?;
    let router = Router::new().route("/", get(async || "open"));
    let server = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
    Ok((address, server))
}

/// Where webhooks arrive: each as its line for people.
pub(crate) async fn pager() -> Result<(SocketAddr, mpsc::UnboundedReceiver<String>)> {
    let (send, receive) = mpsc::unbounded_channel();
    let take = async |State(send): State<mpsc::UnboundedSender<String>>, Json(notice): Json<Value>| {
        drop(send.send(notice["text"].as_str().unwrap_or_default().to_owned()));
    };
    let router = Router::new().route("/", post(take)).with_state(send);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok((address, receive))
}

/// A port at which nobody listens.
pub(crate) async fn nobody() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?)
}

/// An authority of our own, and servers whose certificates it signed.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

impl Authority {
    pub(crate) fn new() -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// A server whose certificate ends so many days from now; it has ended already if that is negative.
    pub(crate) async fn server(&self, days: i64) -> Result<SocketAddr> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(["localhost".to_owned()])?;
        let now = std::time::SystemTime::now();
        let day = Duration::from_secs(86_400);
        params.not_before = (now - day * 400).into();
        let days_off = day * u32::try_from(days.unsigned_abs())?;
        params.not_after = if days < 0 { now - days_off } else { now + days_off }.into();
        let certificate = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(serve_tls(listener, TlsAcceptor::from(Arc::new(config))));
        Ok(address)
    }
}

async fn serve_tls(listener: TcpListener, acceptor: TlsAcceptor) {
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let mut request = [0; 2048];
            if stream.read(&mut request).await.is_ok() {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
                drop(stream.write_all(answer).await);
                drop(stream.shutdown().await);
            }
        });
    }
}
