//! Hides what is probably secret in arguments, results and headers: a dashboard is looked at by more people than a broker.

use serde_json::Value;

/// Parts of names behind which secrets are.
const SECRETIVE: [&str; 10] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "api_key",
    "apikey",
    "authorization",
    "credential",
    "private_key",
];

/// What stands for a secret.
pub(super) const MASK: &str = "••••••";

/// JSON as people read it, with every value hidden whose name is that of a secret. What is no JSON is shown as it is.
pub(super) fn readable_json(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(mut value) => {
            hide(&mut value);
            serde_json::to_string_pretty(&value).unwrap_or_else(|_| text.to_owned())
        }
        Err(_) => text.to_owned(),
    }
}

/// The same in one line.
pub(super) fn short_json(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(mut value) => {
            hide(&mut value);
            value.to_string()
        }
        Err(_) => text.to_owned(),
    }
}

/// Whether what has this name is probably secret.
pub(super) fn is_secretive(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    SECRETIVE.iter().any(|part| name.contains(part))
}

/// The nesting of what is kept is bounded, so this is too.
fn hide(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match is_secretive(name) && !value.is_null() {
                    true => *value = Value::String(MASK.to_owned()),
                    false => hide(value),
                }
            }
        }
        Value::Array(members) => members.iter_mut().for_each(hide),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_with_the_names_of_secrets_are_hidden_at_any_depth() {
        let text = r#"{"user":"ada","list":[{"API-Key":"k1","n":1}],"db_password":{"old":"p1"},"token":null}"#;
        let shown = short_json(text);
        assert!(!shown.contains("k1") && !shown.contains("p1"), "{shown}");
        assert!(shown.contains("ada") && shown.contains("\"token\":null"), "{shown}");
        assert_eq!(readable_json("no json"), "no json");
    }
}
