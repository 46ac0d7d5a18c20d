//! [`SlackChannel`]: a message for an incoming webhook of Slack, or of Mattermost, which takes the same.

use std::fmt;

use reqwest::header::HeaderMap;
use serde_json::{Map, Value, json};
use taskq_core::Result;

use super::{NOUN, courier::Sending, field::rfc3339, notice::Notice, post::Target, refusal::Refusal};
use crate::{health::Health, table::Table};

const EXAMPLE: &str = "\"https://hooks.slack.com/services/..\"";

/// A message in a chat.
#[derive(Clone, PartialEq)]
pub struct SlackChannel {
    pub(super) target: Target,
    /// Another room than the webhook's own.
    channel: Option<String>,
}

impl SlackChannel {
    pub(super) fn read(form: Value) -> Result<Self> {
        let form = match form {
            // The short form.
            Value::String(url) => Value::Object(Map::from_iter([("url".to_owned(), url.into())])),
            form => form,
        };
        let mut table = Table::open(NOUN, "slack", form, &[&Target::KEYS[..], &["channel"]].concat())?;
        Ok(Self { target: Target::take(&mut table, EXAMPLE)?, channel: table.text("channel")? })
    }

    pub(super) async fn send(&self, notice: &Notice, sending: &Sending<'_>) -> Result<(), Refusal> {
        self.target.post(sending, HeaderMap::new(), self.message(notice).to_string()).await
    }

    fn message(&self, notice: &Notice) -> Value {
        let field =
            |title: &str, value: &str, short: bool| json!({ "title": title, "value": escape(value), "short": short });
        let mut fields = vec![
            field("Check", &notice.check, true),
            field("Health", &notice.health.to_string(), true),
            field("Since", &rfc3339(notice.since), true),
            field("Alert", &notice.alert, true),
        ];
        if let Some(reason) = &notice.reason {
            fields.push(field("Reason", reason, false));
        }
        fields.extend(notice.labels.iter().map(|(name, value)| field(&escape(name), value, true)));
        let attachment = json!({ "color": color(notice.health), "fields": fields });
        let mut message = json!({ "text": escape(&notice.to_string()), "attachments": [attachment] });
        if let Some(channel) = &self.channel {
            message["channel"] = channel.as_str().into();
        }
        message
    }
}

impl fmt::Debug for SlackChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SlackChannel({})", self.target.shown())
    }
}

fn color(health: Health) -> &'static str {
    match health {
        Health::Healthy => "#2eb67d",
        Health::Degraded => "#ecb22e",
        Health::Unhealthy => "#e01e5a",
        Health::Unknown => "#808080",
    }
}

/// These three begin links, mentions and entities; nothing else does.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
