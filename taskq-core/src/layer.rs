//! Layers: code around every attempt, as plain async functions.

use std::{future::Future, sync::Arc};

use futures_util::future::BoxFuture;

use crate::{
    codec::Payload,
    context::{AttemptContext, ErasedContext},
    task_error::{TaskError, TaskErrorKind},
};

/// One execution of a task, on its way through the layers to the body.
#[derive(Clone, Debug)]
pub struct Attempt {
    context: ErasedContext,
}

/// What an attempt ended in.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// The body returned this result.
    Succeeded(Payload),
    /// The body failed, panicked or took too long; what follows is in the error.
    Failed(TaskError),
}

impl Outcome {
    /// Whether the body succeeded.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Succeeded(_))
    }

    /// Whether the attempt took longer than its timeout.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Failed(error) if error.kind() == TaskErrorKind::TimedOut)
    }
}

impl Attempt {
    /// The attempt of a context.
    pub fn new(context: ErasedContext) -> Self {
        Self { context }
    }

    /// Everything about it: id, task name, attempt number, deadline, headers.
    pub fn context(&self) -> &AttemptContext {
        self.context.attempt()
    }

    /// The encoded arguments. They may be secret: do not log them.
    pub fn payload(&self) -> &Payload {
        self.context.attempt().payload()
    }

    /// Its context, for the body.
    pub fn into_context(self) -> ErasedContext {
        self.context
    }
}

/// The rest of the way: the inner layers and the body.
pub struct Next {
    layers: Arc<[Arc<dyn Layer>]>,
    position: usize,
    body: Arc<dyn Fn(Attempt) -> BoxFuture<'static, Outcome> + Send + Sync>,
}

impl Next {
    /// The way through all `layers`, outermost first, to `body`.
    pub fn new(
        layers: Arc<[Arc<dyn Layer>]>,
        body: Arc<dyn Fn(Attempt) -> BoxFuture<'static, Outcome> + Send + Sync>,
    ) -> Self {
        Self { layers, position: 0, body }
    }

    /// Goes on: runs the inner layers and the body.
    pub async fn run(mut self, attempt: Attempt) -> Outcome {
        match self.layers.get(self.position).cloned() {
            Some(layer) => {
                self.position += 1;
                layer.around(attempt, self).await
            }
            None => (self.body)(attempt).await,
        }
    }
}

impl std::fmt::Debug for Next {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Next").field("layers_left", &(self.layers.len() - self.position)).finish_non_exhaustive()
    }
}

/// Code around every attempt. Any `async fn(Attempt, Next) -> Outcome` is one:
///
/// ```
/// use taskq_core::{Attempt, Next, Outcome};
///
/// async fn count_failures(attempt: Attempt, next: Next) -> Outcome {
///     let task = attempt.context().task().clone();
///     let outcome = next.run(attempt).await;
///     if !outcome.is_success() {
///         eprintln!("{task} failed");
///     }
///     outcome
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a layer",
    note = "a layer is an `async fn(attempt: Attempt, next: Next) -> Outcome`"
)]
pub trait Layer: Send + Sync + 'static {
    /// Runs around `attempt`; call `next.run(attempt)` to go on.
    fn around(&self, attempt: Attempt, next: Next) -> BoxFuture<'static, Outcome>;
}

impl<F, Fut> Layer for F
where
    F: Fn(Attempt, Next) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Outcome> + Send + 'static,
{
    fn around(&self, attempt: Attempt, next: Next) -> BoxFuture<'static, Outcome> {
        Box::pin(self(attempt, next))
    }
}
