//! Arguments and results as bytes: JSON, bounded in size and depth on the way in and on the way out.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{
    error::{BoxError, Error, ErrorKind, Result},
    limits::MAX_NESTING,
};

/// Encoded arguments or an encoded result: one JSON value.
#[derive(Clone, Debug)]
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

    /// Decodes into `T`; an error names the place in the value, e.g. `items[3].price: expected u64`.
    pub fn decode<T: DeserializeOwned>(&self) -> std::result::Result<T, BoxError> {
        // The plain decoder is three times as fast; the one that knows the path only runs to explain a failure.
        match serde_json::from_str(self.as_str()) {
            Ok(value) => Ok(value),
            Err(first) => {
                let mut decoder = serde_json::Deserializer::from_str(self.as_str());
                match serde_path_to_error::deserialize::<_, T>(&mut decoder) {
                    Ok(_) => Err(first.into()),
                    Err(error) => Err(error.to_string().into()),
                }
            }
        }
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

fn check(operation: &'static str, text: &str, limit: usize) -> Result<()> {
    if text.len() > limit {
        let cure =
            format!("{} bytes, the limit is {limit}; store large data elsewhere and pass a reference", text.len());
        return Err(Error::new(ErrorKind::TooLarge, operation, "").because(cure));
    }
    if nesting(text) > MAX_NESTING {
        let cure = format!("nested deeper than {MAX_NESTING} levels");
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
        assert!(error.starts_with("items[0].price"), "{error}");
    }
}
