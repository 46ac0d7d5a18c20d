//! [`Target`]: where a notice is sent by HTTP. Of the answer only the status and one header are looked at; its body is not
//! even read.

use std::{fmt, path::PathBuf, time::Duration};

use reqwest::{
    Response,
    header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
};
use taskq_core::{
    Clock, Result,
    limits::{DEFAULT_ALERT_TIMEOUT, MAX_ALERT_TIMEOUT},
};
use url::Url;

use super::{courier::Sending, refusal::Refusal, source::Source};
use crate::{
    health::{Guard, Place, System, Trust, client, origin, told, web_url},
    secret::Secret,
    table::Table,
};

const USER_AGENT: &str = concat!("taskq-alert/", env!("CARGO_PKG_VERSION"));

/// Where a notice is sent.
#[derive(Clone, PartialEq)]
pub(super) struct Target {
    url: Source,
    ca: Option<PathBuf>,
    pub(super) timeout: Duration,
}

impl Target {
    pub(super) const KEYS: [&str; 5] = ["url", "url_env", "url_file", "ca", "timeout"];

    /// Takes its keys out of a table. `example` is a URL.
    pub(super) fn take(table: &mut Table, example: &str) -> Result<Self> {
        let here = match table.text("url")? {
            None => None,
            Some(text) => {
                let url = web_url(&text, example).map_err(|cure| table.wrong("url", cure))?;
                Some(url)
            }
        };
        let ca = table.path("ca")?;
        if ca.is_some() && here.as_ref().is_some_and(|url| url.scheme() == "http") {
            return Err(table.wrong("ca", "there is no certificate without TLS; write https:// in url"));
        }
        let url = match (here, Source::take_outside(table, "url")?) {
            (Some(_), Some(_)) => {
                return Err(table.wrong("url", "there is url_env or url_file too; give it one of them"));
            }
            (Some(url), None) => Source::Here(Secret::new(url.into())),
            (None, Some(source)) => source,
            (None, None) => {
                let cure = format!("it is missing; write for example {example}, or url_env or url_file");
                return Err(table.wrong("url", cure));
            }
        };
        let timeout = table.length("timeout", Duration::from_millis(1)..=MAX_ALERT_TIMEOUT)?;
        Ok(Self { url, ca, timeout: timeout.unwrap_or(DEFAULT_ALERT_TIMEOUT) })
    }

    /// Scheme and host of the URL, or where it comes from.
    pub(super) fn shown(&self) -> String {
        match &self.url {
            Source::Here(url) => url.reveal().parse().map(|url| origin(&url)).unwrap_or_default(),
            outside => format!("the URL in {outside:?}"),
        }
    }

    /// Sends JSON once.
    pub(super) async fn post(&self, sending: &Sending<'_>, headers: HeaderMap, json: String) -> Result<(), Refusal> {
        let url = self.url.read().await?;
        // Not the words of the parser, as nobody has seen this URL before.
        let url = web_url(url.reveal(), "")
            .map_err(|_| Refusal::new(format_args!("{} is none of http or https", self.shown())))?;
        let who = origin(&url);
        self.request(sending, url, headers, json).await.map_err(|refusal| refusal.by(&who))
    }

    async fn request(&self, sending: &Sending<'_>, url: Url, headers: HeaderMap, json: String) -> Result<(), Refusal> {
        let tls = sending.authorities.config(self.ca.as_deref()).await?;
        sending.stage.enter("the name was being resolved");
        let addresses = Guard::new(&Trust::Config, &System).target(&place(&url)?).await?;
        sending.stage.enter("there was no answer");
        let message = client(&tls, &addresses, USER_AGENT)?
            .post(url)
            .header(CONNECTION, "close")
            .header(CONTENT_TYPE, "application/json")
            .headers(headers)
            .body(json);
        let response = message.send().await.map_err(|error| told(&error))?;
        judge(&response, sending.clock)
    }
}

/// Without anything that may be secret.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.shown())
    }
}

fn place(url: &Url) -> Result<Place, Refusal> {
    match (url.host(), url.port_or_known_default()) {
        (Some(host), Some(port)) => Ok(Place { host: host.to_owned(), port }),
        _ => Err(Refusal::new("the URL has no host")),
    }
}

fn judge(response: &Response, clock: &Clock) -> Result<(), Refusal> {
    let status = response.status();
    let number = status.as_u16();
    if status.is_success() {
        return Ok(());
    }
    if status.is_redirection() {
        let words =
            format_args!("it redirects with status {number}, which is not followed; write the URL where it leads");
        return Err(Refusal::new(words));
    }
    let words = format!("it answered with status {number}");
    // Too slow, too early, too often: these pass.
    let passes = matches!(number, 408 | 425 | 429);
    match status.is_client_error() && !passes {
        true => Err(Refusal::last(words)),
        false => Err(Refusal::new(words).after(retry_after(response.headers().get(RETRY_AFTER), clock))),
    }
}

/// How long to wait, from seconds or a date.
fn retry_after(header: Option<&HeaderValue>, clock: &Clock) -> Option<Duration> {
    let text = header?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(taskq_core::Timestamp::from_millis(date.as_millisecond()).since(clock.now()))
}
