//! [`HttpProbe`]: one request over a fresh connection, and what its answer has to be.

mod answer;
mod authorities;
mod certificate;
mod client;
mod expected;
mod failure;
mod headers;
mod hop;
mod request;
mod visit;

use std::{path::PathBuf, time::Duration};

use serde_json::{Map, Value};
use taskq_core::{
    Result,
    limits::{MAX_HEALTH_CERTIFICATE_DAYS, MAX_HEALTH_REDIRECTS, MAX_HEALTH_TIMEOUT},
};
use url::Url;

use super::{NOUN, allow::Allow, finding::Reason};
use crate::table::Table;
pub(crate) use authorities::{Authorities, beside};
pub(crate) use client::client;
use expected::Expected;
pub(crate) use failure::{told, told_of_stream};
pub(crate) use headers::{header_name, header_value, take_headers, web_url};
use request::Request;
pub(super) use visit::Sight;

/// The keys of the table.
const KEYS: [&str; 13] = [
    "url",
    "method",
    "headers",
    "body",
    "status",
    "contains",
    "matches",
    "json",
    "latency",
    "certificate_days",
    "redirects",
    "redirect_to",
    "ca",
];

/// A request, and what its answer has to be.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpProbe {
    request: Request,
    expected: Expected,
    /// Longer is a warning.
    latency: Option<Duration>,
    /// Fewer left are a warning.
    certificate_days: Option<u32>,
    redirects: u32,
    redirect_to: Allow,
    ca: Option<PathBuf>,
}

impl HttpProbe {
    pub(super) fn read(form: Value, timeout: Duration) -> Result<Self> {
        let form = match form {
            // The short form.
            Value::String(url) => Value::Object(Map::from_iter([("url".to_owned(), url.into())])),
            form => form,
        };
        let mut table = Table::open(NOUN, "http", form, &KEYS)?;
        let request = Request::take(&mut table)?;
        let is_tls = request.url().scheme() == "https";
        let expected = Expected::take(&mut table)?;
        let latency = table.length("latency", Duration::from_millis(1)..=MAX_HEALTH_TIMEOUT)?;
        if latency.is_some_and(|latency| latency >= timeout) {
            return Err(table.wrong("latency", "use less than timeout: what takes longer than that is bad anyway"));
        }
        let certificate_days = table.number("certificate_days", 1..=MAX_HEALTH_CERTIFICATE_DAYS)?;
        let redirects = table.number("redirects", 0..=MAX_HEALTH_REDIRECTS)?.unwrap_or(0);
        let redirect_to = match table.texts("redirect_to", "[\"10.0.0.0/8\", \"intern.example\"]")? {
            Some(_) if redirects == 0 => {
                return Err(table.wrong("redirect_to", "no redirect is followed; set redirects = 1 or more"));
            }
            Some(entries) => Allow::list(entries).map_err(|error| table.wrong("redirect_to", error.to_string()))?,
            None => Allow::default(),
        };
        let ca = table.path("ca")?;
        if !is_tls && redirects == 0 {
            for (key, is_set) in [("ca", ca.is_some()), ("certificate_days", certificate_days.is_some())] {
                if is_set {
                    return Err(table.wrong(key, "there is no certificate without TLS; write https:// in url"));
                }
            }
        }
        Ok(Self { request, expected, latency, certificate_days, redirects, redirect_to, ca })
    }

    pub(super) fn form(&self) -> Value {
        let mut form = Map::new();
        let mut put = |key: &str, value: Value| drop(form.insert(key.to_owned(), value));
        self.request.put(&mut put);
        self.expected.put(&mut put);
        if let Some(latency) = self.latency {
            put("latency", crate::length::write(latency).into());
        }
        if let Some(days) = self.certificate_days {
            put("certificate_days", days.into());
        }
        if self.redirects > 0 {
            put("redirects", self.redirects.into());
        }
        if !self.redirect_to.is_empty() {
            put("redirect_to", self.redirect_to.entries().into());
        }
        if let Some(ca) = &self.ca {
            put("ca", ca.to_string_lossy().into());
        }
        Value::Object(form)
    }

    /// The URL without credentials and query.
    pub(super) fn shown(&self) -> String {
        shown(self.request.url())
    }

    /// One look: a warning, or why it is bad.
    pub(super) async fn look(&self, sight: &Sight<'_>) -> Result<Option<Reason>, Reason> {
        visit::look(self, sight).await
    }
}

/// A URL without credentials, query and fragment.
fn shown(url: &Url) -> String {
    format!("{}{}", origin(url), url.path())
}

/// Scheme, host, and a port that is not the usual one.
pub(crate) fn origin(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
        None => format!("{}://{host}", url.scheme()),
    }
}
