//! [`Request`]: what is sent. Its headers, body, credentials and query are never shown.

use std::fmt;

use reqwest::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::{Map, Value};
use taskq_core::{Result, limits::HEALTH_BODY};
use url::Url;

use super::headers::{take_headers, take_url};
use crate::{secret::Secret, table::Table};

const METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

const METHODS_WITH_BODY: [Method; 4] = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

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
