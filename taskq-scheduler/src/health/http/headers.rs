//! URLs and headers as people write them.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use taskq_core::{
    Result,
    limits::{MAX_HEADERS, MAX_HEADERS_BYTES},
};
use url::Url;

use crate::table::Table;

/// Headers that say how a message travels; the client writes them itself. A host stands in the URL.
const NOT_OURS: [&str; 9] =
    ["connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];

/// Takes the key `url` out of a table.
pub(super) fn take_url(table: &mut Table) -> Result<Url> {
    let text = table.required("url", "\"https://shop.example/health\"")?;
    web_url(&text, "\"https://shop.example/health\"").map_err(|cure| table.wrong("url", cure))
}

/// A URL of HTTP, or what to write instead.
pub(crate) fn web_url(text: &str, example: &str) -> Result<Url, String> {
    let mut url: Url = text.parse().map_err(|error| format!("{error}; write for example {example}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("write http:// or https://".to_owned());
    }
    if url.port() == Some(0) {
        return Err("nothing listens at port 0".to_owned());
    }
    // It is never sent.
    url.set_fragment(None);
    Ok(url)
}

/// Takes the key `headers` out of a table.
pub(crate) fn take_headers(table: &mut Table) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    let pairs = table.pairs("headers", MAX_HEADERS)?;
    if pairs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > MAX_HEADERS_BYTES {
        return Err(table.wrong("headers", format!("they have more than {MAX_HEADERS_BYTES} bytes")));
    }
    for (text, value) in pairs {
        let name = header_name(table, "headers", &text)?;
        let value = header_value(&value)
            .ok_or_else(|| table.wrong("headers", format!("{name} has a character that no header may have")))?;
        if headers.insert(name, value).is_some() {
            return Err(table.wrong("headers", format!("\"{}\" is there twice", shown(&text))));
        }
    }
    Ok(headers)
}

/// The name of a header, as it stands in a table at `key`.
pub(crate) fn header_name(table: &Table, key: &str, text: &str) -> Result<HeaderName> {
    let name = HeaderName::try_from(text)
        .map_err(|_| table.wrong(key, format!("\"{}\" is no name of a header", shown(text))))?;
    match NOT_OURS.contains(&name.as_str()) {
        true => Err(table.wrong(key, format!("{name} is written by the client; leave it out"))),
        false => Ok(name),
    }
}

/// The value of a header, which may be a secret.
pub(crate) fn header_value(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn shown(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_debug).collect()
}
