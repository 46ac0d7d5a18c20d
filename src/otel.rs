//! Traces for OpenTelemetry: the context of a trace travels with tasks, and spans are exported by OTLP.
//!
//! Programs made with [`app()`](crate::app()) have nothing to do but set the environment that everybody knows. Others add
//! [`layer`] to their `tracing` subscriber, or call [`init`] if they have none:
//!
//! ```no_run
//! # async fn example() -> taskq::Result<()> {
//! let traces = taskq::otel::init()?;
//! let connection = taskq::connect("redis://localhost").await?;
//! taskq::Worker::builder(connection).run().await?;
//! traces.end().await;
//! # Ok(())
//! # }
//! ```
//!
//! | variable | meaning |
//! |---|---|
//! | `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` | where the collector is: `http://localhost:4318`, or with gRPC `http://localhost:4317`. Unset, nothing is exported |
//! | `OTEL_EXPORTER_OTLP_PROTOCOL`, `.._TRACES_PROTOCOL` | `http/protobuf`, which is the default, or `grpc` |
//! | `OTEL_EXPORTER_OTLP_HEADERS`, `.._TIMEOUT` and those for traces | what each request carries, and how many milliseconds it may take |
//! | `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | who exports; the name of the program by default |
//! | `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` | which traces; all by default, and whatever the caller decided for its own |
//! | `OTEL_BSP_*`, `OTEL_SPAN_*` | how spans are batched, and how large they may be |
//! | `OTEL_SDK_DISABLED=true`, `OTEL_TRACES_EXPORTER=none` | nothing is exported |
//!
//! Whatever the collector does, no task waits for it: of more than 2,048 spans that wait to be exported, those that come last
//! are dropped. `docs/traces.md` tells what the spans look like.

mod conventions;
mod export;
mod post;
mod propagation;

use taskq_core::{Error, ErrorKind, Result};
use tracing::{Level, Metadata, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer, filter::filter_fn, layer::SubscriberExt, registry::LookupSpan, util::SubscriberInitExt,
};

pub use export::Traces;
pub use propagation::TraceContext;

/// A layer that exports spans, for a subscriber of yours.
pub type TraceLayer<S> = Box<dyn Layer<S> + Send + Sync>;

/// Whose spans are not exported: those of the export itself would never end.
const OWN: [&str; 7] = ["opentelemetry", "h2", "hyper", "reqwest", "rustls", "tonic", "tower"];

/// A layer that exports spans as the environment says, or none if it does not want that; and the end of the export.
///
/// It has a filter of its own, and exports taskq's spans and others of level `INFO` and above. A filter that is added to
/// the subscriber as a whole counts for it as well, so give yours to the other layers with
/// [`with_filter`](tracing_subscriber::Layer::with_filter).
///
/// ```no_run
/// use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> taskq::Result<()> {
/// let (layer, traces) = taskq::otel::layer()?;
/// let log = tracing_subscriber::fmt::layer().with_filter(EnvFilter::from_default_env());
/// tracing_subscriber::registry().with(layer).with(log).init();
/// // ..
/// traces.end().await;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ErrorKind::Config`] if the environment asks for what cannot be, or if this is called outside of a Tokio runtime.
pub fn layer<S>() -> Result<(Option<TraceLayer<S>>, Traces)>
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    let traces = Traces::from_environment()?;
    Ok((traces.tracer().map(|tracer| exporting(tracer)), traces))
}

/// Makes a subscriber that exports spans as the environment says, and does nothing else: for programs that have none.
///
/// # Errors
/// As [`layer`]; [`ErrorKind::Config`] if the program has a subscriber already.
pub fn init() -> Result<Traces> {
    let (layer, traces) = layer()?;
    let Some(layer) = layer else { return Ok(traces) };
    match tracing_subscriber::registry().with(layer).try_init() {
        Ok(()) => Ok(traces),
        Err(_) => {
            let cure = "the program has a tracing subscriber already; add taskq::otel::layer() to that";
            Err(Error::new(ErrorKind::Config, "export traces", "").because(cure))
        }
    }
}

fn exporting<S>(tracer: opentelemetry_sdk::trace::Tracer) -> TraceLayer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    // Where a span stands in the source, and which thread began it, is of little use to whoever looks at many programs.
    let layer = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false);
    layer.with_filter(filter_fn(is_exported).with_max_level_hint(LevelFilter::DEBUG)).boxed()
}

fn is_exported(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    if OWN.iter().any(|own| target.starts_with(own)) {
        return false;
    }
    match *metadata.level() {
        Level::DEBUG => metadata.is_span() && target == "taskq",
        level => level <= Level::INFO,
    }
}
