//! What a task body fails with: an error, and what should follow from it.

use std::{fmt, time::Duration};

use crate::error::BoxError;

/// What a task body returns when it is written in full.
pub type TaskResult<T> = std::result::Result<T, TaskError>;

/// A failed attempt, and what should follow.
///
/// Any error converts into it with `?` or `.into()`; then the retry policy decides. [`fatal`](Self::fatal),
/// [`retry_in`](Self::retry_in) and [`snooze`](Self::snooze) say otherwise. It is deliberately not a
/// [`std::error::Error`]: that is what lets every other error convert into it.
pub struct TaskError {
    kind: TaskErrorKind,
    source: BoxError,
}

/// What should follow from a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskErrorKind {
    /// The retry policy decides.
    Failed,
    /// No other attempt: the task becomes a dead letter at once.
    Fatal,
    /// Another attempt after this delay, if the policy has one left.
    RetryIn(Duration),
    /// Later, without spending an attempt.
    Snooze(Duration),
    /// The body panicked; counted as an error.
    Panicked,
    /// The attempt took longer than its timeout; counted as an error.
    TimedOut,
    /// The body gave up because the task was cancelled.
    Cancelled,
    /// The arguments do not fit the task's parameters: a dead letter at once, since time will not mend it.
    Undecodable,
    /// The result cannot be stored: too large or not encodable. A dead letter at once.
    BadResult,
    /// The task's signature or encryption does not hold, so it was not run. A dead letter at once.
    Untrusted,
}

impl TaskErrorKind {
    /// The kind as one lower-case word, without its delay.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Fatal => "fatal",
            Self::RetryIn(_) => "retry_in",
            Self::Snooze(_) => "snooze",
            Self::Panicked => "panicked",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::Undecodable => "undecodable",
            Self::BadResult => "bad_result",
            Self::Untrusted => "untrusted",
        }
    }
}

impl TaskError {
    /// An error of this kind.
    pub fn new(kind: TaskErrorKind, source: impl Into<BoxError>) -> Self {
        Self { kind, source: source.into() }
    }

    /// An error that no other attempt will mend: the task becomes a dead letter at once.
    pub fn fatal(source: impl Into<BoxError>) -> Self {
        Self::new(TaskErrorKind::Fatal, source)
    }

    /// An error after which the next attempt should wait this long, whatever the policy's backoff says.
    pub fn retry_in(delay: Duration, source: impl Into<BoxError>) -> Self {
        Self::new(TaskErrorKind::RetryIn(delay), source)
    }

    /// Not an error: run the task again after this delay, without spending an attempt.
    pub fn snooze(delay: Duration) -> Self {
        Self::new(TaskErrorKind::Snooze(delay), format!("snoozed for {delay:?}"))
    }

    /// The body gives up because its task was cancelled.
    pub fn cancelled() -> Self {
        Self::new(TaskErrorKind::Cancelled, "cancelled")
    }

    /// What should follow.
    pub fn kind(&self) -> TaskErrorKind {
        self.kind
    }

    /// The error itself.
    pub fn source(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        &*self.source
    }
}

impl<E: Into<BoxError>> From<E> for TaskError {
    fn from(source: E) -> Self {
        Self::new(TaskErrorKind::Failed, source)
    }
}

impl fmt::Display for TaskError {
    /// The error and its causes, `outer: inner: innermost`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.source)?;
        let mut cause = self.source.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_converts_and_leaves_the_decision_to_the_policy() {
        fn body() -> TaskResult<()> {
            std::fs::read("/does/not/exist").map(drop)?;
            Ok(())
        }
        assert_eq!(body().expect_err("missing file").kind(), TaskErrorKind::Failed);
        assert_eq!(TaskError::from("text").to_string(), "text");
        assert_eq!(TaskError::fatal("no").kind(), TaskErrorKind::Fatal);
    }
}
