//! What can go wrong with the file, in sentences with the cure; no error of the driver leaves this folder.

use std::path::Path;

use rusqlite::ErrorCode;
use taskq_core::error::{Error, ErrorKind};

/// Why a step or a look failed, before it is known who asked for it. One may fail many callers, so it can be cloned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    kind: ErrorKind,
    text: String,
}

impl Failure {
    /// A failure with its sentence.
    pub(super) fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    /// The owner has no living lease.
    pub(super) fn no_lease(owner: impl std::fmt::Display) -> Self {
        Self::new(ErrorKind::Fenced, format!("{owner} has no living lease; join with the next term"))
    }

    /// Why, as a kind.
    pub(super) fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the lock is held elsewhere.
    pub(super) fn is_busy(&self) -> bool {
        self.kind == ErrorKind::Unavailable && self.text == BUSY
    }

    /// Whether every step would fail with it, so that trying them one by one only takes time.
    pub(super) fn is_hopeless(&self) -> bool {
        self.kind != ErrorKind::Full
    }

    /// The same while opening: a file that is read-only from the start stays so until somebody changes that.
    pub(super) fn at_start(self) -> Self {
        let kind = if self.text.starts_with(READ_ONLY) { ErrorKind::Refused } else { self.kind };
        Self { kind, ..self }
    }

    /// The error for the caller who asked for `operation` on `subject`; it names the file.
    pub(super) fn told(self, operation: &'static str, subject: impl std::fmt::Display, path: &Path) -> Error {
        let text = match self.kind {
            ErrorKind::Fenced => self.text,
            _ => format!("{}: {}", path.display(), self.text),
        };
        Error::new(self.kind, operation, subject).because(text)
    }

    /// The same for a subject that is the file.
    pub(super) fn told_plainly(self, operation: &'static str, subject: impl std::fmt::Display) -> Error {
        Error::new(self.kind, operation, subject).because(self.text)
    }
}

const BUSY: &str = "another process holds the write lock";

const READ_ONLY: &str = "the file or its folder is read-only; taskq must be able to write both";

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        let Some(code) = error.sqlite_error_code() else {
            return Self::new(ErrorKind::Internal, error.to_string());
        };
        let (kind, cure) = match code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => return Self::new(ErrorKind::Unavailable, BUSY),
            ErrorCode::DiskFull => (ErrorKind::Full, "the disk is full; free some space, nothing acknowledged is lost"),
            ErrorCode::OutOfMemory => (ErrorKind::Full, "out of memory"),
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => {
                // While at work: a file system that was mounted anew after an error, say. It may be writable again.
                (ErrorKind::Full, READ_ONLY)
            }
            ErrorCode::CannotOpen => {
                (ErrorKind::Refused, "it cannot be opened; the file and its folder must be readable and writable")
            }
            ErrorCode::NotADatabase => {
                (ErrorKind::Refused, "this is not a SQLite database; choose another path or move the file away")
            }
            ErrorCode::DatabaseCorrupt => {
                (ErrorKind::Refused, "the file is damaged; move it away and restore it from a backup")
            }
            ErrorCode::SystemIoFailure | ErrorCode::FileLockingProtocolFailed => {
                (ErrorKind::Unavailable, "reading or writing failed; is it on a local disk?")
            }
            _ => (ErrorKind::Internal, "SQLite refused a statement"),
        };
        Self::new(kind, format!("{cure} ({error})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_file_and_the_cure() {
        let full = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL), None);
        let error = Failure::from(full).told("enqueue to", "\"mail\"", Path::new("/data/x.db"));
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Full, true));
        let text = error.to_string();
        assert!(
            text.starts_with("enqueue to \"mail\": broker cannot take writes: /data/x.db: the disk is full"),
            "{text}"
        );
    }
}
