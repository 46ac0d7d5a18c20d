//! [`Channel`]: how people are told. One kind, one file.

use std::time::Duration;

use serde_json::Value;
use taskq_core::Result;

use super::{
    NOUN, courier::Sending, email::EmailChannel, notice::Notice, refusal::Refusal, slack::SlackChannel,
    task::TaskChannel, webhook::WebhookChannel,
};
use crate::table::{Table, wrong};

/// The keys by which the kinds are told apart.
pub(super) const KINDS: [&str; 4] = ["webhook", "slack", "email", "task"];

/// How people are told. [`Alert`](super::Alert) has the forms.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Channel {
    /// JSON by `POST`.
    Webhook(WebhookChannel),
    /// A message in a chat.
    Slack(SlackChannel),
    /// A mail.
    Email(EmailChannel),
    /// A task. [`Courier`](super::Courier) does not enqueue it: whoever has a broker does.
    Task(TaskChannel),
}

impl Channel {
    /// Takes the one kind out of the table of an alert.
    pub(super) fn take(table: &mut Table) -> Result<Self> {
        let mut named = KINDS.into_iter().filter_map(|kind| table.value(kind).map(|form| (kind, form)));
        match (named.next(), named.next()) {
            (Some((kind, form)), None) => Self::read(kind, form),
            (None, _) => Err(wrong(NOUN, "", format!("it tells nobody; give it one of {}", KINDS.join(", ")))),
            (Some((one, _)), Some((other, _))) => {
                Err(wrong(NOUN, "", format!("it has both {one} and {other}; give it one, and write another alert")))
            }
        }
    }

    fn read(kind: &str, form: Value) -> Result<Self> {
        match kind {
            "webhook" => WebhookChannel::read(form).map(Self::Webhook),
            "slack" => SlackChannel::read(form).map(Self::Slack),
            "email" => EmailChannel::read(form).map(Self::Email),
            _ => TaskChannel::read(form).map(Self::Task),
        }
    }

    /// The key of its kind: `webhook`, `slack`, `email` or `task`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Slack(_) => "slack",
            Self::Email(_) => "email",
            Self::Task(_) => "task",
        }
    }

    /// Whom it tells, for people: a URL without all that may be secret, a server, the name of a task.
    pub fn target(&self) -> String {
        match self {
            Self::Webhook(channel) => channel.target.shown(),
            Self::Slack(channel) => channel.target.shown(),
            Self::Email(channel) => channel.shown(),
            Self::Task(channel) => channel.name().to_string(),
        }
    }

    /// How long one attempt may take.
    pub(super) fn timeout(&self) -> Duration {
        match self {
            Self::Webhook(channel) => channel.target.timeout,
            Self::Slack(channel) => channel.target.timeout,
            Self::Email(_) | Self::Task(_) => taskq_core::limits::ALERT_EMAIL_TIMEOUT,
        }
    }

    pub(super) async fn send(&self, notice: &Notice, sending: &Sending<'_>) -> Result<(), Refusal> {
        match self {
            Self::Webhook(channel) => channel.send(notice, sending).await,
            Self::Slack(channel) => channel.send(notice, sending).await,
            Self::Email(channel) => channel.send(notice, sending).await,
            Self::Task(_) => Err(Refusal::last("a task is enqueued by whoever has a broker, not here")),
        }
    }
}
