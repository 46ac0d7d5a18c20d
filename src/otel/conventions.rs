//! The words of OpenTelemetry's conventions for messaging. All of that area is still "Development", so it is here alone.

/// Which system it is.
pub(super) const SYSTEM: &str = "messaging.system";

/// Us.
pub(super) const TASKQ: &str = "taskq";

/// What is done, in this system's words.
pub(super) const OPERATION_NAME: &str = "messaging.operation.name";

/// What is done, in everybody's words.
pub(super) const OPERATION_TYPE: &str = "messaging.operation.type";

/// The operation of enqueueing, in both.
pub(super) const SEND: &str = "send";

/// The operation of running, in both.
pub(super) const PROCESS: &str = "process";

/// The queue.
pub(super) const DESTINATION: &str = "messaging.destination.name";

/// The id of the task.
pub(super) const MESSAGE_ID: &str = "messaging.message.id";

/// How many tasks were sent together.
pub(super) const BATCH_COUNT: &str = "messaging.batch.message_count";

/// Why it failed: one word of few.
pub(super) const ERROR_TYPE: &str = "error.type";

/// The field by which `tracing-opentelemetry` names a span.
pub(super) const SPAN_NAME: &str = "otel.name";

/// The field by which `tracing-opentelemetry` tells a span's kind.
pub(super) const SPAN_KIND: &str = "otel.kind";
