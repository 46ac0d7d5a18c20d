//! [`Request`]: what is sent. Its headers, body, credentials and query are never shown.

use std::fmt;

use reqwest::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::{Map, Value};
use taskq_core::{
    Result,
    limits::{HEALTH_BODY, MAX_HEADERS, MAX_HEADERS_BYTES},
};
use url::Url;

use super::super::{secret::Secret, table::Table};

const METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

const METHODS_WITH_BODY: [Method; 4] = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// Headers that say how a message travels; the client writes them itself. A host stands in the URL.
const NOT_OURS: [&str; 9] =
    ["connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];

/// A request of one probe.
#[derive(Clone, PartialEq)]
pub(super) struct Request {
    url: Url,
    method: Method,
    headers: HeaderMap,
    body: Option<Secret>,
}

impl Request {
    pub(super) fn take(table: &mut Table) -> Result<Self> {
        let url = take_url(table)?;
        let method = match table.text("method")? {
            None => Method::GET,
            Some(text) => METHODS.into_iter().find(|method| method.as_str() == text).ok_or_else(|| {
                let known: Vec<_> = METHODS.iter().map(Method::as_str).collect();
                table.wrong("method", format!("write one of {}", known.join(", ")))
            })?,
        };
        let headers = take_headers(table)?;
        if headers.contains_key("authorization") && (!url.username().is_empty() || url.password().is_some()) {
            return Err(
                table.wrong("headers", "the url has credentials already; give it either those or Authorization")
            );
        }
        let body = table.text_of_at_most("body", HEALTH_BODY)?.map(Secret::new);
        if body.is_some() && !METHODS_WITH_BODY.contains(&method) {
            return Err(table.wrong("body", "a body is sent with POST, PUT, PATCH or DELETE; set method"));
        }
        Ok(Self { url, method, headers, body })
    }

    pub(super) fn put(&self, put: &mut impl FnMut(&str, Value)) {
        put("url", self.url.as_str().into());
        if self.method != Method::GET {
            put("method", self.method.as_str().into());
        }
        if !self.headers.is_empty() {
            let pair = |(name, value): (&HeaderName, &HeaderValue)| {
                (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned().into())
            };
            put("headers", Value::Object(self.headers.iter().map(pair).collect::<Map<_, _>>()));
        }
        if let Some(body) = &self.body {
            put("body", body.reveal().into());
        }
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub(super) fn body(&self) -> Option<&str> {
        self.body.as_ref().map(Secret::reveal)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {})", self.method, super::shown(&self.url))
    }
}

fn take_url(table: &mut Table) -> Result<Url> {
    let text = table.required("url", "\"https://shop.example/health\"")?;
    let refuse = |cure: &str| table.wrong("url", cure);
    let mut url: Url =
        text.parse().map_err(|error| refuse(&format!("{error}; write for example \"https://shop.example/health\"")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse("write http:// or https://"));
    }
    if url.port() == Some(0) {
        return Err(refuse("nothing listens at port 0"));
    }
    // It is never sent.
    url.set_fragment(None);
    Ok(url)
}

fn take_headers(table: &mut Table) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    let pairs = table.pairs("headers", MAX_HEADERS)?;
    if pairs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > MAX_HEADERS_BYTES {
        return Err(table.wrong("headers", format!("they have more than {MAX_HEADERS_BYTES} bytes")));
    }
    for (text, value) in pairs {
        let shown: String = text.chars().take(40).flat_map(char::escape_debug).collect();
        let name = HeaderName::try_from(text)
            .map_err(|_| table.wrong("headers", format!("\"{shown}\" is no name of a header")))?;
        if NOT_OURS.contains(&name.as_str()) {
            return Err(table.wrong("headers", format!("{name} is written by the client; leave it out")));
        }
        let mut value = HeaderValue::try_from(value)
            .map_err(|_| table.wrong("headers", format!("{name} has a character that no header may have")))?;
        value.set_sensitive(true);
        if headers.insert(name, value).is_some() {
            return Err(table.wrong("headers", format!("\"{shown}\" is there twice")));
        }
    }
    Ok(headers)
}
