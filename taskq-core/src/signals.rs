//! What an operator tells a process by a signal.

/// Returns when the process is to end: SIGTERM or ctrl-c.
pub async fn stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                tokio::select! {
                    biased;
                    _signal = terminate.recv() => {}
                    _ctrl_c = tokio::signal::ctrl_c() => {}
                }
            }
            Err(error) => {
                tracing::error!(%error, "cannot listen for SIGTERM");
                let _ctrl_c = tokio::signal::ctrl_c().await;
            }
        }
    }
    #[cfg(not(unix))]
    {
        let _ctrl_c = tokio::signal::ctrl_c().await;
    }
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
        if let Some(hangups) = &mut self.hangups
            && hangups.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}
