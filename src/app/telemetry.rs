//! [`Telemetry`]: what a program tells of itself: its log, and its traces if it has been asked for them.

use std::io::IsTerminal;

use taskq_core::BoxError;
use tracing_subscriber::EnvFilter;
#[cfg(feature = "otel")]
use tracing_subscriber::{Layer, layer::SubscriberExt, registry, util::SubscriberInitExt};

use crate::config::Config;
#[cfg(feature = "otel")]
use crate::otel::{self, Traces};

/// Log and traces of a program, until it ends.
#[derive(Debug)]
pub(super) struct Telemetry {
    #[cfg(feature = "otel")]
    traces: Traces,
}

impl Telemetry {
    /// Begins. A program that has set its own subscriber keeps it.
    #[cfg(feature = "otel")]
    pub(super) fn start(config: &Config) -> Result<Self, BoxError> {
        let (layer, traces, trouble) = match otel::layer() {
            Ok((layer, traces)) => (layer, traces, None),
            Err(error) => (None, Traces::off(), Some(error)),
        };
        match layer {
            None => log_to_stderr(config)?,
            Some(layer) => {
                // Colours are for people: not in a pipe or a file.
                let is_read = std::io::stderr().is_terminal();
                let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(is_read);
                // What is logged and what is exported are two questions.
                let log = log.with_filter(EnvFilter::try_new(&config.log_filter)?);
                drop(registry().with(layer).with(log).try_init());
            }
        }
        if let Some(error) = trouble {
            // Tasks have to run all the same.
            tracing::error!(%error, "no traces are exported");
        }
        Ok(Self { traces })
    }

    /// Begins. A program that has set its own subscriber keeps it.
    #[cfg(not(feature = "otel"))]
    pub(super) fn start(config: &Config) -> Result<Self, BoxError> {
        log_to_stderr(config)?;
        Ok(Self {})
    }

    /// Exports what there is, in bounded time.
    pub(super) async fn end(self) {
        #[cfg(feature = "otel")]
        self.traces.end().await;
    }
}

/// Logs go to standard error: standard output is for results.
fn log_to_stderr(config: &Config) -> Result<(), BoxError> {
    let filter = EnvFilter::try_new(&config.log_filter)?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Colours are for people: not in a pipe or a file.
    let subscriber = subscriber.with_ansi(std::io::stderr().is_terminal());
    drop(subscriber.try_init());
    Ok(())
}
