//! Replies of scripts, taken apart. A reply of another shape is a bug, told as such.

use redis::Value;
use taskq_core::{Error, ErrorKind, Result};

pub(super) fn wrong(what: &str) -> Error {
    Error::new(ErrorKind::Internal, "read a reply of", "redis").because(format!("expected {what}"))
}

pub(super) fn array(value: Value) -> Result<Vec<Value>> {
    match value {
        Value::Array(items) => Ok(items),
        _ => Err(wrong("a list")),
    }
}

pub(super) fn bytes(value: Value) -> Result<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.into_bytes()),
        _ => Err(wrong("bytes")),
    }
}

pub(super) fn text(value: Value) -> Result<String> {
    String::from_utf8(bytes(value)?).map_err(|_| wrong("text"))
}

pub(super) fn integer(value: &Value) -> Result<i64> {
    match value {
        Value::Int(number) => Ok(*number),
        Value::BulkString(bytes) => {
            std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).ok_or_else(|| wrong("a number"))
        }
        _ => Err(wrong("a number")),
    }
}
