//! [`Alert`]: of which checks it tells, when, and how. Its form in configuration is read here.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use taskq_core::{
    Result,
    limits::{
        DEFAULT_ALERT_FLAP_WINDOW, DEFAULT_ALERT_FLAPS, MAX_ALERT_FLAP_WINDOW, MAX_ALERT_FLAPS, MAX_ALERT_REPEAT,
        MIN_ALERT_FLAP_WINDOW, MIN_ALERT_REPEAT,
    },
};

use super::{
    NOUN,
    channel::{self, Channel},
    rule::Rule,
};
use crate::{
    health::{Health, take_labels},
    table::Table,
};

const KEYS: [&str; 7] = ["checks", "labels", "on", "recovery", "repeat", "flaps", "flap_window"];

/// An alert: of which checks it tells, when, and how.
///
/// Its serde form is the table that people write:
///
/// ```
/// # use taskq_scheduler::alert::Alert;
/// let text = r#"
///     checks = ["shop", "db-*"]
///     repeat = "1h"
///     webhook = { url = "https://pager.example/taskq", secret_env = "PAGER_SECRET" }
/// "#;
/// let alert: Alert = toml::from_str(text)?;
/// assert!(alert.rule.is_about("db-primary", &Default::default()));
/// assert_eq!(alert.channel.target(), "https://pager.example");
/// # Ok::<(), toml::de::Error>(())
/// ```
///
/// | key | meaning | default |
/// |---|---|---|
/// | `checks` | names of checks, where a `*` stands for any text | all |
/// | `labels` | a table of labels that a check has to have, all of them | none |
/// | `on` | what is trouble: `["unhealthy"]`, or `["degraded", "unhealthy"]` | `["unhealthy"]` |
/// | `recovery` | whether the end of trouble is told too | `true` |
/// | `repeat` | how often it is told again while it lasts, `1m` to `30d` | told once |
/// | `flaps` | more changes than this within `flap_window` are told once, as flapping; 1 to 100 | 5 |
/// | `flap_window` | how far back changes count, `1m` to `1d` | `10m` |
///
/// And exactly one of these, which say how people are told:
///
/// | key | what is done |
/// |---|---|
/// | `webhook = "https://host/path"` or a table | a JSON object is sent by `POST`: see [`WebhookChannel`](super::WebhookChannel) |
/// | `slack = "https://hooks.slack.com/services/.."` or a table | a message for an incoming webhook of Slack or Mattermost |
/// | `email = { server = "smtps://host", from = "..", to = [".."] }` | a mail in plain text |
/// | `task = { name = "page", queue = "ops", args = { .. } }` | a task with the notice as its argument `notice`; only `name` is required |
///
/// The keys of the table `webhook`:
///
/// | key | meaning | default |
/// |---|---|---|
/// | `url`, `url_env` or `url_file` | `http://` or `https://`; user and password become a header | required |
/// | `headers` | a table of at most 32 texts | none |
/// | `headers_env` | a table of headers whose values are in these variables | none |
/// | `template` | JSON to send instead of the usual, with placeholders: a text or a table | |
/// | `secret_env` or `secret_file` | what signs the request | not signed |
/// | `ca` | a PEM file with the authorities to trust instead of the system's | |
/// | `timeout` | how long one attempt may take, `1ms` to `1m` | `10s` |
///
/// The keys of the table `slack`: `url`, `url_env` or `url_file`, `channel` (where the webhook may choose one), `ca` and
/// `timeout`.
///
/// The keys of the table `email`:
///
/// | key | meaning | default |
/// |---|---|---|
/// | `server` | `smtps://host:465`, or `smtp://host:587`, which is upgraded by STARTTLS | required |
/// | `tls` | `required`, or `none` for a relay on this machine: then all of it travels in clear | `required` |
/// | `user`, and `password_env` or `password_file` | by whom to log in | nobody logs in |
/// | `from` | an address, `taskq <taskq@shop.example>` | required |
/// | `to` | a list of at most 50 addresses | required |
/// | `subject` | text with placeholders | `[taskq] {{summary}}` |
/// | `ca` | a PEM file with the authorities to trust instead of the system's | |
///
/// These placeholders can stand in `template` and `subject`:
///
/// | placeholder | for example |
/// |---|---|
/// | `{{alert}}`, `{{check}}` | `team-web`, `shop` |
/// | `{{event}}` | `began`, `lasts`, `recovered` or `flapping` |
/// | `{{health}}` | `healthy`, `degraded` or `unhealthy` |
/// | `{{since}}`, `{{at}}` | `2030-01-01T00:00:00Z` |
/// | `{{reason}}` | `connection refused`; empty if there is none |
/// | `{{summary}}` | `shop is unhealthy` |
/// | `{{text}}` | `shop is unhealthy: connection refused` |
/// | `{{labels}}` | `team=web, tier=1`; where a JSON text is nothing else, the table of labels |
/// | `{{labels.team}}` | `web`; empty if there is none |
/// | `{{id}}` | `shop+team-web@1893456000000`, the same whenever this notice is sent again |
///
/// Secrets in variables and files are read at each delivery, and an end of the line after them is no part of them. Nothing
/// of them is in the alert, and what is in it is not in its `Debug` output.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Of which checks it tells, and when.
    pub rule: Rule,
    /// How people are told.
    pub channel: Channel,
}

impl Alert {
    /// Reads the form that people write, as a table of TOML or JSON.
    ///
    /// # Errors
    /// `InvalidInput` with the key and the cure. No value is shown, as it may be a secret.
    pub fn read(form: Value) -> Result<Self> {
        let known = [&KEYS[..], &channel::KINDS[..]].concat();
        let mut table = Table::open(NOUN, "", form, &known)?;
        let rule = Rule {
            checks: take_checks(&mut table)?,
            labels: take_labels(&mut table)?,
            on: take_on(&mut table)?,
            recovery: table.flag("recovery")?.unwrap_or(true),
            repeat: table.length("repeat", MIN_ALERT_REPEAT..=MAX_ALERT_REPEAT)?,
            flaps: table.number("flaps", 1..=MAX_ALERT_FLAPS)?.unwrap_or(DEFAULT_ALERT_FLAPS),
            flap_window: take_window(&mut table)?,
        };
        let channel = Channel::take(&mut table)?;
        Ok(Self { rule, channel })
    }
}

impl<'de> Deserialize<'de> for Alert {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(Value::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

fn take_checks(table: &mut Table) -> Result<Vec<String>> {
    Ok(table.texts("checks", "[\"shop\", \"db-*\"]")?.unwrap_or_default())
}

fn take_window(table: &mut Table) -> Result<Duration> {
    let window = table.length("flap_window", MIN_ALERT_FLAP_WINDOW..=MAX_ALERT_FLAP_WINDOW)?;
    Ok(window.unwrap_or(DEFAULT_ALERT_FLAP_WINDOW))
}

fn take_on(table: &mut Table) -> Result<Vec<Health>> {
    let Some(names) = table.texts("on", "[\"unhealthy\"]")? else { return Ok(Rule::default().on) };
    let mut on = Vec::new();
    for name in names {
        let health = match name.as_str() {
            "degraded" => Health::Degraded,
            "unhealthy" => Health::Unhealthy,
            "healthy" => return Err(table.wrong("on", "healthy is no trouble; recovery = true tells of the end of it")),
            "unknown" => return Err(table.wrong("on", "what nobody has looked at is no trouble; list unhealthy")),
            _ => return Err(table.wrong("on", "list \"unhealthy\", or \"degraded\" and \"unhealthy\"")),
        };
        if !on.contains(&health) {
            on.push(health);
        }
    }
    match on.contains(&Health::Unhealthy) {
        true => Ok(on),
        // Otherwise getting worse would be told as the end of trouble.
        false => Err(table.wrong("on", "list \"unhealthy\" too: it is worse than degraded")),
    }
}
