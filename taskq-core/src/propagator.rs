//! [`Propagator`]: what carries the context of a trace from whoever enqueues a task to whoever runs it.
//!
//! Clients, workers and schedulers make plain `tracing` spans, whether anybody listens or not. If a connection has a
//! propagator, and only for spans that somebody listens to, it may add to such a span, and its headers travel with the task.
//! Which library's traces these are is its own business: this crate knows none.
//!
//! # Parent or link
//!
//! What runs at once because of one call is a child of that call. What runs later, or was enqueued among others, begins a
//! trace of its own with a link to what enqueued it: a trace that goes on next week, or has a thousand branches, is of no
//! use to anybody. So [`Relation::Link`] it is for delayed, retried and scheduled tasks and those of a bulk call.

use std::{collections::BTreeMap, fmt};

use tracing::Span;

use crate::{
    connection::Connection,
    context::AttemptContext,
    envelope::Envelope,
    error::Error,
    id::{QueueName, TaskId, TaskName},
    invocation::Start,
    limits,
    task_error::TaskError,
};

/// The header that says how a task's first attempt relates to what enqueued it.
const RELATION: &str = "taskq-trace";

/// What [`RELATION`] says if it is a link.
const LINK: &str = "link";

/// A header that a caller has set by hand is left alone, and so are the others that belong to it.
const SET_BY_HAND: &str = "traceparent";

/// Carries the context of traces in the headers of tasks. Whatever it does, no task fails for it.
pub trait Propagator: fmt::Debug + Send + Sync {
    /// Tasks are about to be enqueued within this span.
    fn sends(&self, span: &Span, sending: &Sending<'_>);

    /// So many are enqueued within this span, for which no single one was named.
    fn counts(&self, span: &Span, tasks: usize);

    /// The headers that tell a worker of this span, the most important one first. Those that are more or longer than headers
    /// may be are left out, from the end.
    fn headers(&self, span: &Span) -> Vec<(&'static str, String)>;

    /// An attempt is about to run within this span, which nobody has entered. Its headers may come from anybody.
    fn processes(&self, span: &Span, processing: &Processing<'_>);

    /// What happens within this span has failed: `kind` is one word of few, `text` is for people.
    fn failed(&self, span: &Span, kind: &str, text: &str);
}

/// How an attempt relates to what enqueued its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// It is a part of it.
    Child,
    /// It follows from it, in a trace of its own.
    Link,
}

/// What is enqueued within a span.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Sending<'a> {
    /// Where.
    pub queue: &'a QueueName,
    /// The one task, if it is one.
    pub task: Option<(&'a TaskId, &'a TaskName)>,
}

/// What runs within a span.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Processing<'a> {
    /// Its id.
    pub id: &'a TaskId,
    /// Its name.
    pub task: &'a TaskName,
    /// Which attempt this is, 1-based.
    pub attempt: u32,
    /// Which hand-out of this attempt it is, 1-based.
    pub delivery: u8,
    /// How it relates to what its headers tell of.
    pub relation: Relation,
    /// Its headers.
    pub headers: &'a BTreeMap<String, String>,
}

impl<'a> Processing<'a> {
    /// The first hand-out of the first attempt of a task.
    pub fn new(id: &'a TaskId, task: &'a TaskName, headers: &'a BTreeMap<String, String>) -> Self {
        Self { id, task, attempt: 1, delivery: 1, relation: Relation::Child, headers }
    }

    /// The same with this relation.
    #[must_use]
    pub fn related(self, relation: Relation) -> Self {
        Self { relation, ..self }
    }
}

/// For clients: the span of a send of one task, of which its headers tell from now on.
pub(crate) fn send_one(connection: &Connection, envelope: &mut Envelope) -> Span {
    let span = tracing::debug_span!(
        target: "taskq",
        "enqueue",
        queue = %envelope.id.queue,
        task = %envelope.task,
        id = %envelope.id,
        otel.kind = tracing::field::Empty,
        otel.name = tracing::field::Empty,
    );
    if let Some(propagator) = connection.propagator() {
        if !span.is_disabled() {
            let sending = Sending { queue: &envelope.id.queue, task: Some((&envelope.id, &envelope.task)) };
            propagator.sends(&span, &sending);
        }
        let relation = match envelope.start {
            Start::Now => Relation::Child,
            _ => Relation::Link,
        };
        carry(propagator, &span, envelope, relation);
    }
    span
}

/// For clients: the span of a send of several tasks; see [`carry_link`].
pub(crate) fn send_many(connection: &Connection, queue: &QueueName) -> Span {
    let span = tracing::debug_span!(
        target: "taskq",
        "enqueue",
        %queue,
        tasks = tracing::field::Empty,
        otel.kind = tracing::field::Empty,
        otel.name = tracing::field::Empty,
    );
    sends(connection, &span, queue);
    span
}

/// For schedulers: the span of a tick, of whose task [`carry_link`] tells.
pub fn tick(connection: &Connection, queue: &QueueName, entry: &impl fmt::Display) -> Span {
    let span = tracing::debug_span!(
        target: "taskq",
        "tick",
        %queue,
        %entry,
        otel.kind = tracing::field::Empty,
        otel.name = tracing::field::Empty,
    );
    sends(connection, &span, queue);
    span
}

/// For clients: how many tasks are sent within the span.
pub(crate) fn counts(connection: &Connection, span: &Span, tasks: usize) {
    span.record("tasks", tasks);
    if let Some(propagator) = connection.propagator()
        && !span.is_disabled()
    {
        propagator.counts(span, tasks);
    }
}

fn sends(connection: &Connection, span: &Span, queue: &QueueName) {
    if let Some(propagator) = connection.propagator()
        && !span.is_disabled()
    {
        propagator.sends(span, &Sending { queue, task: None });
    }
}

/// Tells in the headers of a task, before it is sealed, of the span that it follows from.
pub fn carry_link(connection: &Connection, span: &Span, envelope: &mut Envelope) {
    if let Some(propagator) = connection.propagator() {
        carry(propagator, span, envelope, Relation::Link);
    }
}

fn carry(propagator: &dyn Propagator, span: &Span, envelope: &mut Envelope, relation: Relation) {
    if envelope.headers.contains_key(SET_BY_HAND) {
        return;
    }
    // If nobody listens to ours, a span of the caller may be heard all the same.
    let headers = match span.is_disabled() {
        true => propagator.headers(&Span::current()),
        false => propagator.headers(span),
    };
    if headers.is_empty() {
        return;
    }
    let relation = (relation == Relation::Link).then(|| (RELATION, LINK.to_owned()));
    let mut bytes: usize = envelope.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    for (name, value) in relation.into_iter().chain(headers) {
        bytes += name.len() + value.len();
        if bytes > limits::MAX_HEADERS_BYTES || envelope.headers.len() >= limits::MAX_HEADERS {
            return;
        }
        envelope.headers.insert(name.to_owned(), value);
    }
}

/// For workers: the span of an attempt.
pub fn attempt(connection: &Connection, context: &AttemptContext) -> Span {
    let Envelope { id, task, headers, .. } = &**context.envelope();
    let (attempt, delivery) = (context.attempt(), context.delivery());
    let span = tracing::info_span!(
        target: "taskq",
        parent: None,
        "attempt",
        %task,
        %id,
        queue = %id.queue,
        attempt,
        delivery,
        otel.kind = tracing::field::Empty,
        otel.name = tracing::field::Empty,
    );
    if let Some(propagator) = connection.propagator()
        && !span.is_disabled()
    {
        let is_first = attempt == 1 && delivery <= 1;
        let relation = match headers.get(RELATION) {
            None if is_first => Relation::Child,
            _ => Relation::Link,
        };
        propagator.processes(&span, &Processing { attempt, delivery, relation, ..Processing::new(id, task, headers) });
    }
    span
}

/// Tells the span that its call failed, and passes the answer on.
pub(crate) fn told<V>(connection: &Connection, span: &Span, answer: Result<V, Error>) -> Result<V, Error> {
    if let Err(error) = &answer {
        call_failed(connection, span, error);
    }
    answer
}

/// Tells a span that its call failed.
pub fn call_failed(connection: &Connection, span: &Span, error: &Error) {
    failed(connection, span, || (format!("{:?}", error.kind()), error.to_string()));
}

/// Tells the span of an attempt that it failed.
pub fn attempt_failed(connection: &Connection, span: &Span, error: &TaskError) {
    failed(connection, span, || (error.kind().as_str().to_owned(), error.to_string()));
}

fn failed(connection: &Connection, span: &Span, words: impl FnOnce() -> (String, String)) {
    if let Some(propagator) = connection.propagator()
        && !span.is_disabled()
    {
        let (kind, text) = words();
        let end = (0..=text.len().min(limits::MAX_ERROR_TEXT)).rev().find(|end| text.is_char_boundary(*end));
        propagator.failed(span, &kind, &text[..end.unwrap_or(0)]);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    use super::*;
    use crate::{broker::memory, clock::Clock, invocation::Invocation};

    /// Carries what it is told to.
    #[derive(Clone, Debug)]
    struct Fixed(Vec<(&'static str, String)>);

    impl Propagator for Fixed {
        fn sends(&self, _: &Span, _: &Sending<'_>) {}

        fn counts(&self, _: &Span, _: usize) {}

        fn headers(&self, _: &Span) -> Vec<(&'static str, String)> {
            self.0.clone()
        }

        fn processes(&self, _: &Span, _: &Processing<'_>) {}

        fn failed(&self, _: &Span, _: &str, _: &str) {}
    }

    fn envelope(headers: &[(&str, &str)]) -> Envelope {
        let invocation = Invocation::named("noop", &serde_json::json!({}));
        let with = |invocation: Invocation<_>, (name, value): &(&str, &str)| invocation.header(*name, *value);
        headers.iter().fold(invocation, with).into_envelope().expect("valid")
    }

    fn carried(headers: &[(&str, &str)], context: &[(&'static str, &str)], relation: Relation) -> Vec<String> {
        let context = context.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let mut envelope = envelope(headers);
        carry(&Fixed(context), &Span::none(), &mut envelope, relation);
        envelope.headers.into_keys().collect()
    }

    #[test]
    fn the_context_of_a_trace_is_left_out_where_it_does_not_fit() {
        let context = [("traceparent", "00-1"), ("baggage", "a=1")];
        assert_eq!(carried(&[], &context, Relation::Child), ["baggage", "traceparent"]);
        assert_eq!(carried(&[], &context, Relation::Link), ["baggage", RELATION, "traceparent"]);
        assert!(carried(&[], &[], Relation::Link).is_empty(), "nothing to be linked to");

        let long = "x".repeat(limits::MAX_HEADERS_BYTES - 60);
        assert_eq!(carried(&[("own", &long)], &context, Relation::Child), ["baggage", "own", "traceparent"]);
        let longer = [("traceparent", "00-1"), ("baggage", &long[..100])];
        assert_eq!(carried(&[("own", &long)], &longer, Relation::Child), ["own", "traceparent"]);

        let many: Vec<String> = (0..limits::MAX_HEADERS - 1).map(|number| format!("h{number}")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "")).collect();
        assert_eq!(carried(&many, &context, Relation::Child).len(), limits::MAX_HEADERS);
        assert!(!carried(&many, &context, Relation::Child).contains(&"baggage".to_owned()));
    }

    #[test]
    fn a_context_that_was_set_by_hand_is_left_alone() {
        let mut envelope = envelope(&[("traceparent", "by hand")]);
        let context = vec![("traceparent", "00-1".to_owned()), ("baggage", "a=1".to_owned())];
        carry(&Fixed(context), &Span::none(), &mut envelope, Relation::Link);
        assert_eq!(envelope.headers, BTreeMap::from([("traceparent".to_owned(), "by hand".to_owned())]));
    }

    /// What a subscriber prints.
    #[derive(Clone, Default)]
    struct Printed(Arc<Mutex<Vec<u8>>>);

    impl Write for Printed {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn spans_say_what_they_are_about_and_no_more() {
        let printed = Printed::default();
        let writer = printed.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::DEBUG)
            .with_ansi(false)
            .without_time()
            .with_writer(move || writer.clone());
        let connection = memory::connect(Clock::system());
        let mut task = envelope(&[]);
        tracing::subscriber::with_default(subscriber.finish(), || {
            send_one(&connection, &mut task).in_scope(|| tracing::info!("sends"));
            let many = send_many(&connection, &task.id.queue);
            counts(&connection, &many, 7);
            many.in_scope(|| tracing::info!("sends many"));
            tick(&connection, &task.id.queue, &"daily").in_scope(|| tracing::info!("ticks"));
        });
        let printed = String::from_utf8(printed.0.lock().expect("not poisoned").clone()).expect("text");
        let id = &task.id;
        let expected = [
            format!("enqueue{{queue=default task=noop id={id}}}: taskq_core::propagator::tests: sends"),
            "enqueue{queue=default tasks=7}: taskq_core::propagator::tests: sends many".to_owned(),
            "tick{queue=default entry=daily}: taskq_core::propagator::tests: ticks".to_owned(),
        ];
        let lines: Vec<_> = printed.lines().map(|line| line.trim_start().trim_start_matches("INFO ")).collect();
        assert_eq!(lines, expected);
    }
}
