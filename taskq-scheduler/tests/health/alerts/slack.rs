//! What a chat gets.

use serde_json::{Value, json};
use taskq_scheduler::{
    alert::{Notice, NoticeKind},
    health::Health,
};

use super::{Desk, NASTY, notice, notice_of};
use crate::server::{Play, Server};

/// What a chat gets for a notice.
async fn message(slack: Value, notice: &Notice) -> Value {
    let server = Server::saying("ok").await;
    let mut slack = slack;
    slack["url"] = server.url().into();
    Desk::new().deliver(json!({ "slack": slack }), notice).await.expect("taken");
    let request = server.requests().remove(0);
    serde_json::from_str(request.split_once("\r\n\r\n").expect("whole").1).expect("JSON")
}

#[tokio::test]
async fn a_message_has_the_text_a_color_and_fields() {
    let field = |title: &str, value: &str, short: bool| json!({ "title": title, "value": value, "short": short });
    let expected = json!({
        "text": "shop is unhealthy: connection refused",
        "channel": "#ops",
        "attachments": [{ "color": "#e01e5a", "fields": [
            field("Check", "shop", true),
            field("Health", "unhealthy", true),
            field("Since", "2029-12-31T23:59:00Z", true),
            field("Alert", "team-web", true),
            field("Reason", "connection refused", false),
            field("team", "web", true),
        ] }],
    });
    assert_eq!(message(json!({ "channel": "#ops" }), &notice()).await, expected);
    let well = Notice { kind: NoticeKind::Recovered, health: Health::Healthy, reason: None, ..notice() };
    let told = message(json!({}), &well).await;
    assert_eq!((&told["text"], &told["channel"]), (&json!("shop is healthy again"), &Value::Null));
    assert_eq!(told["attachments"][0]["color"], "#2eb67d");
}

#[tokio::test]
async fn nothing_of_a_notice_is_a_link_or_a_mention() {
    let told = message(json!({}), &notice_of(NASTY)).await;
    let text = told["text"].as_str().expect("text");
    assert!(text.contains("&lt;!channel&gt; &amp; 'ü\u{1f600}'"), "{text}");
    let all = told.to_string();
    assert!(!all.contains('<') && !all.contains('>') && !all.contains("& "), "{all}");
}

#[tokio::test]
async fn the_short_form_is_a_url_and_the_answer_counts() {
    let server = Server::with(Play::answer("404 Not Found", &[], "no_service")).await;
    let (told, is_final, _) = Desk::new().refused(json!({ "slack": server.url() })).await;
    assert!(told.ends_with("it answered with status 404") && is_final, "{told}");
}
