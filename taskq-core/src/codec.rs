//! Arguments and results as bytes: JSON, bounded in size and depth on the way in and on the way out.

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{
    error::{BoxError, Error, ErrorKind, Result},
    limits::MAX_NESTING,
};

/// Encoded arguments or an encoded result: one JSON value.
#[derive(Clone)]
pub struct Payload(Box<RawValue>);

impl Payload {
    /// Encodes `value`; refuses what is over `limit` bytes or nested deeper than 64 levels.
    pub fn encode<T: Serialize + ?Sized>(operation: &'static str, value: &T, limit: usize) -> Result<Self> {
        let raw = serde_json::value::to_raw_value(value)
            .map_err(|error| Error::new(ErrorKind::Codec, operation, "").because(error))?;
        check(operation, raw.get(), limit)?;
        Ok(Self(raw))
    }

    /// Takes JSON text from outside; refuses what is no JSON, over `limit` bytes or nested deeper than 64 levels.
    pub fn from_json(operation: &'static str, text: &str, limit: usize) -> Result<Self> {
        check(operation, text, limit)?;
        let raw = serde_json::from_str(text)
            .map_err(|error| Error::new(ErrorKind::Codec, operation, "json").because(error))?;
        Ok(Self(raw))
    }

    /// A JSON text.
    #[cfg(feature = "seal")]
    pub(crate) fn text(text: &str) -> Self {
        Self(serde_json::value::to_raw_value(text).expect("a text always encodes"))
    }

    /// Wraps JSON that a broker kept; it was checked when it was accepted.
    pub fn from_raw(raw: Box<RawValue>) -> Self {
        Self(raw)
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// The JSON value, for embedding into other JSON.
    pub fn as_raw(&self) -> &RawValue {
        &self.0
    }

    /// Decodes into `T`; an error names the place and what was expected there, e.g. `items[3].price: invalid type:
    /// string, expected u64`, and shows nothing else of it but keys on the way: errors are logged and kept, and values may be secret.
    pub fn decode<T: DeserializeOwned>(&self) -> std::result::Result<T, BoxError> {
        // The plain decoder is three times as fast; the one that knows the path only runs to explain a failure.
        match serde_json::from_str(self.as_str()) {
            Ok(value) => Ok(value),
            Err(first) => {
                let mut decoder = serde_json::Deserializer::from_str(self.as_str());
                match serde_path_to_error::deserialize::<_, T>(&mut decoder) {
                    Ok(_) => Err(without_value(&first).into()),
                    Err(error) if error.path().iter().len() == 0 => Err(without_value(error.inner()).into()),
                    Err(error) => Err(format!("{}: {}", error.path(), without_value(error.inner())).into()),
                }
            }
        }
    }
}

impl fmt::Debug for Payload {
    /// Never shows the value: it may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.as_str().len())
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

/// A decoder's error without what it quotes of the value.
///
/// serde quotes in the words of its own below; what a type says in words of its own may hold anything, and is left out.
pub(crate) fn without_value(error: &serde_json::Error) -> String {
    let told = error.to_string();
    if error.classify() != serde_json::error::Category::Data {
        return told;
    }
    let place = format!("at line {} column {}", error.line(), error.column());
    let message = told.strip_suffix(&place).map_or(told.as_str(), str::trim_end);
    let expected =
        || message.rsplit_once(", expected ").map_or(String::new(), |(_, what)| format!(", expected {what}"));
    for begin in ["invalid type: ", "invalid value: "] {
        if let Some(rest) = message.strip_prefix(begin) {
            // `string "secret"`, `integer `5``, `map`: the words before the quotes.
            let kind = rest.split([',', '"', '`']).next().unwrap_or_default().trim_end();
            return format!("{begin}{kind}{} {place}", expected());
        }
    }
    for begin in ["unknown variant", "unknown field"] {
        if message.starts_with(begin) {
            return format!("{begin}{} {place}", expected());
        }
    }
    // These name a field of the type, or count.
    match ["missing field ", "duplicate field ", "invalid length "].iter().any(|begin| message.starts_with(begin)) {
        true => format!("{message} {place}"),
        false => format!("a value that its type refuses {place}"),
    }
}

fn check(operation: &'static str, text: &str, limit: usize) -> Result<()> {
    if text.len() > limit {
        let cure =
            format!("{} bytes, the limit is {limit}; store large data elsewhere and pass a reference", text.len());
        return Err(Error::new(ErrorKind::TooLarge, operation, "").because(cure));
    }
    if nesting(text) > MAX_NESTING {
        let cure =
            format!("nested deeper than {MAX_NESTING} levels; make it flatter, or pass the inner part as a text");
        return Err(Error::new(ErrorKind::TooLarge, operation, "").because(cure));
    }
    Ok(())
}

/// The depth of arrays and objects in JSON text, without recursion.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0usize, 0usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_and_depth_are_refused_before_anything_is_sent() {
        assert_eq!(Payload::encode("encode", &"x".repeat(100), 50).expect_err("big").kind(), ErrorKind::TooLarge);
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        assert_eq!(Payload::from_json("encode", &deep, 10_000).expect_err("deep").kind(), ErrorKind::TooLarge);
        assert!(Payload::from_json("encode", &format!("\"{}\"", "[".repeat(200)), 10_000).is_ok());
        assert_eq!(Payload::from_json("encode", "{", 10).expect_err("no json").kind(), ErrorKind::Codec);
    }

    #[test]
    fn a_decoding_error_names_the_place() {
        let payload = Payload::from_json("decode", r#"{"items":[{"price":"a"}]}"#, 100).expect("valid");
        #[derive(Debug, serde::Deserialize)]
        #[allow(dead_code)]
        struct Order {
            items: Vec<Item>,
        }
        #[derive(Debug, serde::Deserialize)]
        #[allow(dead_code)]
        struct Item {
            price: u64,
        }
        let error = payload.decode::<Order>().expect_err("price is text").to_string();
        assert_eq!(error, "items[0].price: invalid type: string, expected u64 at line 1 column 22");
    }

    #[test]
    fn no_decoding_error_shows_the_value() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code)]
        struct Strict {
            kind: Option<Kind>,
            small: Option<u8>,
            letter: Option<char>,
            pair: Option<(u8, u8)>,
            queue: Option<crate::id::QueueName>,
        }
        #[derive(Debug, serde::Deserialize)]
        enum Kind {
            Known,
        }
        for (json, says) in [
            (r#"{"kind":"canary, expected nothing"}"#, "unknown variant, expected"),
            (r#"{"colour":1}"#, "unknown field, expected one of `kind`"),
            (r#"{"small":"canary\"quoted"}"#, "invalid type: string, expected u8"),
            (r#"{"small":-7777}"#, "invalid value: integer, expected u8"),
            (r#"{"small":77.77}"#, "invalid type: floating point, expected u8"),
            (r#"{"letter":"canary"}"#, "invalid value: string, expected a character"),
            (r#"{"pair":[1,2,3]}"#, "at line 1"),
            (r#"{"queue":"canary canary"}"#, "a value that its type refuses"),
            (r#"["canary"]"#, "[0]: unknown variant, expected `Known`"),
        ] {
            let error = Payload::from_json("decode", json, 100).expect("json").decode::<Strict>().expect_err(json);
            let error = error.to_string();
            assert!(error.contains(says), "{json}: {error}");
            assert!(!error.contains("canary") && !error.contains("77"), "{json}: {error}");
        }
    }

    #[test]
    fn a_payload_does_not_show_its_value() {
        let payload = Payload::from_json("decode", "\"canary\"", 100).expect("valid");
        assert_eq!(format!("{payload:?}"), "Payload(8 bytes)");
    }
}
