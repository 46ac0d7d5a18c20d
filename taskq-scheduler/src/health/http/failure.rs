//! Errors of the HTTP client in words. Its own words name the URL with everything that is in it, so they are not used; only
//! what lies beneath is.

use std::{error::Error as StdError, io};

use rustls::CertificateError;

use super::{
    super::finding::{Cause, Reason},
    certificate::day,
};

/// Most errors inside of one another that are looked at.
const DEPTH: usize = 16;

/// What went wrong with a request or while its answer was read.
pub(crate) fn told(error: &reqwest::Error) -> Reason {
    let mut innermost = None;
    let mut next = error.source();
    for _ in 0..DEPTH {
        let Some(cause) = next else { break };
        if let Some(reason) = of_tls(cause) {
            return reason;
        }
        innermost = Some(cause);
        next = inside(cause);
    }
    let words = innermost.map_or_else(|| "it broke".to_owned(), words);
    match error.is_connect() {
        true => Reason::new(Cause::Connection, format_args!("cannot connect: {words}")),
        false => {
            Reason::new(Cause::Connection, format_args!("the connection broke before the answer was whole: {words}"))
        }
    }
}

/// What caused it. An I/O error that wraps another one does not name that as its source.
fn inside<'a>(cause: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => cause.source(),
    }
}

fn words(cause: &(dyn StdError + 'static)) -> String {
    match cause.downcast_ref::<io::Error>() {
        // With the number of the system left out.
        Some(error) => error.kind().to_string(),
        None => cause.to_string(),
    }
}

/// What went wrong with TLS, told by an error of a stream.
pub(crate) fn told_of_stream(error: &io::Error) -> Option<Reason> {
    error.get_ref().and_then(|inner| of_tls(inner))
}

fn of_tls(cause: &(dyn StdError + 'static)) -> Option<Reason> {
    let certificate = |words: String| Some(Reason::new(Cause::Certificate, words));
    match cause.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(error) => certificate(of_certificate(error)),
        error => Some(Reason::new(Cause::Connection, format_args!("TLS failed: {error}"))),
    }
}

fn of_certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired => "its certificate expired".to_owned(),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("its certificate expired on {}", day(not_after.as_secs()))
        }
        CertificateError::NotValidYet => "its certificate is not valid yet".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("its certificate is not valid before {}", day(not_before.as_secs()))
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name".to_owned()
        }
        // The second: by somebody with the name of an authority, and another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate is signed by nobody who is trusted; name the authority with ca".to_owned()
        }
        error => format!("its certificate is not accepted: {error}"),
    }
}
