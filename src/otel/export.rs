//! [`Traces`]: the export of spans, as the environment says, until the program ends.

use std::{env, fmt, time::Duration};

use opentelemetry::{Key, KeyValue, trace::TracerProvider};
use opentelemetry_otlp::{
    Protocol, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig, tonic_types::transport::ClientTlsConfig,
};
use opentelemetry_sdk::{
    Resource,
    trace::{SdkTracerProvider, Tracer},
};
use taskq_core::{Error, ErrorKind, Result, limits};
use tokio::runtime::Handle;

use super::post::Post;

/// How spans are sent.
enum Way {
    /// `http/protobuf`, which it is if nothing is said.
    Http,
    /// `grpc`
    Grpc,
}

impl Way {
    fn from_environment() -> Result<Self> {
        let protocol = either("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL");
        match protocol.as_deref() {
            None | Some("http/protobuf") => Ok(Self::Http),
            Some("grpc") => Ok(Self::Grpc),
            Some(other) => {
                let cure = "set OTEL_EXPORTER_OTLP_PROTOCOL to http/protobuf or grpc";
                Err(wrong(format!("the protocol \"{}\" is not spoken; {cure}", other.escape_debug())))
            }
        }
    }

    /// Needs a runtime, on which requests are sent.
    fn exporter(&self, runtime: Handle) -> Result<SpanExporter> {
        let built = match self {
            Self::Http => {
                let builder = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
                builder.with_http_client(Post::new(runtime, timeout())?).build()
            }
            Self::Grpc => {
                let builder = SpanExporter::builder().with_tonic().with_protocol(Protocol::Grpc);
                builder.with_tls_config(ClientTlsConfig::new().with_native_roots()).build()
            }
        };
        built.map_err(|error| wrong(error.to_string()))
    }
}

/// The export of spans. Dropping it ends nothing; [`end`](Self::end) it, or the last spans are lost.
#[must_use = "the last spans are exported by `end`"]
pub struct Traces {
    provider: Option<SdkTracerProvider>,
}

impl Traces {
    /// No export.
    pub(crate) fn off() -> Self {
        Self { provider: None }
    }

    pub(super) fn from_environment() -> Result<Self> {
        if !is_wanted() {
            return Ok(Self::off());
        }
        let way = Way::from_environment()?;
        let runtime = Handle::try_current().map_err(|_| wrong("call this within a Tokio runtime"))?;
        let exporter = way.exporter(runtime)?;
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource()).build();
        Ok(Self { provider: Some(provider) })
    }

    /// Whether anything is exported.
    pub fn are_exported(&self) -> bool {
        self.provider.is_some()
    }

    pub(super) fn tracer(&self) -> Option<Tracer> {
        self.provider.as_ref().map(|provider| provider.tracer("taskq"))
    }

    /// Exports what there is and stops exporting; takes at most five seconds, whatever the collector does.
    pub async fn end(self) {
        let Some(provider) = self.provider else { return };
        // It waits for an export, which needs this runtime: on a thread that may wait.
        let end = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(limits::TRACE_PATIENCE));
        match end.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last spans may be lost"),
            Err(error) => tracing::warn!(%error, "the last spans may be lost"),
        }
    }
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").field("are_exported", &self.are_exported()).finish()
    }
}

fn is_wanted() -> bool {
    let is = |name, value: &str| text(name).is_some_and(|text| text.eq_ignore_ascii_case(value));
    let has_endpoint = either("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT").is_some();
    has_endpoint && !is("OTEL_SDK_DISABLED", "true") && !is("OTEL_TRACES_EXPORTER", "none")
}

/// A variable; one that is empty is as good as unset.
fn text(name: &str) -> Option<String> {
    env::var(name).ok().filter(|text| !text.is_empty())
}

fn either(for_traces: &str, for_all: &str) -> Option<String> {
    text(for_traces).or_else(|| text(for_all))
}

fn timeout() -> Duration {
    let millis = either("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT");
    millis.and_then(|millis| millis.parse().ok()).map_or(limits::TRACE_TIMEOUT, Duration::from_millis)
}

/// Who exports: what the environment says, else the name of the program.
fn resource() -> Resource {
    let told = Resource::builder().build();
    let is_named = told
        .get(&Key::from_static_str("service.name"))
        .is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    let program = env::current_exe().ok().and_then(|path| Some(path.file_stem()?.to_string_lossy().into_owned()));
    match (is_named, program) {
        (false, Some(program)) => Resource::builder().with_attribute(KeyValue::new("service.name", program)).build(),
        (true, _) | (false, None) => told,
    }
}

pub(super) fn wrong(cure: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, "export traces", "").because(cure.into())
}
