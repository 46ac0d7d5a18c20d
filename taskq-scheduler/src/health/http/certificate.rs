//! Until when a server's certificate is valid.

use std::time::Duration;

use reqwest::{Response, tls::TlsInfo};
use taskq_core::Clock;
use x509_cert::{Certificate, der::Decode};

use super::super::finding::{Cause, Reason};

const DAY: u64 = 86_400;

/// A warning if the certificate of the server that answered is valid for fewer than `days`.
pub(super) fn near_its_end(response: &Response, days: u32, clock: &Clock) -> Option<Reason> {
    let der = response.extensions().get::<TlsInfo>()?.peer_certificate()?;
    let Ok(certificate) = Certificate::from_der(der) else {
        // Accepted, and yet odd: nobody would tell its end, so this is told.
        return Some(Reason::new(Cause::Certificate, "when its certificate expires cannot be read"));
    };
    let end = certificate.tbs_certificate().validity().not_after.to_unix_duration();
    let now = Duration::from_millis(u64::try_from(clock.now().as_millis()).unwrap_or(0));
    let left = end.saturating_sub(now).as_secs() / DAY;
    let words = || {
        let left = if left == 1 { "1 day".to_owned() } else { format!("{left} days") };
        format!("its certificate expires on {}, in {left}", day(end.as_secs()))
    };
    (left < u64::from(days)).then(|| Reason::new(Cause::Certificate, words()))
}

/// A day in UTC as text, for example `2026-11-27`; `seconds` since 1970.
pub(super) fn day(seconds: u64) -> String {
    let instant = i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    let text = instant.unwrap_or(jiff::Timestamp::MAX).to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}
