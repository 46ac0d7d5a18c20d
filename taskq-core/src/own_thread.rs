//! [`OwnThread`]: a loop that must go on whatever the program's other threads do, on a thread and a connection of its own.
//!
//! Heartbeats and elections are such loops: a body that blocks every thread of the runtime must cost neither a lease nor a
//! leadership. Under a simulated clock it is a loop like all others.

use std::future::Future;

use crate::{
    connection::Connection,
    error::{BoxError, Error, ErrorKind, Result},
};

/// A running loop.
#[derive(Debug)]
pub struct OwnThread {
    name: &'static str,
    running: Running,
}

#[derive(Debug)]
enum Running {
    Thread(std::thread::JoinHandle<()>),
    Loop(tokio::task::JoinHandle<()>),
}

impl OwnThread {
    /// Runs `body` on a connection of its own to the same broker; returns when that is open.
    ///
    /// # Errors
    /// If the broker cannot be reached, or the thread cannot be started.
    pub async fn start<Fut>(
        name: &'static str,
        connection: &Connection,
        body: impl FnOnce(Connection) -> Fut + Send + 'static,
    ) -> Result<Self>
    where
        Fut: Future<Output = ()> + Send + 'static,
    {
        let clock = connection.clock();
        if clock.is_simulated() {
            let own = connection.open_another().await?;
            return Ok(Self { name, running: Running::Loop(clock.spawn(name, body(own))) });
        }
        let (say_opened, opened) = tokio::sync::oneshot::channel();
        let connection = connection.clone();
        let whole = move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(say_opened.send(Err(cannot_start(name, error)))),
            };
            runtime.block_on(async move {
                match connection.open_another().await {
                    Ok(own) => {
                        // If nobody listens any more, the start was given up, and the body ends with it.
                        drop(say_opened.send(Ok(())));
                        body(own).await;
                    }
                    Err(error) => drop(say_opened.send(Err(error))),
                }
            });
        };
        let thread = std::thread::Builder::new().name(format!("taskq-{name}")).spawn(whole);
        let thread = thread.map_err(|error| cannot_start(name, error))?;
        opened.await.map_err(|_| cannot_start(name, "its thread ended"))??;
        Ok(Self { name, running: Running::Thread(thread) })
    }

    /// Waits for its end, which somebody has announced to the body.
    pub async fn ended(self) {
        let panicked = match self.running {
            Running::Loop(handle) => handle.await.is_err(),
            // It ends within one call of its broker; the wait is short and happens once.
            Running::Thread(thread) => tokio::task::spawn_blocking(|| thread.join().is_err()).await.unwrap_or(true),
        };
        if panicked {
            tracing::error!(name = self.name, "it panicked");
        }
    }
}

fn cannot_start(name: &'static str, error: impl Into<BoxError>) -> Error {
    Error::new(ErrorKind::Internal, "start", name).because(error)
}
