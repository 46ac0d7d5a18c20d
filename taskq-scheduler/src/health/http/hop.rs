//! [`Hop`]: one request on the way to the answer; the first one is the probe's own, others are redirects.

use std::net::SocketAddr;

use reqwest::{
    Method, Response, StatusCode,
    header::{CONNECTION, LOCATION},
};
use rustls::ClientConfig;
use url::Url;

use super::{
    super::{
        finding::{Cause, Reason},
        guard::Place,
    },
    client::client,
    failure, origin,
    request::Request,
};

const USER_AGENT: &str = concat!("taskq-health/", env!("CARGO_PKG_VERSION"));

/// A request on its way.
#[derive(Debug)]
pub(super) struct Hop {
    pub(super) url: Url,
    method: Method,
    sends_body: bool,
    /// Whether every hop so far was at the origin of the target: then it gets the headers, and is where the target is. One
    /// that comes back from elsewhere is a stranger.
    pub(super) is_home: bool,
}

impl Hop {
    pub(super) fn first(request: &Request) -> Self {
        Self {
            url: request.url().clone(),
            method: request.method().clone(),
            sends_body: request.body().is_some(),
            is_home: true,
        }
    }

    pub(super) fn place(&self) -> Result<Place, Reason> {
        match (self.url.host(), self.url.port_or_known_default()) {
            (Some(host), Some(port)) => Ok(Place { host: host.to_owned(), port }),
            _ => Err(Reason::new(Cause::Setup, "the URL has no host")),
        }
    }

    /// Sends it over a connection of its own. `addresses` are the only ones that it may lead to.
    pub(super) async fn send(
        &self,
        request: &Request,
        tls: &ClientConfig,
        addresses: &[SocketAddr],
    ) -> Result<Response, Reason> {
        let client = client(tls, addresses, USER_AGENT)?;
        let mut message = client.request(self.method.clone(), self.url.clone()).header(CONNECTION, "close");
        if self.is_home {
            message = message.headers(request.headers().clone());
        }
        if let Some(body) = request.body().filter(|_| self.sends_body) {
            message = message.body(body.to_owned());
        }
        message.send().await.map_err(|error| failure::told(&error))
    }

    /// Where the answer leads, if it is a redirect.
    pub(super) fn next(&self, response: &Response) -> Result<Option<Self>, Reason> {
        let status = response.status();
        let Some(location) = response.headers().get(LOCATION).filter(|_| is_redirect(status)) else {
            return Ok(None);
        };
        let unusable = || refused("it redirects to what is no URL of http or https".to_owned());
        let location = location.to_str().map_err(|_| unusable())?;
        let mut url = self.url.join(location).map_err(|_| unusable())?;
        if !matches!(url.scheme(), "http" | "https") || url.port() == Some(0) {
            return Err(unusable());
        }
        if self.url.scheme() == "https" && url.scheme() == "http" {
            return Err(refused(format!("it redirects from HTTPS to {}, which is not followed", origin(&url))));
        }
        let is_home = self.is_home && url.origin() == self.url.origin();
        // A target does not choose with which credentials it or others are asked.
        let own = |text: &str| if is_home { text.to_owned() } else { String::new() };
        let (user, password) = (own(self.url.username()), self.url.password().filter(|_| is_home).map(str::to_owned));
        url.set_username(&user).and_then(|()| url.set_password(password.as_deref())).map_err(|()| unusable())?;
        url.set_fragment(None);
        let method = method_after(status, &self.method);
        let sends_body = self.sends_body && method == self.method;
        if sends_body && !is_home {
            return Err(refused(format!("it redirects the request and its body to {}, which gets none", origin(&url))));
        }
        Ok(Some(Self { url, method, sends_body, is_home }))
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// As browsers do it.
fn method_after(status: StatusCode, method: &Method) -> Method {
    match (status.as_u16(), method) {
        (301 | 302, &Method::POST) => Method::GET,
        (303, method) if *method != Method::HEAD => Method::GET,
        (_, method) => method.clone(),
    }
}

fn refused(words: String) -> Reason {
    Reason::new(Cause::Forbidden, words)
}
