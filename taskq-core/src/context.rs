//! What a body knows about its attempt, and what it can do besides returning.

use std::{any::Any, collections::BTreeMap, fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::{
    client::Client,
    clock::{Clock, Timestamp},
    id::{TaskId, TaskName},
    limits,
    task_error::{TaskError, TaskErrorKind, TaskResult},
};

/// What a body is given: its attempt, and the [`App`](Self::app) that the worker lends.
///
/// Cheap to clone, so that parts of a body can run elsewhere.
pub struct Context<App = ()> {
    attempt: Arc<AttemptContext>,
    app: Arc<App>,
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
#[derive(Debug)]
pub struct AttemptContext {
    /// The task's id.
    pub id: TaskId,
    /// The task's name.
    pub task: TaskName,
    /// Which attempt this is, 1-based.
    pub attempt: u32,
    /// When its timeout ends it.
    pub deadline: Timestamp,
    /// The invocation's headers.
    pub headers: BTreeMap<String, String>,
    /// Fires when the task is cancelled, the worker must stop, or the lease is lost.
    pub cancelled: CancellationToken,
    /// Takes progress reports.
    pub progress: ProgressSink,
    /// For child tasks.
    pub client: Client,
    /// The worker's clock.
    pub clock: Clock,
}

/// Where progress reports go.
#[derive(Clone)]
pub struct ProgressSink(Arc<dyn Fn(Progress) + Send + Sync>);

impl ProgressSink {
    /// A sink that calls this.
    pub fn new(report: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        Self(Arc::new(report))
    }
}

impl fmt::Debug for ProgressSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProgressSink")
    }
}

impl<App> Context<App> {
    /// What the worker lends to its bodies.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// The task's id.
    pub fn id(&self) -> &TaskId {
        &self.attempt.id
    }

    /// The task's name.
    pub fn task(&self) -> &TaskName {
        &self.attempt.task
    }

    /// Which attempt this is, 1-based.
    pub fn attempt(&self) -> u32 {
        self.attempt.attempt
    }

    /// When the timeout ends this attempt, by this machine's clock.
    pub fn deadline(&self) -> Timestamp {
        self.attempt.deadline
    }

    /// How long this attempt may still take.
    pub fn time_left(&self) -> Duration {
        self.attempt.deadline.since(self.attempt.clock.now())
    }

    /// The invocation's headers.
    pub fn headers(&self) -> &BTreeMap<String, String> {
        &self.attempt.headers
    }

    /// Returns when this attempt should stop: its task was cancelled, its worker is shutting down and will not wait any
    /// longer, or its worker lost the lease. Use it in `select!` around long waits.
    pub async fn cancelled(&self) {
        self.attempt.cancelled.cancelled().await;
    }

    /// Whether this attempt should stop; for loops in plain bodies.
    pub fn is_cancelled(&self) -> bool {
        self.attempt.cancelled.is_cancelled()
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
        (self.attempt.progress.0)(Progress { done, total, text });
    }

    /// A client for child tasks, on the worker's connection.
    pub fn client(&self) -> &Client {
        &self.attempt.client
    }

    /// Waits on the worker's clock, which a test can advance.
    pub async fn sleep(&self, duration: Duration) {
        self.attempt.clock.sleep(duration).await;
    }
}

impl<App> Clone for Context<App> {
    fn clone(&self) -> Self {
        Self { attempt: Arc::clone(&self.attempt), app: Arc::clone(&self.app) }
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
    app: Arc<dyn Any + Send + Sync>,
}

impl ErasedContext {
    /// The context of an attempt on a worker that lends `app`.
    pub fn new(attempt: AttemptContext, app: Arc<dyn Any + Send + Sync>) -> Self {
        Self { attempt: Arc::new(attempt), app }
    }

    /// Everything about the attempt.
    pub fn attempt(&self) -> &AttemptContext {
        &self.attempt
    }

    /// The context with its app typed. Workers check at start that this cannot fail.
    pub fn lend<App: Send + Sync + 'static>(self) -> TaskResult<Context<App>> {
        let Self { attempt, app } = self;
        match app.downcast::<App>() {
            Ok(app) => Ok(Context { attempt, app }),
            Err(_) => match (Arc::new(()) as Arc<dyn Any + Send + Sync>).downcast::<App>() {
                Ok(nothing) => Ok(Context { attempt, app: nothing }),
                Err(_) => {
                    let text = format!("the worker does not lend {}", std::any::type_name::<App>());
                    Err(TaskError::new(TaskErrorKind::Failed, text))
                }
            },
        }
    }
}

impl fmt::Debug for ErasedContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErasedContext").field("id", &self.attempt.id).finish_non_exhaustive()
    }
}
