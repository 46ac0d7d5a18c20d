//! Errors of the driver and the server as errors of taskq: which are worth repeating, and which are not.

use redis::{ErrorKind as DriverKind, RedisError, ServerErrorKind};
use taskq_core::{Error, ErrorKind};

/// What a failed command means. The server's own words stay, since they name the cure.
pub(super) fn failed(operation: &'static str, shown: &str, error: RedisError) -> Error {
    match of_certificates(&error) {
        Some((kind, cure)) => Error::new(kind, operation, shown).because(format!("{cure} ({error})")),
        None => Error::new(kind(&error), operation, shown).because(error),
    }
}

/// What to do if one side does not like the other's certificate. The server tells so in an alert, and that is a refusal
/// like that of a password.
fn of_certificates(error: &RedisError) -> Option<(ErrorKind, &'static str)> {
    let text = error.to_string();
    if text.contains("invalid peer certificate") {
        let cure = "the server's certificate is not trusted; name its authority with ca=/path.pem";
        return Some((ErrorKind::Unavailable, cure));
    }
    let (_, alert) = text.split_once("received fatal alert: ")?;
    let alert: String = alert.chars().take_while(char::is_ascii_alphanumeric).collect();
    let cure = match alert.as_str() {
        "CertificateRequired" => {
            "the server asks for a client certificate; add cert=/path.pem&key=/path.pem to the address"
        }
        "UnknownCA"
        | "BadCertificate"
        | "UnsupportedCertificate"
        | "CertificateRevoked"
        | "CertificateExpired"
        | "CertificateUnknown"
        | "DecryptError"
        | "AccessDenied" => {
            "the server does not accept the client certificate; see that it is valid and of an authority that it trusts"
        }
        // What TLS 1.2 says of a certificate that is not there, and of much else.
        "HandshakeFailure" => {
            "the server breaks the TLS handshake off; if it asks for a client certificate, add cert=/path.pem&key=/path.pem"
        }
        _ => return None,
    };
    Some((ErrorKind::Refused, cure))
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

/// How servers say within a script that the user may not do it: Redis 7.0, then newer ones and Valkey.
const MISSING_RIGHTS: [&str; 5] =
    ["can't run this command", "ACL failure in script", "has no permissions", "No permissions", "NOPERM"];

/// Errors of a script carry the code of the command that failed only in their text.
fn of_text(error: &RedisError) -> ErrorKind {
    let text = error.to_string();
    if text.contains("max number of clients") {
        ErrorKind::Unavailable
    } else if text.contains("OOM command not allowed") || text.contains("MISCONF") {
        ErrorKind::Full
    } else if MISSING_RIGHTS.iter().any(|words| text.contains(words)) {
        ErrorKind::Refused
    } else if is_of_replica(error) {
        ErrorKind::Unavailable
    } else {
        ErrorKind::Internal
    }
}
