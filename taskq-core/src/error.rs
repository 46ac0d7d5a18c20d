//! The one error of taskq: what was tried, on what, why it failed, and whether trying again can help.

use std::{error::Error as StdError, fmt};

/// A boxed error from elsewhere.
pub type BoxError = Box<dyn StdError + Send + Sync + 'static>;

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A name, option or value that can never work. The subject says which.
    InvalidInput,
    /// The encoded arguments or result are over the limit.
    TooLarge,
    /// Arguments or a result could not be encoded or decoded.
    Codec,
    /// The broker cannot be reached, or the connection broke. Trying again may help.
    Unavailable,
    /// The call's deadline passed. Trying again is safe: calls are idempotent by task id.
    DeadlineExceeded,
    /// The broker is reached but cannot take writes now: out of memory, disk full, read-only, locked.
    Full,
    /// The broker refused: wrong password, missing permission, an unsafe setting.
    Refused,
    /// The stored data was written by another version of taskq than this one can work with.
    Layout,
    /// The caller is no longer the owner, leader or holder that it was.
    Fenced,
    /// A signature or an encryption is missing, wrong, or of a key that is not there. The source says which.
    Untrusted,
    /// What was asked for does not exist.
    NotFound,
    /// The broker does not offer this.
    Unsupported,
    /// The configuration or the set of registered tasks is wrong.
    Config,
    /// A broken promise inside taskq or its broker; please report it.
    Internal,
}

impl ErrorKind {
    fn sentence(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid input",
            Self::TooLarge => "too large",
            Self::Codec => "encoding failed",
            Self::Unavailable => "broker unavailable",
            Self::DeadlineExceeded => "deadline exceeded",
            Self::Full => "broker cannot take writes",
            Self::Refused => "broker refused",
            Self::Layout => "incompatible layout",
            Self::Fenced => "fenced",
            Self::Untrusted => "not trusted",
            Self::NotFound => "not found",
            Self::Unsupported => "not supported by this broker",
            Self::Config => "wrong configuration",
            Self::Internal => "internal error",
        }
    }
}

/// What failed, on what, and why.
///
/// It reads `operation subject: kind: source`, for example
/// `enqueue to "mail": broker unavailable: connection refused`.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    operation: &'static str,
    subject: String,
    source: Option<BoxError>,
}

/// The result of most calls of taskq.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` in `operation` on `subject`.
    pub fn new(kind: ErrorKind, operation: &'static str, subject: impl fmt::Display) -> Self {
        Self(Box::new(Inner { kind, operation, subject: subject.to_string(), source: None }))
    }

    /// The same with what caused it.
    #[must_use]
    pub fn because(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Something that can never work, named and with its cure.
    pub fn invalid(operation: &'static str, subject: impl fmt::Display, cure: impl Into<BoxError>) -> Self {
        Self::new(ErrorKind::InvalidInput, operation, subject).because(cure)
    }

    /// Why it failed.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What was tried, e.g. `enqueue`.
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// On what, e.g. a queue, a task or a broker address (without secrets).
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// Whether the same call can succeed later without anybody changing anything here.
    pub fn is_transient(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Unavailable | ErrorKind::DeadlineExceeded | ErrorKind::Full)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, operation, subject, source } = &*self.0;
        f.write_str(operation)?;
        if !subject.is_empty() {
            write!(f, " {subject}")?;
        }
        write!(f, ": {}", kind.sentence())?;
        match source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("operation", &self.0.operation)
            .field("subject", &self.0.subject)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_as_operation_subject_kind_and_cause() {
        let error = Error::new(ErrorKind::Unavailable, "enqueue to", "\"mail\"").because("connection refused");
        assert_eq!(error.to_string(), "enqueue to \"mail\": broker unavailable: connection refused");
        assert!(error.is_transient());
    }
}
