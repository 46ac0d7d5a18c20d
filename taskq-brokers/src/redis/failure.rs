//! Errors of the driver and the server as errors of taskq: which are worth repeating, and which are not.

use redis::{ErrorKind as DriverKind, RedisError, ServerErrorKind};
use taskq_core::{Error, ErrorKind};

/// What a failed command means. The server's own words stay, since they name the cure.
pub(super) fn failed(operation: &'static str, shown: &str, error: RedisError) -> Error {
    Error::new(kind(&error), operation, shown).because(error)
}

/// Whether the connection cannot be used any more: rebuild it from scratch.
pub(super) fn breaks_connection(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_timeout()
        || error.is_connection_dropped()
        || error.is_unrecoverable_error()
        || matches!(error.kind(), DriverKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown))
        || is_of_replica(error)
}

/// Whether the server refuses writes since it is a replica. A script's own refusal tells it only in its text.
pub(super) fn is_of_replica(error: &RedisError) -> bool {
    let text = error.to_string();
    ["READONLY", "readonly replica", "read only replica"].iter().any(|words| text.contains(words))
}

pub(super) fn kind(error: &RedisError) -> ErrorKind {
    match (error.kind(), error.code().unwrap_or_default()) {
        (DriverKind::AuthenticationFailed, _) | (_, "NOAUTH" | "WRONGPASS" | "NOPERM") => ErrorKind::Refused,
        (_, "OOM" | "MISCONF") => ErrorKind::Full,
        (DriverKind::Io | DriverKind::Parse, _) => ErrorKind::Unavailable,
        (DriverKind::InvalidClientConfig, _) => ErrorKind::InvalidInput,
        (DriverKind::Server(server), _) => of_server(server, error),
        (_, "BUSY" | "UNBLOCKED" | "NOREPLICAS") => ErrorKind::Unavailable,
        _ if error.is_unrecoverable_error() => ErrorKind::Unavailable,
        _ => of_text(error),
    }
}

fn of_server(kind: ServerErrorKind, error: &RedisError) -> ErrorKind {
    match kind {
        ServerErrorKind::BusyLoading
        | ServerErrorKind::ReadOnly
        | ServerErrorKind::MasterDown
        | ServerErrorKind::ClusterDown
        | ServerErrorKind::TryAgain
        | ServerErrorKind::NoScript => ErrorKind::Unavailable,
        ServerErrorKind::NoPerm => ErrorKind::Refused,
        _ => of_text(error),
    }
}

/// Errors of a script carry the code of the command that failed only in their text.
fn of_text(error: &RedisError) -> ErrorKind {
    let text = error.to_string();
    if text.contains("max number of clients") {
        ErrorKind::Unavailable
    } else if text.contains("OOM command not allowed") || text.contains("MISCONF") {
        ErrorKind::Full
    } else if text.contains("can't run this command") || text.contains("No permissions") || text.contains("NOPERM") {
        ErrorKind::Refused
    } else if is_of_replica(error) {
        ErrorKind::Unavailable
    } else {
        ErrorKind::Internal
    }
}
