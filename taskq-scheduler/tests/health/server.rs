//! [`Server`]: an HTTP server for one test, which plays the same to everybody and remembers what it got.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use taskq_core::clock::Simulation;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::world::LONG;

/// What a server does with a request.
#[derive(Clone)]
pub(crate) enum Play {
    /// Answers so.
    Answer(Vec<u8>),
    /// Answers so after this time.
    Late(Simulation, Duration, Vec<u8>),
    /// Answers so, and then lets time pass and sends no more, with the connection open, until the other side closes it.
    Stall(Simulation, Vec<u8>),
    /// Answers so, and goes on with this for ever.
    Endless(Vec<u8>, Vec<u8>),
}

impl Play {
    pub(crate) fn answer(status: &str, headers: &[&str], body: &str) -> Self {
        Self::Answer(message(status, headers, body))
    }

    pub(crate) fn redirect(status: u16, location: &str) -> Self {
        Self::answer(&format!("{status} Elsewhere"), &[&format!("Location: {location}")], "")
    }
}

pub(crate) fn message(status: &str, headers: &[&str], body: &str) -> Vec<u8> {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len()).into_bytes()
}

pub(crate) struct Server {
    pub(crate) port: u16,
    requests: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn with(play: Play) -> Self {
        Self::start(play, None).await
    }

    pub(crate) async fn with_tls(play: Play, acceptor: TlsAcceptor) -> Self {
        Self::start(play, Some(acceptor)).await
    }

    /// Answers with this body.
    pub(crate) async fn saying(body: &str) -> Self {
        Self::with(Play::answer("200 OK", &[], body)).await
    }

    async fn start(play: Play, acceptor: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&requests);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (play, seen, acceptor) = (play.clone(), Arc::clone(&seen), acceptor.clone());
                // Whoever is not satisfied closes the connection: that is no failure of the server.
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(stream, play, seen).await.ok(),
                        Some(acceptor) => match acceptor.accept(stream).await {
                            Ok(stream) => serve(stream, play, seen).await.ok(),
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        Self { port, requests, serving }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// The requests so far, heads and bodies.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("not poisoned").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    play: Play,
    seen: Arc<Mutex<Vec<String>>>,
) -> io::Result<()> {
    let request = read_request(&mut stream).await?;
    seen.lock().expect("not poisoned").push(request);
    match play {
        Play::Answer(answer) => stream.write_all(&answer).await?,
        Play::Late(simulation, time, answer) => {
            simulation.advance(time).await;
            stream.write_all(&answer).await?;
        }
        Play::Stall(simulation, answer) => {
            stream.write_all(&answer).await?;
            stream.flush().await?;
            // In small steps, between which the other side reads what there is.
            let mut gone = std::pin::pin!(stream.read_u8());
            for _ in 0..LONG.as_millis() {
                simulation.advance(Duration::from_millis(1)).await;
                tokio::select! {
                    biased;
                    _ = &mut gone => return Ok(()),
                    () = tokio::task::yield_now() => {}
                }
            }
        }
        Play::Endless(answer, more) => {
            stream.write_all(&answer).await?;
            loop {
                stream.write_all(&more).await?;
            }
        }
    }
    stream.shutdown().await
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Ok(text);
            }
        }
        bytes.push(stream.read_u8().await?);
    }
}
