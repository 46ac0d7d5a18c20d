//! [`Check`]: what to look at, how often, and when to change one's mind. Its form in configuration is read here.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value, json};
use taskq_core::{
    Result,
    limits::{
        DEFAULT_HEALTH_FAILURES, DEFAULT_HEALTH_SUCCESSES, DEFAULT_HEALTH_TIMEOUT, MAX_HEALTH_EVERY, MAX_HEALTH_ROW,
        MAX_HEALTH_TIMEOUT, MIN_HEALTH_EVERY,
    },
};

use super::{
    NOUN,
    labels::take_labels,
    probe::{self, Probe},
};
use crate::{length, table::Table};

/// A health check.
///
/// Its serde form is the table that people write:
///
/// ```
/// # use taskq_scheduler::health::Check;
/// let check: Check = toml::from_str(r#"
///     every = "30s"
///     labels = { team = "web" }
///     http = { url = "https://shop.example/health", status = [200], contains = "ok", latency = "500ms" }
/// "#)?;
/// assert_eq!(check.probe.target(), "https://shop.example/health");
/// # Ok::<(), toml::de::Error>(())
/// ```
///
/// | key | meaning | default |
/// |---|---|---|
/// | `every` | time between two looks, `1s` to `1d` | required |
/// | `timeout` | how long one look may take as a whole, at most `every` and `5m` | `5s`, or `every` if that is less |
/// | `failures` | bad looks in a row until it is unhealthy, 1 to 1000 | 3 |
/// | `successes` | good looks in a row until it is healthy again, 1 to 1000 | 1 |
/// | `labels` | a table of at most 16 texts, for metrics and alerts; names of letters, digits and `_` | none |
///
/// And exactly one of these, which say what is looked at:
///
/// | key | well if |
/// |---|---|
/// | `http = "https://host/path"` or a table | the answer has one of the expected statuses, and what else is asked for |
/// | `tcp = "host:port"` | a connection opens |
/// | `redis = "redis://.."` | `PING` is answered; the URLs of brokers, TLS and Sentinel included |
/// | `sqlite = "path.db"` | the file is there and its schema can be read; it is never created |
/// | `command = ["program", "word"]` | it exits with 0; no shell, only `PATH` in its environment, only where the program allows commands |
/// | `task = { name = "task", args = { .. }, queue = "queue" }` | the task succeeds; only `name` is required |
///
/// The keys of the table `http`:
///
/// | key | meaning | default |
/// |---|---|---|
/// | `url` | `http://` or `https://`; user and password become a header | required |
/// | `method` | `GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE` or `OPTIONS` | `GET` |
/// | `headers` | a table of at most 32 texts | none |
/// | `body` | at most 64 KiB, sent by `POST`, `PUT`, `PATCH` or `DELETE` | none |
/// | `status` | a list of statuses and ranges | `["200-299"]` |
/// | `contains` | text that the body has in its first 64 KiB | |
/// | `matches` | a regular expression that matches there, in the syntax of the crate `regex` | |
/// | `json` | `{ pointer = "/status", equals = "up" }`: a value that the body has, by a JSON pointer; without `equals` any | |
/// | `latency` | a good answer that takes longer is a warning; less than `timeout` | |
/// | `certificate_days` | a certificate that expires sooner is a warning, 1 to 365; HTTPS only | |
/// | `redirects` | how many redirects are followed, 0 to 10; with 0 a redirect is judged by its status | 0 |
/// | `redirect_to` | where redirects may lead besides public addresses, in the form of [`Allow`](super::Allow) | none |
/// | `ca` | a PEM file with the authorities to trust instead of the system's; HTTPS only, read at each look | |
///
/// A redirect never leads from HTTPS to HTTP, and what is sent to another origin has none of the headers and no body.
///
/// The form has every secret that the check has; its `Debug` output has none.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Time between two looks.
    pub every: Duration,
    /// How long one look may take.
    pub timeout: Duration,
    /// Bad looks in a row until the target is unhealthy.
    pub failures: u32,
    /// Good looks in a row until it is healthy again.
    pub successes: u32,
    /// For metrics and alerts.
    pub labels: BTreeMap<String, String>,
    /// What is looked at.
    pub probe: Probe,
}

impl Check {
    /// Reads the form that people write, as a table of TOML or JSON.
    ///
    /// # Errors
    /// `InvalidInput` with the key and the cure. No value is shown, as it may be a secret.
    pub fn read(form: Value) -> Result<Self> {
        let known = [&["every", "timeout", "failures", "successes", "labels"], &probe::KINDS[..]].concat();
        let mut table = Table::open(NOUN, "", form, &known)?;
        let every = table.length("every", MIN_HEALTH_EVERY..=MAX_HEALTH_EVERY)?;
        let every = every.ok_or_else(|| table.wrong("every", "it is missing; write for example \"30s\""))?;
        let timeout = match table.length("timeout", Duration::from_millis(1)..=MAX_HEALTH_TIMEOUT)? {
            Some(timeout) if timeout > every => {
                return Err(table.wrong("timeout", format!("use at most {}, as every has", length::write(every))));
            }
            Some(timeout) => timeout,
            None => DEFAULT_HEALTH_TIMEOUT.min(every),
        };
        let failures = table.number("failures", 1..=MAX_HEALTH_ROW)?.unwrap_or(DEFAULT_HEALTH_FAILURES);
        let successes = table.number("successes", 1..=MAX_HEALTH_ROW)?.unwrap_or(DEFAULT_HEALTH_SUCCESSES);
        let labels = take_labels(&mut table)?;
        let probe = Probe::take(&mut table, timeout)?;
        Ok(Self { every, timeout, failures, successes, labels, probe })
    }

    /// What [`Check::read`] reads.
    fn form(&self) -> Value {
        let mut form = Map::new();
        form.insert("every".to_owned(), length::write(self.every).into());
        form.insert("timeout".to_owned(), length::write(self.timeout).into());
        form.insert("failures".to_owned(), self.failures.into());
        form.insert("successes".to_owned(), self.successes.into());
        if !self.labels.is_empty() {
            form.insert("labels".to_owned(), json!(self.labels));
        }
        form.insert(self.probe.kind().to_owned(), self.probe.form());
        Value::Object(form)
    }
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.form().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Check {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(Value::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
