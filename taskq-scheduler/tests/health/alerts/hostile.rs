//! Forms of alerts that nobody meant: read or refused in a short line, never a panic.

use proptest::prelude::*;
use taskq_scheduler::alert::Alert;

use crate::hostile::{mutated, seeds};

fn judge(bytes: &[u8]) -> bool {
    match serde_json::from_slice::<Alert>(bytes) {
        Ok(alert) => {
            assert!(!alert.channel.target().is_empty());
            true
        }
        Err(error) => {
            let told = error.to_string();
            assert!(!told.contains(char::is_control) && told.len() < 1_000, "{told}");
            false
        }
    }
}

#[test]
fn every_seed_is_read_or_refused() {
    let read: Vec<_> = seeds("alert").into_iter().filter(|(_, seed)| judge(seed)).map(|(name, _)| name).collect();
    let expected = [
        "all_keys",
        "email",
        "email_everything",
        "email_v6",
        "nulls",
        "slack",
        "slack_table",
        "task",
        "webhook",
        "webhook_everything",
        "webhook_template_table",
    ];
    assert_eq!(read, expected);
}

proptest! {
    #[test]
    fn a_form_with_bytes_changed_is_read_or_refused(bytes in mutated("alert")) {
        judge(&bytes);
    }

    #[test]
    fn any_text_at_a_key_is_read_or_refused(
        text in ".{0,60}",
        key in prop::sample::select(vec![
            "/webhook", "/slack", "/repeat", "/email/server", "/email/from", "/email/to/0", "/email/subject", "/email/user",
            "/webhook/url", "/webhook/template", "/webhook/secret_env", "/webhook/headers_env/X",
        ]),
    ) {
        let (kind, rest) = key[1..].split_once('/').unwrap_or((&key[1..], ""));
        let mut form = match kind {
            "email" => serde_json::json!({ "email": { "server": "smtp://a", "from": "a@a.b", "to": [""], "subject": "", "user": "" } }),
            "webhook" if !rest.is_empty() => serde_json::json!({ "webhook": {
                "url": "https://a", "template": "1", "secret_env": "A", "headers_env": { "X": "A" },
            } }),
            _ => serde_json::json!({ "webhook": "https://a" }),
        };
        match form.pointer_mut(key) {
            Some(place) => *place = text.into(),
            None => form[kind] = text.into(),
        }
        judge(form.to_string().as_bytes());
    }

    #[test]
    fn any_template_that_is_read_is_filled_in(text in "[a-z{}. \"\\\\:,]{0,40}|(\\{\\{(check|text|reason|labels)\\}\\}|[\"{}:, ]){0,8}") {
        judge(serde_json::json!({ "webhook": { "url": "https://a", "template": text } }).to_string().as_bytes());
    }
}
