//! What a body knows about its attempt, and what it can do besides returning.

use std::{
    any::{Any, TypeId},
    collections::BTreeMap,
    fmt,
    marker::PhantomData,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::{
    client::Client,
    clock::{Clock, Timestamp},
    codec::Payload,
    envelope::Envelope,
    id::{DeliveryToken, TaskId, TaskName},
    limits,
    logs::{LogLevel, LogLine},
    task_error::{TaskError, TaskErrorKind, TaskResult},
};

/// What a body is given: its attempt, and the [`App`](Self::app) that the worker lends.
///
/// Cheap to clone, so that parts of a body can run elsewhere.
pub struct Context<App = ()> {
    attempt: Arc<AttemptContext>,
    app: PhantomData<fn() -> App>,
}

/// How far a body says it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Units done.
    pub done: u64,
    /// Units in all, zero if unknown.
    pub total: u64,
    /// A word for people, at most 256 bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// Everything about one attempt; the worker makes it.
pub struct AttemptContext {
    envelope: Arc<Envelope>,
    token: DeliveryToken,
    delivery: u8,
    deadline: Timestamp,
    stop: StopSign,
    host: Arc<dyn Host>,
    /// The arguments, if those of the envelope are encrypted.
    opened: OnceLock<Payload>,
}

/// What a worker does for its attempts.
pub trait Host: Any + Send + Sync {
    /// What it lends to bodies.
    fn app(&self) -> &(dyn Any + Send + Sync);

    /// What it lends besides, by type: to tasks that a library brings.
    fn also(&self, _app: TypeId) -> Option<&(dyn Any + Send + Sync)> {
        None
    }

    /// Takes a progress report. Returns at once.
    fn report(&self, id: &TaskId, token: DeliveryToken, progress: Progress);

    /// Takes a log line of a task. Returns at once.
    fn log(&self, id: &TaskId, line: LogLine);

    /// For child tasks.
    fn client(&self) -> &Client;

    /// The worker's clock.
    fn clock(&self) -> &Clock;
}

impl AttemptContext {
    /// The attempt that `token` fences, until `deadline`.
    pub fn new(envelope: Arc<Envelope>, token: DeliveryToken, deadline: Timestamp, host: Arc<dyn Host>) -> Self {
        Self { envelope, token, delivery: 1, deadline, stop: StopSign::default(), host, opened: OnceLock::new() }
    }

    /// The same, which is that many hand-outs after the last attempt that ended.
    #[must_use]
    pub fn on_delivery(self, delivery: u8) -> Self {
        Self { delivery, ..self }
    }

    /// The task's id.
    pub fn id(&self) -> &TaskId {
        &self.envelope.id
    }

    /// The task's name.
    pub fn task(&self) -> &TaskName {
        &self.envelope.task
    }

    /// Which attempt this is, 1-based.
    pub fn attempt(&self) -> u32 {
        self.envelope.attempts.saturating_add(1)
    }

    /// Which hand-out of this attempt this is, 1-based: more than one if workers died before.
    pub fn delivery(&self) -> u8 {
        self.delivery
    }

    /// When its timeout ends it, by this machine's clock.
    pub fn deadline(&self) -> Timestamp {
        self.deadline
    }

    /// The invocation's headers.
    pub fn headers(&self) -> &BTreeMap<String, String> {
        &self.envelope.headers
    }

    /// The encoded arguments. They may be secret: do not log them.
    pub fn payload(&self) -> &Payload {
        self.opened.get().unwrap_or(&self.envelope.payload)
    }

    /// Gives the body these arguments, which were encrypted. The envelope, which goes back to the broker, stays sealed.
    pub fn open(&self, arguments: Payload) {
        let _first = self.opened.set(arguments);
    }

    /// The task as the broker handed it out.
    pub fn envelope(&self) -> &Arc<Envelope> {
        &self.envelope
    }

    /// What fences it.
    pub fn token(&self) -> DeliveryToken {
        self.token
    }

    /// The worker that runs it, for the worker's own code.
    pub fn host(&self) -> &dyn Host {
        &*self.host
    }

    /// What asks it to stop.
    pub fn stop(&self) -> &StopSign {
        &self.stop
    }
}

impl fmt::Debug for AttemptContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttemptContext")
            .field("id", self.id())
            .field("attempt", &self.attempt())
            .finish_non_exhaustive()
    }
}

/// Why an attempt was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Somebody cancelled the task.
    Cancelled = 1,
    /// The lease is lost; the task runs elsewhere.
    LeaseLost = 2,
    /// The worker ends and does not wait any longer.
    Shutdown = 3,
    /// Its timeout has passed.
    TimedOut = 4,
}

/// Asks one attempt to stop. Costs nothing until somebody waits for it: most attempts end before.
#[derive(Debug, Default)]
pub struct StopSign {
    reason: AtomicU8,
    token: OnceLock<CancellationToken>,
}

impl StopSign {
    /// Asks it to stop. The first reason stays: a task cancelled before a shutdown is cancelled.
    pub fn stop(&self, reason: StopReason) {
        let _first = self.reason.compare_exchange(0, reason as u8, Ordering::SeqCst, Ordering::SeqCst);
        if let Some(token) = self.token.get() {
            token.cancel();
        }
    }

    /// Why it was asked to stop, if it was.
    pub fn reason(&self) -> Option<StopReason> {
        match self.reason.load(Ordering::SeqCst) {
            1 => Some(StopReason::Cancelled),
            2 => Some(StopReason::LeaseLost),
            3 => Some(StopReason::Shutdown),
            4 => Some(StopReason::TimedOut),
            _ => None,
        }
    }

    /// Returns when it is asked to stop.
    pub async fn stopped(&self) {
        let token = self.token.get_or_init(CancellationToken::new);
        // Whoever set a reason before the token was there has not seen it; whoever sets one later will.
        if self.reason().is_none() {
            token.cancelled().await;
        }
    }
}

impl<App: 'static> Context<App> {
    /// What the worker lends to its bodies.
    pub fn app(&self) -> &App {
        app_of(&self.attempt).expect("it was there when the context was made")
    }
}

/// What the worker lends, if it is an `App`; nothing is lent by everybody.
fn app_of<App: 'static>(attempt: &AttemptContext) -> Option<&App> {
    let nothing: &'static (dyn Any + Send + Sync) = &();
    let also = || attempt.host.also(TypeId::of::<App>())?.downcast_ref();
    attempt.host.app().downcast_ref().or_else(|| nothing.downcast_ref()).or_else(also)
}

impl<App> Context<App> {
    /// The task's id.
    pub fn id(&self) -> &TaskId {
        self.attempt.id()
    }

    /// The task's name.
    pub fn task(&self) -> &TaskName {
        self.attempt.task()
    }

    /// Which attempt this is, 1-based.
    pub fn attempt(&self) -> u32 {
        self.attempt.attempt()
    }

    /// When the timeout ends this attempt, by this machine's clock.
    pub fn deadline(&self) -> Timestamp {
        self.attempt.deadline
    }

    /// How long this attempt may still take.
    pub fn time_left(&self) -> Duration {
        self.attempt.deadline.since(self.attempt.host.clock().now())
    }

    /// The invocation's headers.
    pub fn headers(&self) -> &BTreeMap<String, String> {
        self.attempt.headers()
    }

    /// Returns when this attempt should stop: its task was cancelled, its worker is shutting down and will not wait any
    /// longer, or its worker lost the lease. Use it in `select!` around long waits.
    pub async fn cancelled(&self) {
        self.attempt.stop.stopped().await;
    }

    /// Whether this attempt should stop; for loops in plain bodies.
    pub fn is_cancelled(&self) -> bool {
        self.attempt.stop.reason().is_some()
    }

    /// Says that `done` of `total` units are done (0 if unknown). Returns at once; the latest report reaches the broker
    /// at most five times a second, refused if this attempt is stale.
    pub fn progress(&self, done: u64, total: u64) {
        self.progress_text(done, total, "");
    }

    /// The same with a word for people; what is over 256 bytes is cut.
    pub fn progress_text(&self, done: u64, total: u64, text: &str) {
        let end = (0..=text.len().min(limits::MAX_PROGRESS_TEXT)).rev().find(|end| text.is_char_boundary(*end));
        let text = text[..end.unwrap_or(0)].to_owned();
        let AttemptContext { envelope, token, host, .. } = &*self.attempt;
        host.report(&envelope.id, *token, Progress { done, total, text });
    }

    /// Keeps a line of what happens for whoever looks at the task: while it runs, and for a day after its last line,
    /// however it ends. It is a `tracing` event too.
    ///
    /// Returns at once. The newest 200 lines of a task are kept, and 32 KiB in all; a line over 1 KiB is cut. Lines are sent
    /// in the background; those that a broker in trouble does not take are lost. They are kept as they are, also where
    /// arguments are encrypted: nothing secret belongs here.
    ///
    /// ```
    /// # use taskq_core::Context;
    /// fn copy(ctx: &Context, files: &[&str]) {
    ///     for file in files {
    ///         ctx.log(format!("copying {file}"));
    ///     }
    /// }
    /// ```
    pub fn log(&self, line: impl Into<String>) {
        self.log_at(LogLevel::Info, line);
    }

    /// The same for a line that matters more, or less.
    pub fn log_at(&self, level: LogLevel, line: impl Into<String>) {
        let AttemptContext { envelope, host, .. } = &*self.attempt;
        let line = LogLine::new(host.clock().now(), self.attempt(), level, line);
        trace(&envelope.id, &line, line.text());
        host.log(&envelope.id, line);
    }

    /// A client for child tasks, on the worker's connection.
    pub fn client(&self) -> &Client {
        self.attempt.host.client()
    }

    /// Waits on the worker's clock, which a test can advance.
    pub async fn sleep(&self, duration: Duration) {
        self.attempt.host.clock().sleep(duration).await;
    }
}

/// Tells `tracing` too, which wants levels before the program runs.
fn trace(id: &TaskId, LogLine { attempt, level, .. }: &LogLine, text: &str) {
    match level {
        LogLevel::Debug => tracing::debug!(target: "taskq::log", %id, attempt, "{text}"),
        LogLevel::Info => tracing::info!(target: "taskq::log", %id, attempt, "{text}"),
        LogLevel::Warn => tracing::warn!(target: "taskq::log", %id, attempt, "{text}"),
        LogLevel::Error => tracing::error!(target: "taskq::log", %id, attempt, "{text}"),
    }
}

impl<App> Clone for Context<App> {
    fn clone(&self) -> Self {
        Self { attempt: Arc::clone(&self.attempt), app: PhantomData }
    }
}

impl<App> fmt::Debug for Context<App> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("id", self.id()).field("attempt", &self.attempt()).finish_non_exhaustive()
    }
}

/// A context before it is known which type the body asks for.
#[derive(Clone)]
pub struct ErasedContext {
    attempt: Arc<AttemptContext>,
}

impl ErasedContext {
    /// The context of an attempt.
    pub fn new(attempt: Arc<AttemptContext>) -> Self {
        Self { attempt }
    }

    /// Everything about the attempt.
    pub fn attempt(&self) -> &AttemptContext {
        &self.attempt
    }

    /// The context with its app typed. Workers check at start that this cannot fail.
    pub fn lend<App: Send + Sync + 'static>(self) -> TaskResult<Context<App>> {
        match app_of::<App>(&self.attempt) {
            Some(_) => Ok(Context { attempt: self.attempt, app: PhantomData }),
            None => {
                let text = format!("the worker does not lend {}", std::any::type_name::<App>());
                Err(TaskError::new(TaskErrorKind::Failed, text))
            }
        }
    }
}

impl fmt::Debug for ErasedContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErasedContext").field("id", self.attempt.id()).finish_non_exhaustive()
    }
}
