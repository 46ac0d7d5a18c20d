//! A collector that keeps what it is sent, or lets the sender wait.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1,
};
use prost::Message;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;

const BOUND: Duration = Duration::from_secs(60);

/// A running collector.
pub(crate) struct Collector {
    address: String,
    kept: Kept,
}

type Kept = Arc<Mutex<Vec<Span>>>;

/// A span as it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) trace: Vec<u8>,
    pub(crate) id: Vec<u8>,
    pub(crate) parent: Vec<u8>,
    /// The spans that it has links to.
    pub(crate) links: Vec<Vec<u8>>,
    pub(crate) has_failed: bool,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) events: Vec<String>,
    pub(crate) resource: BTreeMap<String, String>,
    /// What the request said in the header `x-token`.
    pub(crate) token: String,
}

impl Collector {
    pub(crate) fn start() -> Self {
        Self::begin(post(keep))
    }

    /// One that takes a request and never answers.
    pub(crate) fn hanging() -> Self {
        Self::begin(post(|| async { std::future::pending::<()>().await }))
    }

    /// One that is spoken to by gRPC.
    pub(crate) fn of_grpc() -> Self {
        let kept = Kept::default();
        let service = TraceServiceServer::new(Service(Arc::clone(&kept)));
        let address = serve(async move |listener| {
            let server = tonic::transport::Server::builder().add_service(service);
            server.serve_with_incoming(TcpIncoming::from(listener)).await.expect("serves");
        });
        Self { address, kept }
    }

    fn begin(way: axum::routing::MethodRouter<Kept>) -> Self {
        let kept = Kept::default();
        let routes = Router::new().route("/v1/traces", way).with_state(Arc::clone(&kept));
        let address = serve(async move |listener| axum::serve(listener, routes).await.expect("serves"));
        Self { address, kept }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        self.kept.lock().expect("not poisoned").clone()
    }

    /// Every span of this name, of which there has to be this many.
    pub(crate) fn named<const COUNT: usize>(&self, name: &str) -> [Span; COUNT] {
        let spans = self.spans();
        let named: Vec<_> = spans.iter().filter(|span| span.name == name).cloned().collect();
        let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
        named.try_into().unwrap_or_else(|found: Vec<_>| panic!("{} named {name} of {names:?}", found.len()))
    }

    /// Waits until there are so many spans of this name.
    pub(crate) fn wait_for(&self, count: usize, name: &str) {
        let begun = Instant::now();
        while self.spans().iter().filter(|span| span.name == name).count() < count {
            assert!(begun.elapsed() < BOUND, "no {count} of {name}: {:?}", self.spans());
            thread::yield_now();
        }
    }
}

/// Serves on a thread of its own, which ends with the test program; the address.
fn serve<Fut: Future<Output = ()>>(server: impl FnOnce(TcpListener) -> Fut + Send + 'static) -> String {
    let (say, said) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("builds");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
            say.send(listener.local_addr().expect("bound").to_string()).expect("the test waits");
            server(listener).await;
        });
    });
    said.recv().expect("it begins")
}

struct Service(Kept);

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let token = request.metadata().get("x-token").and_then(|token| token.to_str().ok()).unwrap_or_default();
        let token = token.to_owned();
        keep_all(&self.0, request.into_inner(), &token);
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn keep(State(kept): State<Kept>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else { return StatusCode::BAD_REQUEST };
    let token = headers.get("x-token").and_then(|token| token.to_str().ok()).unwrap_or_default();
    keep_all(&kept, request, token);
    StatusCode::OK
}

fn keep_all(kept: &Kept, request: ExportTraceServiceRequest, token: &str) {
    for resource_spans in request.resource_spans {
        let resource = resource_spans.resource.map(|resource| texts(resource.attributes)).unwrap_or_default();
        let spans = resource_spans.scope_spans.into_iter().flat_map(|scope| scope.spans);
        let spans = spans.map(|span| read(span, resource.clone(), token.to_owned()));
        kept.lock().expect("not poisoned").extend(spans);
    }
}

fn read(span: v1::Span, resource: BTreeMap<String, String>, token: String) -> Span {
    let kinds = ["unspecified", "internal", "server", "client", "producer", "consumer"];
    Span {
        name: span.name,
        kind: kinds[span.kind as usize],
        trace: span.trace_id,
        id: span.span_id,
        parent: span.parent_span_id,
        links: span.links.into_iter().map(|link| link.span_id).collect(),
        has_failed: span.status.is_some_and(|status| status.code == v1::status::StatusCode::Error as i32),
        attributes: texts(span.attributes),
        events: span.events.into_iter().map(|event| event.name).collect(),
        resource,
        token,
    }
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Option<AnyValue>| match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes.into_iter().map(|attribute| (attribute.key, text(attribute.value))).collect()
}
