//! [`TraceContext`]: W3C trace context and baggage in the headers of tasks, and the conventions' attributes on spans.

use std::collections::{BTreeMap, HashMap};

use opentelemetry::{
    Context,
    baggage::BaggageExt,
    propagation::{Extractor, TextMapPropagator},
    trace::{Status, TraceContextExt},
};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use taskq_core::{
    limits,
    propagator::{Processing, Propagator, Relation, Sending},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::conventions::{
    BATCH_COUNT, DESTINATION, ERROR_TYPE, MESSAGE_ID, OPERATION_NAME, OPERATION_TYPE, PROCESS, SEND, SPAN_KIND,
    SPAN_NAME, SYSTEM, TASKQ,
};

/// The header of the trace itself.
const TRACEPARENT: &str = "traceparent";

/// The header of what vendors add to it.
const TRACESTATE: &str = "tracestate";

/// The header of what users add to it.
const BAGGAGE: &str = "baggage";

/// Carries `traceparent`, `tracestate` and `baggage` with tasks, for [`Connection::with_propagator`].
///
/// What [`connect`](crate::connect) opens has it already; connections that were made otherwise can be given it. It needs a
/// subscriber with the layer of [`layer`](super::layer), or one of your own from the same version of
/// `tracing-opentelemetry`, and does nothing without.
///
/// [`Connection::with_propagator`]: crate::Connection::with_propagator
#[derive(Clone, Copy, Debug, Default)]
pub struct TraceContext;

impl Propagator for TraceContext {
    fn sends(&self, span: &Span, sending: &Sending<'_>) {
        begin(span, "producer", SEND, sending.queue.as_str());
        if let Some((id, _)) = sending.task {
            span.set_attribute(MESSAGE_ID, id.key.to_string());
        }
    }

    fn counts(&self, span: &Span, tasks: usize) {
        span.set_attribute(BATCH_COUNT, i64::try_from(tasks).unwrap_or(i64::MAX));
    }

    fn headers(&self, span: &Span) -> Vec<(&'static str, String)> {
        let context = span.context();
        if !context.span().span_context().is_valid() {
            return Vec::new();
        }
        let mut written = HashMap::new();
        TraceContextPropagator::new().inject_context(&context, &mut written);
        if !context.baggage().is_empty() {
            BaggagePropagator::new().inject_context(&context, &mut written);
        }
        let mut take = |name| Some((name, written.remove(name)?)).filter(|(_, value)| !value.is_empty());
        [TRACEPARENT, TRACESTATE, BAGGAGE].into_iter().filter_map(&mut take).collect()
    }

    fn processes(&self, span: &Span, processing: &Processing<'_>) {
        let baggage = BaggagePropagator::new().extract_with_context(&Context::new(), &Headers(processing.headers));
        let sender = TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(processing.headers));
        let sender = sender.span().span_context().clone();
        let parent = match processing.relation {
            Relation::Child if sender.is_valid() => baggage.with_remote_span_context(sender),
            _ => {
                span.add_link(sender);
                baggage
            }
        };
        // Without the layer nobody listens.
        let _is_heard = span.set_parent(parent);
        begin(span, "consumer", PROCESS, processing.id.queue.as_str());
        span.set_attribute(MESSAGE_ID, processing.id.key.to_string());
    }

    fn failed(&self, span: &Span, kind: &str, text: &str) {
        span.set_attribute(ERROR_TYPE, kind.to_owned());
        span.set_status(Status::error(text.to_owned()));
    }
}

fn begin(span: &Span, kind: &'static str, operation: &'static str, queue: &str) {
    span.record(SPAN_KIND, kind);
    span.record(SPAN_NAME, format!("{operation} {queue}"));
    span.set_attribute(SYSTEM, TASKQ);
    span.set_attribute(OPERATION_NAME, operation);
    span.set_attribute(OPERATION_TYPE, operation);
    span.set_attribute(DESTINATION, queue.to_owned());
}

/// Headers as anybody may have written them: what is too long is not even looked at.
struct Headers<'a>(&'a BTreeMap<String, String>);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let most = match key {
            BAGGAGE => limits::MAX_HEADERS_BYTES,
            _ => limits::MAX_TRACE_HEADER,
        };
        self.0.get(key).map(String::as_str).filter(|value| value.len() <= most)
    }

    fn keys(&self) -> Vec<&str> {
        [TRACEPARENT, TRACESTATE, BAGGAGE].into_iter().filter(|key| self.get(key).is_some()).collect()
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    const CALLER: [(&str, &str); 3] = [
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("tracestate", "vendor=1"),
        ("baggage", "tenant=seven"),
    ];

    fn headers(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// Runs with a subscriber that listens to every span of ours, as one thread does.
    fn listening<V>(work: impl FnOnce() -> V) -> V {
        let provider = SdkTracerProvider::builder().build();
        let subscriber = tracing_subscriber::registry().with(super::super::exporting(provider.tracer("test")));
        tracing::subscriber::with_default(subscriber, work)
    }

    /// A span that a foreign caller's headers lead to.
    fn called(relation: Relation, headers: &BTreeMap<String, String>) -> Span {
        let span = tracing::info_span!("attempt", otel.kind = tracing::field::Empty, otel.name = tracing::field::Empty);
        let (id, task) = ("mail/x".parse().expect("valid"), taskq_core::TaskName::new("noop").expect("valid"));
        let processing = Processing::new(&id, &task, headers).related(relation);
        TraceContext.processes(&span, &processing);
        span
    }

    #[test]
    fn trace_state_and_baggage_go_through_a_task_to_what_it_enqueues() {
        listening(|| {
            let told = TraceContext.headers(&called(Relation::Child, &headers(&CALLER)));
            let (names, values): (Vec<_>, Vec<_>) = told.into_iter().unzip();
            assert_eq!(names, ["traceparent", "tracestate", "baggage"]);
            assert!(values[0].starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{}", values[0]);
            assert_eq!(values[1..], ["vendor=1", "tenant=seven"]);

            let told = TraceContext.headers(&called(Relation::Link, &headers(&CALLER)));
            let (names, values): (Vec<_>, Vec<_>) = told.into_iter().unzip();
            assert_eq!(names, ["traceparent", "baggage"], "a trace of its own");
            assert!(!values[0].contains("4bf92f3577b34da6a3ce929d0e0e4736"), "{}", values[0]);
        });
    }

    #[test]
    fn headers_that_mean_nothing_begin_a_new_trace() {
        let long = "x".repeat(limits::MAX_HEADERS_BYTES + 1);
        listening(|| {
            for (name, value) in [
                ("traceparent", ""),
                ("traceparent", "00-00000000000000000000000000000000-0000000000000000-01"),
                ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"),
                ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e473\u{e9}-00f067aa0ba902b7-01"),
                ("traceparent", long.as_str()),
                ("tracestate", long.as_str()),
                ("baggage", long.as_str()),
                ("baggage", "=;=,\0,%zz=%"),
            ] {
                for relation in [Relation::Child, Relation::Link] {
                    let told = TraceContext.headers(&called(relation, &headers(&[(name, value)])));
                    assert_eq!(told[0].0, "traceparent", "{name}: {value}");
                }
            }
        });
    }

    #[test]
    fn without_the_layer_there_is_nothing_to_carry() {
        assert!(TraceContext.headers(&Span::current()).is_empty());
        let subscriber = tracing_subscriber::registry();
        let told = tracing::subscriber::with_default(subscriber, || {
            TraceContext.headers(&called(Relation::Child, &headers(&CALLER)))
        });
        assert!(told.is_empty());
    }
}
