//! Labels: names and values by which checks are told apart, in metrics and alerts.

use std::collections::BTreeMap;

use taskq_core::{
    Result,
    limits::{MAX_HEALTH_LABELS, MAX_NAME},
};

use crate::table::Table;

/// Takes the key `labels` out of a table.
pub(crate) fn take_labels(table: &mut Table) -> Result<BTreeMap<String, String>> {
    let labels = table.pairs("labels", MAX_HEALTH_LABELS)?;
    for (name, value) in &labels {
        if name.len() > MAX_NAME || !is_name(name) {
            let cure = format!("names have letters, digits and _, no digit first, and at most {MAX_NAME} bytes");
            return Err(table.wrong("labels", cure));
        }
        if value.len() > MAX_NAME || value.contains(char::is_control) {
            let cure = format!("{name} has more than {MAX_NAME} bytes, or a control character");
            return Err(table.wrong("labels", cure));
        }
    }
    Ok(labels)
}

fn is_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(is_part) && !name.is_empty() && !name.as_bytes()[0].is_ascii_digit()
}
