//! What an operator tells a process by a signal.

/// Hears when the process is to end: SIGTERM or ctrl-c. From [`listen`](Self::listen) on neither ends it by itself, so that
/// has to come before whatever must not be torn off.
#[derive(Debug)]
pub struct Stops {
    #[cfg(unix)]
    signals: [Option<tokio::signal::unix::Signal>; 2],
}

impl Stops {
    /// Listens from now on.
    pub fn listen() -> Self {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let listen = |kind| {
                let listening = signal(kind);
                if let Err(error) = &listening {
                    tracing::error!(%error, "cannot listen for signals");
                }
                listening.ok()
            };
            Self { signals: [SignalKind::terminate(), SignalKind::interrupt()].map(listen) }
        }
        #[cfg(not(unix))]
        Self {}
    }

    /// Returns at the next one.
    pub async fn next(&mut self) {
        #[cfg(unix)]
        {
            let [terminate, interrupt] = &mut self.signals;
            tokio::select! {
                biased;
                () = next_of(terminate) => {}
                () = next_of(interrupt) => {}
            }
        }
        #[cfg(not(unix))]
        {
            let _ctrl_c = tokio::signal::ctrl_c().await;
        }
    }
}

#[cfg(unix)]
async fn next_of(signal: &mut Option<tokio::signal::unix::Signal>) {
    if let Some(signal) = signal
        && signal.recv().await.is_some()
    {
        return;
    }
    std::future::pending().await
}

/// Hears when the process is to read its configuration again: SIGHUP. While this lives a SIGHUP does not end it.
#[derive(Debug)]
pub struct Reloads {
    #[cfg(unix)]
    hangups: Option<tokio::signal::unix::Signal>,
}

impl Reloads {
    /// Listens from now on.
    pub fn listen() -> Self {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let hangups = signal(SignalKind::hangup());
            if let Err(error) = &hangups {
                tracing::error!(%error, "cannot listen for SIGHUP");
            }
            Self { hangups: hangups.ok() }
        }
        #[cfg(not(unix))]
        Self {}
    }

    /// Returns at the next one; never where there is no such signal.
    pub async fn next(&mut self) {
        #[cfg(unix)]
        next_of(&mut self.hangups).await;
        #[cfg(not(unix))]
        std::future::pending::<()>().await;
    }
}
