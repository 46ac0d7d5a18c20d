//! A canary in every secret, and a search for it in all that is told and shown.

use serde_json::json;
use taskq_scheduler::alert::Alert;

use super::{Desk, alert, notice};
use crate::server::{Play, Server};

#[test]
fn alerts_are_shown_without_their_secrets() {
    let url = "https://canary:canary@hooks.example/canary?canary#canary";
    for (form, target) in [
        (json!({ "webhook": url }), "https://hooks.example"),
        (
            json!({ "webhook": {
                "url": url, "headers": { "X-Token": "canary" }, "template": { "token": "canary", "text": "{{text}}" },
            } }),
            "https://hooks.example",
        ),
        (json!({ "webhook": { "url_env": "PAGER" } }), "the URL in the variable PAGER"),
        (json!({ "slack": url }), "https://hooks.example"),
        (json!({ "slack": { "url_file": "/run/slack" } }), "the URL in the file /run/slack"),
        (
            json!({ "email": {
                "server": "smtps://mail.example", "user": "canary", "password_env": "MAIL", "from": "canary@a.example",
                "to": ["canary@a.example"], "subject": "canary",
            } }),
            "smtps://mail.example:465",
        ),
        (json!({ "task": { "name": "page", "args": { "token": "canary" } } }), "page"),
    ] {
        let alert = alert(form);
        assert_eq!(alert.channel.target(), target);
        assert!(!format!("{alert:?} {alert:#?}").contains("canary"), "{alert:?}");
    }
}

#[tokio::test]
async fn no_refusal_holds_a_secret() {
    for play in [
        Play::answer("500 canary", &["Retry-After: canary"], "canary"),
        Play::answer("302 canary", &["Location: http://canary/canary"], "canary"),
        Play::answer("410 canary", &[], "canary"),
        Play::Answer(b"canary".to_vec()),
        Play::Answer(b"HTTP/1.1 canary\r\n\r\n".to_vec()),
    ] {
        let server = Server::with(play).await;
        let url = format!("http://canary:canary@127.0.0.1:{}/canary?canary", server.port);
        for channel in [
            json!({ "webhook": { "url": url, "headers": { "X": "canary" }, "template": "\"canary\"" } }),
            json!({ "slack": { "url": url, "channel": "canary" } }),
        ] {
            let refusal = Desk::new().deliver(channel, &notice()).await.expect_err("refused");
            assert!(!format!("{refusal} {refusal:?}").contains("canary"), "{refusal:?}");
        }
        assert_eq!(server.requests().len(), 2);
    }
}

#[test]
fn no_refusal_of_a_form_shows_a_value() {
    let email = |key: &str, value: serde_json::Value| {
        let mut email = json!({ "server": "smtps://a", "from": "a@a.example", "to": ["a@a.example"] });
        email[key] = value;
        json!({ "email": email })
    };
    for form in [
        json!("canary"),
        json!({ "checks": "canary", "webhook": "https://a" }),
        json!({ "on": ["canary"], "webhook": "https://a" }),
        json!({ "recovery": "canary", "webhook": "https://a" }),
        json!({ "repeat": "canary", "webhook": "https://a" }),
        json!({ "webhook": "canary" }),
        json!({ "webhook": "ftp://canary:canary@canary" }),
        json!({ "webhook": ["canary"] }),
        json!({ "webhook": { "url": "https://canary:canary@[/" } }),
        json!({ "webhook": { "url_env": "https://canary/" } }),
        json!({ "webhook": { "url": "https://a", "headers": "canary" } }),
        json!({ "webhook": { "url": "https://a", "headers": { "X": "canary\n" } } }),
        json!({ "webhook": { "url": "https://a", "headers_env": { "X": "Bearer canary" } } }),
        json!({ "webhook": { "url": "https://a", "secret_env": "canary!" } }),
        json!({ "webhook": { "url": "https://a", "template": "{ canary" } }),
        json!({ "webhook": { "url": "https://a", "template": { "a": "{{canary}}" } } }),
        json!({ "webhook": { "url": "https://a", "template": { "{{canary}}": "a" } } }),
        json!({ "slack": "canary" }),
        json!({ "slack": { "url": "https://a", "url_env": "canary" } }),
        email("server", json!("smtp://canary:canary@a")),
        email("server", json!("canary")),
        email("from", json!("canary")),
        email("from", json!("a@a.example\r\ncanary")),
        email("to", json!(["canary"])),
        email("to", json!("canary")),
        email("subject", json!("{{canary}}")),
        email("tls", json!("canary")),
        email("user", json!("canary")),
        email("password_env", json!("canary")),
        json!({ "task": "canary" }),
    ] {
        let error = Alert::read(form.clone()).expect_err("refused");
        assert!(!format!("{error} {error:?}").contains("canary"), "{form}: {error}");
    }
}
