//! [`WebhookChannel`]: a notice as JSON, sent by `POST` and signed.

mod content;
mod signature;

use std::{collections::BTreeMap, fmt};

use reqwest::header::{HeaderMap, HeaderName};
use serde_json::{Map, Value};
use taskq_core::{Result, limits::MAX_HEADERS};

use super::{NOUN, courier::Sending, notice::Notice, post::Target, refusal::Refusal, source::Source};
use crate::{
    health::{header_name, header_value, take_headers},
    table::Table,
};
use content::Content;

const EXAMPLE: &str = "\"https://pager.example/taskq\"";

/// With these our own headers begin.
const OURS: &str = "taskq-";

/// JSON by `POST`.
///
/// Without a template this is sent, and later versions of taskq only add to it:
///
/// ```json
/// {
///   "version": 1,
///   "alert": "team-web",
///   "check": "shop",
///   "event": "began",
///   "health": "unhealthy",
///   "since": "2030-01-01T00:00:00Z",
///   "at": "2030-01-01T00:00:00Z",
///   "reason": "connection refused",
///   "labels": { "team": "web" },
///   "text": "shop is unhealthy: connection refused"
/// }
/// ```
///
/// `event` is `began`, `lasts`, `recovered` or `flapping`; `reason` is null if there is none.
///
/// A template is JSON of one's own, whose texts may have placeholders ([`Alert`](super::Alert) lists them), as in
/// `{ "title": "{{summary}}", "severity": "critical", "details": { "since": "{{since}}", "labels": "{{labels}}" } }`.
/// Whatever a notice says becomes part of the text in which its placeholder stands, and never anything else.
///
/// # What a receiver should know
///
/// An answer of 200 to 299 says that the notice was taken. 408, 425, 429, 500 and above ask for another attempt, after
/// `Retry-After` if that is there; any other 4xx ends the attempts. A notice may come more than once: the header
/// `Taskq-Notice-Id` is then the same.
///
/// If there is a secret, `Taskq-Signature: t=1893456000,v1=5257a8..` signs the request: `t` is the time of the attempt in
/// seconds since 1970, `v1` the HMAC-SHA-256 in hex of `t`, a dot, and the body as it came. A receiver compares it in constant
/// time, and takes nothing that is older than some minutes:
///
/// ```
/// use hmac::{Hmac, KeyInit, Mac};
///
/// fn is_genuine(secret: &str, signature: &str, body: &[u8], now: u64) -> bool {
///     let part = |name: &str| signature.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
///     let (Some(time), Some(hex)) = (part("t"), part("v1")) else { return false };
///     let is_recent = time.parse::<u64>().is_ok_and(|time| now.abs_diff(time) <= 300);
///     let byte = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
///     let Some(claimed) = (0..hex.len()).step_by(2).map(byte).collect::<Option<Vec<u8>>>() else { return false };
///     let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
///     mac.update(time.as_bytes());
///     mac.update(b".");
///     mac.update(body);
///     is_recent && mac.verify_slice(&claimed).is_ok()
/// }
///
/// let signature = "t=1893456000,v1=e46ae8a4ac5d49f0392b9e5e2905d28f3cb454f263e1800d90a2b8ab3ba5f882";
/// assert!(is_genuine("whsec", signature, b"{}", 1_893_456_010));
/// assert!(!is_genuine("whsec", signature, b"{ }", 1_893_456_010));
/// assert!(!is_genuine("whsec", signature, b"{}", 1_893_457_000));
/// ```
#[derive(Clone, PartialEq)]
pub struct WebhookChannel {
    pub(super) target: Target,
    headers: HeaderMap,
    /// Headers whose values stand elsewhere.
    outside: BTreeMap<String, Source>,
    content: Content,
    secret: Option<Source>,
}

impl WebhookChannel {
    pub(super) fn read(form: Value) -> Result<Self> {
        let form = match form {
            // The short form.
            Value::String(url) => Value::Object(Map::from_iter([("url".to_owned(), url.into())])),
            form => form,
        };
        let own = ["headers", "headers_env", "template", "secret_env", "secret_file"];
        let mut table = Table::open(NOUN, "webhook", form, &[&Target::KEYS[..], &own[..]].concat())?;
        let target = Target::take(&mut table, EXAMPLE)?;
        let headers = take_headers(&mut table)?;
        for name in headers.keys() {
            check_is_theirs(&table, "headers", name)?;
        }
        let outside = take_outside_headers(&mut table, &headers)?;
        let content = match table.value("template") {
            None => Content::Usual,
            Some(form) => Content::read(form).map_err(|cure| table.wrong("template", cure))?,
        };
        let secret = Source::take_outside(&mut table, "secret")?;
        Ok(Self { target, headers, outside, content, secret })
    }

    pub(super) async fn send(&self, notice: &Notice, sending: &Sending<'_>) -> Result<(), Refusal> {
        let json = self.content.render(notice);
        let mut headers = self.headers.clone();
        for (name, source) in &self.outside {
            put(&mut headers, name, source.read().await?.reveal())?;
        }
        put(&mut headers, "taskq-notice-id", &one_line(&notice.key()))?;
        if let Some(secret) = &self.secret {
            let secret = secret.read().await?;
            put(&mut headers, "taskq-signature", &signature::sign(secret.reveal(), sending.clock.now(), &json))?;
        }
        self.target.post(sending, headers, json).await
    }
}

impl fmt::Debug for WebhookChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookChannel({})", self.target.shown())
    }
}

fn take_outside_headers(table: &mut Table, here: &HeaderMap) -> Result<BTreeMap<String, Source>> {
    let key = "headers_env";
    let mut outside = BTreeMap::new();
    for (text, variable) in table.pairs(key, MAX_HEADERS)? {
        let name = header_name(table, key, &text)?;
        check_is_theirs(table, key, &name)?;
        let source = Source::variable(table, key, variable)?;
        if here.contains_key(&name) || outside.insert(name.to_string(), source).is_some() {
            return Err(table.wrong(key, format!("{name} is there twice")));
        }
    }
    Ok(outside)
}

fn check_is_theirs(table: &Table, key: &str, name: &HeaderName) -> Result<()> {
    match name.as_str().starts_with(OURS) {
        true => Err(table.wrong(key, format!("{name} is one of taskq's own; give it another name"))),
        false => Ok(()),
    }
}

fn put(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), Refusal> {
    let refuse = || Refusal::new(format_args!("the header {name} has a character that no header may have"));
    let name = HeaderName::try_from(name).map_err(|_| refuse())?;
    headers.insert(name, header_value(value).ok_or_else(refuse)?);
    Ok(())
}

/// The key of a notice as a header can have it: it is made of names that others chose.
fn one_line(key: &str) -> String {
    key.chars().map(|character| if character.is_ascii_graphic() { character } else { '_' }).collect()
}
