//! `taskq.toml` and the environment: every value with its origin, every mistake with its place and its cure.
//!
//! Environment variables win over the file, the file over the defaults. The variable of a key is its path in upper
//! case, joined with two underscores: `worker.drain` is `TASKQ__WORKER__DRAIN`.

mod security;

pub use security::{KeyAlgorithm, KeyPlace, KeySource, Security};

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use taskq_core::{Connection, Durability, Error, ErrorKind, Result, limits};
use toml::{
    Spanned, Value,
    de::{DeTable, DeValue},
};

/// The file that is read if none is named.
pub const DEFAULT_FILE: &str = "taskq.toml";

/// A key that may be set: its path, its default as shown, what it means. A `*` stands for any name.
struct Known {
    key: &'static str,
    default: &'static str,
    meaning: &'static str,
}

const KNOWN: [Known; 16] = [
    Known { key: "broker.url", default: "sqlite://taskq.db", meaning: "where tasks are kept" },
    Known { key: "client.deadline", default: "5s", meaning: "deadline of one client call" },
    Known { key: "client.replicas", default: "0", meaning: "replicas that confirm each enqueue; Redis only" },
    Known { key: "worker.drain", default: "25s", meaning: "time to finish after SIGTERM" },
    Known { key: "worker.lease", default: "4500ms", meaning: "how long a silent worker is trusted, 600ms to 10m" },
    Known { key: "worker.default_timeout", default: "30m", meaning: "limit of attempts that declare none" },
    Known { key: "worker.unregistered_bound", default: "24h", meaning: "how long unknown tasks are handed back" },
    Known {
        key: "worker.plain_threads",
        default: "",
        meaning: "most threads for plain bodies; as many as slots if unset",
    },
    Known { key: "worker.queues.*", default: "", meaning: "slots of one queue; all declared queues with 10 if none" },
    Known { key: "worker.shared", default: "", meaning: "queues that share slots: slots, order, queues" },
    Known { key: "security.sign_with", default: "", meaning: "id of the key that signs tasks" },
    Known { key: "security.encrypt_with", default: "", meaning: "id of the key that encrypts tasks and results" },
    Known {
        key: "security.require_signature",
        default: "false",
        meaning: "whether unsigned tasks become dead letters",
    },
    Known {
        key: "security.require_encryption",
        default: "false",
        meaning: "whether unencrypted tasks become dead letters",
    },
    Known {
        key: "security.keys.*",
        default: "",
        meaning: "a key: its algorithm, and its file or environment variable",
    },
    Known { key: "log.filter", default: "info", meaning: "what is logged, as in RUST_LOG" },
];

/// The configuration of a program.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// Where tasks are kept; it may hold a password.
    pub broker_url: String,
    /// Deadline of one client call.
    pub client_deadline: Duration,
    /// How many replicas confirm each enqueue, on Redis.
    pub replicas: u8,
    /// Time that running tasks get after SIGTERM.
    pub drain: Duration,
    /// How long a worker is trusted after its last heartbeat.
    pub lease: Duration,
    /// Limit of attempts that declare none.
    pub default_timeout: Duration,
    /// How long tasks of unknown names are handed back before they become dead letters.
    pub unregistered_bound: Duration,
    /// Most threads for plain bodies.
    pub plain_threads: Option<usize>,
    /// Slots by queue.
    pub queues: BTreeMap<String, usize>,
    /// Queues that share slots.
    pub shared: Vec<SharedSlots>,
    /// Which keys sign and encrypt.
    pub security: Security,
    /// What is logged.
    pub log_filter: String,
    settings: BTreeMap<String, Setting>,
}

/// Queues that share slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedSlots {
    /// How many slots.
    pub slots: usize,
    /// Whether the order of the queues is strict; otherwise their weights decide.
    pub strict: bool,
    /// The queues with their weights.
    pub queues: Vec<(String, u32)>,
}

/// One value and where it came from.
#[derive(Clone, Debug)]
struct Setting {
    value: Value,
    origin: Origin,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A file, at a line and column, 1-based.
    File(PathBuf, usize, usize),
    /// An environment variable.
    Environment(String),
    /// An argument of the command line.
    CommandLine(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line, column) => write!(f, "{}:{line}:{column}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::CommandLine(option) => f.write_str(option),
        }
    }
}

impl Config {
    /// Reads `file` (or `taskq.toml` if there is one) and this process's environment.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] with file, line and column, or the variable, and the cure.
    pub fn load(file: Option<&Path>) -> Result<Self> {
        let text = match file {
            Some(path) => Some((path.to_owned(), read(path)?)),
            None if Path::new(DEFAULT_FILE).exists() => Some((DEFAULT_FILE.into(), read(Path::new(DEFAULT_FILE))?)),
            None => None,
        };
        Self::from_parts(text, std::env::vars())
    }

    /// The same from text and variables given, for tests.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_parts(
        file: Option<(PathBuf, String)>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self> {
        let mut settings = match file {
            Some((path, text)) => settings_of_file(&path, &text)?,
            None => BTreeMap::new(),
        };
        settings.extend(settings_of_environment(variables)?);
        Self::from_settings(settings)
    }

    /// The same configuration with another broker, as said on the command line.
    #[must_use]
    pub fn with_broker_url(mut self, url: String) -> Self {
        let setting = Setting { value: Value::String(url.clone()), origin: Origin::CommandLine("--url") };
        self.settings.insert("broker.url".to_owned(), setting);
        self.broker_url = url;
        self
    }

    /// Opens the configured broker, with the configured keys.
    ///
    /// # Errors
    /// As [`taskq::connect`](crate::connect); [`ErrorKind::Config`] if a key cannot be read, and
    /// [`ErrorKind::Unsupported`] if keys are configured and the feature `seal` is missing.
    pub async fn connect(&self) -> Result<Connection> {
        let durability = match self.replicas {
            0 => Durability::Accepted,
            replicas => Durability::Replicated(replicas),
        };
        Ok(self.security.connect(&self.broker_url).await?.with_durability(durability))
    }

    fn from_settings(settings: BTreeMap<String, Setting>) -> Result<Self> {
        let mut config = Self {
            broker_url: text(&settings, "broker.url")?,
            client_deadline: duration(&settings, "client.deadline")?,
            replicas: replicas(&settings, "client.replicas")?,
            drain: duration(&settings, "worker.drain")?,
            lease: lease(&settings, "worker.lease")?,
            default_timeout: duration(&settings, "worker.default_timeout")?,
            unregistered_bound: duration(&settings, "worker.unregistered_bound")?,
            plain_threads: settings
                .get("worker.plain_threads")
                .map(|setting| count("worker.plain_threads", setting))
                .transpose()?,
            queues: BTreeMap::new(),
            shared: Vec::new(),
            security: Security::from_settings(&settings)?,
            log_filter: text(&settings, "log.filter")?,
            settings: BTreeMap::new(),
        };
        for (key, setting) in &settings {
            if let Some(queue) = key.strip_prefix("worker.queues.") {
                config.queues.insert(queue.to_owned(), count(key, setting)?);
            }
            if key == "worker.shared" {
                config.shared = shared(setting)?;
            }
        }
        config.settings = settings;
        Ok(config)
    }

    /// Every value with its key and origin, for people; passwords are hidden.
    pub fn explain(&self) -> Vec<(String, String, Origin)> {
        let mut rows: Vec<_> = self
            .settings
            .iter()
            .map(|(key, setting)| (key.clone(), shown(key, &setting.value), setting.origin.clone()))
            .collect();
        let unset = KNOWN.iter().filter(|known| !known.default.is_empty() && !self.settings.contains_key(known.key));
        rows.extend(unset.map(|known| (known.key.to_owned(), known.default.to_owned(), Origin::Default)));
        rows.sort_by(|first, second| first.0.cmp(&second.0));
        rows
    }

    /// Every key that can be set, with its default and meaning.
    pub fn reference() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
        KNOWN.iter().map(|known| (known.key, known.default, known.meaning))
    }
}

impl fmt::Debug for Config {
    /// As [`explain`](Self::explain) shows it, since a URL may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.explain().into_iter().map(|(key, value, _)| (key, value))).finish()
    }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| Error::new(ErrorKind::Config, "read", path.display()).because(error))
}

fn wrong(place: impl fmt::Display, cure: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, "read", place).because(cure.into())
}

fn is_known(key: &str) -> bool {
    KNOWN.iter().any(|known| match known.key.strip_suffix('*') {
        Some(prefix) => key.strip_prefix(prefix).is_some_and(|name| !name.is_empty()),
        None => known.key == key,
    })
}

fn unknown(place: impl fmt::Display, key: &str) -> Error {
    let nearest = KNOWN.iter().map(|known| known.key).min_by_key(|known| strsim::levenshtein(known, key));
    wrong(place, format!("unknown key \"{key}\"; the nearest known one is \"{}\"", nearest.unwrap_or_default()))
}

// The file ------------------------------------------------------------------------------------------------

fn settings_of_file(path: &Path, text: &str) -> Result<BTreeMap<String, Setting>> {
    let table = DeTable::parse(text).map_err(|error| {
        let (line, column) = error.span().map_or((1, 1), |span| place_of(text, span.start));
        wrong(Origin::File(path.into(), line, column), error.message().to_owned())
    })?;
    let mut settings = BTreeMap::new();
    collect(path, text, "", table.get_ref(), &mut settings)?;
    Ok(settings)
}

/// Walks the tables down to the keys that may be set.
fn collect(
    path: &Path,
    text: &str,
    prefix: &str,
    table: &DeTable<'_>,
    into: &mut BTreeMap<String, Setting>,
) -> Result<()> {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.get_ref().to_string() } else { format!("{prefix}.{}", name.get_ref()) };
        let (line, column) = place_of(text, name.span().start);
        let origin = Origin::File(path.into(), line, column);
        match value.get_ref() {
            DeValue::Table(inner) if !is_known(&key) && leads_somewhere(&key) => {
                collect(path, text, &key, inner, into)?
            }
            _ if is_known(&key) => {
                into.insert(key, Setting { value: plain(value)?, origin });
            }
            _ => return Err(unknown(origin, &key)),
        }
    }
    Ok(())
}

fn leads_somewhere(key: &str) -> bool {
    KNOWN.iter().any(|known| known.key.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')))
}

/// A value without its place.
fn plain(value: &Spanned<DeValue<'_>>) -> Result<Value> {
    let text = match value.get_ref() {
        DeValue::String(text) => return Ok(Value::String(text.to_string())),
        DeValue::Array(items) => return items.iter().map(plain).collect::<Result<_>>().map(Value::Array),
        DeValue::Table(table) => {
            let entries = table.iter().map(|(name, value)| Ok((name.get_ref().to_string(), plain(value)?)));
            return entries.collect::<Result<_>>().map(Value::Table);
        }
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(time) => time.to_string(),
    };
    text.parse().map_err(|error: toml::de::Error| wrong("value", error.message().to_owned()))
}

fn place_of(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..offset.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

// The environment -----------------------------------------------------------------------------------------

fn settings_of_environment(variables: impl IntoIterator<Item = (String, String)>) -> Result<BTreeMap<String, Setting>> {
    let mut settings = BTreeMap::new();
    for (variable, text) in variables {
        let Some(path) = variable.strip_prefix("TASKQ__") else { continue };
        let key = path.split("__").collect::<Vec<_>>().join(".").to_lowercase();
        if !is_known(&key) {
            return Err(unknown(&variable, &key));
        }
        // What reads as a TOML number, list or quoted text is one; anything else is text as it stands.
        let value = text.parse().unwrap_or(Value::String(text));
        settings.insert(key, Setting { value, origin: Origin::Environment(variable) });
    }
    Ok(settings)
}

// Values --------------------------------------------------------------------------------------------------

fn text(settings: &BTreeMap<String, Setting>, key: &'static str) -> Result<String> {
    match settings.get(key) {
        None => Ok(default_of(key).to_owned()),
        Some(Setting { value: Value::String(text), .. }) => Ok(text.clone()),
        // What stands there may hold a password.
        Some(Setting { origin, .. }) => Err(wrong(origin, format!("{key} is text, in quotes"))),
    }
}

fn default_of(key: &str) -> &'static str {
    KNOWN.iter().find(|known| known.key == key).map_or("", |known| known.default)
}

fn duration(settings: &BTreeMap<String, Setting>, key: &'static str) -> Result<Duration> {
    let text = text(settings, key)?;
    let origin = settings.get(key).map_or(Origin::Default, |setting| setting.origin.clone());
    match parse_duration(&text) {
        Ok(duration) if duration <= limits::MAX_FUTURE => Ok(duration),
        Ok(_) => Err(wrong(origin, format!("{key} is at most ten years"))),
        Err(cure) => Err(wrong(origin, format!("{key}: {cure}"))),
    }
}

fn lease(settings: &BTreeMap<String, Setting>, key: &'static str) -> Result<Duration> {
    let lease = duration(settings, key)?;
    if (limits::MIN_LEASE..=limits::MAX_LEASE).contains(&lease) {
        return Ok(lease);
    }
    let origin = settings.get(key).map_or(Origin::Default, |setting| setting.origin.clone());
    Err(wrong(origin, format!("{key} is from 600ms to 10m, not {lease:?}")))
}

/// Reads `90s`, `15m`, `1h 30m`, `500ms`, `2d`, and ISO 8601 durations.
pub(crate) fn parse_duration(text: &str) -> std::result::Result<Duration, String> {
    let cure = || format!("\"{text}\" is no duration; write for example \"90s\", \"15m\" or \"1h 30m\"");
    // Days have 24 hours here: these are lengths of time, not calendar dates.
    let in_hours = match text.trim().strip_suffix('d').map(str::trim).and_then(|days| days.parse::<u64>().ok()) {
        Some(days) => format!("{}h", days.saturating_mul(24)),
        None => text.to_owned(),
    };
    let parsed: jiff::SignedDuration = in_hours.parse().map_err(|_| cure())?;
    Duration::try_from(parsed).map_err(|_| cure())
}

fn count(key: &str, Setting { value, origin }: &Setting) -> Result<usize> {
    match value.as_integer().and_then(|number| usize::try_from(number).ok()) {
        Some(number) if number > 0 => Ok(number),
        _ => Err(wrong(origin, format!("{key} is a whole number above zero, not {value}"))),
    }
}

fn replicas(settings: &BTreeMap<String, Setting>, key: &'static str) -> Result<u8> {
    let Some(Setting { value, origin }) = settings.get(key) else { return Ok(0) };
    let number = value.as_integer().and_then(|number| u8::try_from(number).ok());
    number.ok_or_else(|| wrong(origin, format!("{key} is a whole number from 0 to 255, not {value}")))
}

fn shared(Setting { value, origin }: &Setting) -> Result<Vec<SharedSlots>> {
    let cure = "worker.shared is a list of tables such as { slots = 50, order = \"strict\", queues = [\"high\", \"low\"] } \
                or { slots = 50, order = \"weighted\", queues = { high = 3, low = 1 } }";
    let one = |value: &Value| -> Option<SharedSlots> {
        let table = value.as_table()?;
        let slots = usize::try_from(table.get("slots")?.as_integer()?).ok().filter(|slots| *slots > 0)?;
        let strict = match table.get("order").map_or(Some("strict"), Value::as_str)? {
            "strict" => true,
            "weighted" => false,
            _ => return None,
        };
        let queues = match table.get("queues")? {
            Value::Array(names) => {
                names.iter().map(|name| Some((name.as_str()?.to_owned(), 1))).collect::<Option<_>>()?
            }
            Value::Table(weights) => weights
                .iter()
                .map(|(name, weight)| Some((name.clone(), u32::try_from(weight.as_integer()?).ok()?)))
                .collect::<Option<_>>()?,
            _ => return None,
        };
        (table.keys().all(|key| ["slots", "order", "queues"].contains(&key.as_str()))).then_some(SharedSlots {
            slots,
            strict,
            queues,
        })
    };
    let lanes = value.as_array().and_then(|lanes| lanes.iter().map(one).collect());
    lanes.ok_or_else(|| wrong(origin, cure))
}

/// A value for people: a URL without its password.
fn shown(key: &str, value: &Value) -> String {
    match value {
        Value::String(url) if key == "broker.url" => redacted(url),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

/// `redis://user:***@host`: what stands between the first colon and the last `@` is hidden.
pub(crate) fn redacted(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    match rest.rsplit_once('@') {
        Some((user, host)) => format!("{scheme}://{}:***@{host}", user.split_once(':').map_or("", |(user, _)| user)),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(file: &str, variables: &[(&str, &str)]) -> Result<Config> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::from_parts(Some(("taskq.toml".into(), file.to_owned())), variables)
    }

    #[test]
    fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
        let file = "[broker]\nurl = \"redis://a\"\n[worker]\ndrain = \"1h 30m\"\n[worker.queues]\nmail = 20\n";
        let variables =
            [("TASKQ__BROKER__URL", "redis://me:secret@b"), ("TASKQ__WORKER__QUEUES__DEFAULT", "5"), ("PATH", "x")];
        let config = config(file, &variables).expect("valid");
        assert_eq!(config.broker_url, "redis://me:secret@b");
        assert_eq!(config.drain, Duration::from_secs(5_400));
        assert_eq!(config.client_deadline, Duration::from_secs(5));
        assert_eq!(config.queues.into_iter().collect::<Vec<_>>(), [("default".into(), 5), ("mail".into(), 20)]);
    }

    #[test]
    fn every_value_tells_where_it_came_from_and_hides_passwords() {
        let config =
            config("[worker]\n  drain = \"9s\"\n", &[("TASKQ__BROKER__URL", "redis://me:secret@b")]).expect("valid");
        let rows: Vec<_> =
            config.explain().into_iter().map(|(key, value, origin)| format!("{key} = {value} ({origin})")).collect();
        assert!(rows.contains(&"worker.drain = 9s (taskq.toml:2:3)".to_owned()), "{rows:?}");
        assert!(rows.contains(&"broker.url = redis://me:***@b (TASKQ__BROKER__URL)".to_owned()), "{rows:?}");
        assert!(rows.contains(&"client.deadline = 5s (default)".to_owned()), "{rows:?}");
    }

    #[test]
    fn no_password_is_ever_shown() {
        for url in
            ["redis://me:canary@h/0", "redis://canary@h", "redis:canary@h", "rediss://:can@ary@h?ca=x", "me:canary@h"]
        {
            let shown = redacted(url);
            assert!(!shown.contains("canary") && !shown.contains("ary@"), "{shown}");
            assert!(shown.contains("***@h"), "{shown}");
        }
        let config = config("[broker]\nurl = \"redis://me:canary@host\"\n", &[]).expect("valid");
        assert!(!format!("{config:?} {config:#?}").contains("canary"), "{config:?}");
        let error = Config::from_parts(Some(("a".into(), "broker.url = [\"redis://me:canary@host\"]".to_owned())), []);
        assert!(!error.expect_err("no text").to_string().contains("canary"));
    }

    #[test]
    fn mistakes_are_told_with_place_and_cure() {
        let told = |file: &str| config(file, &[]).expect_err("refused").to_string();
        let unknown = told("[worker]\ndrian = \"9s\"\n");
        assert!(unknown.contains("taskq.toml:2:1") && unknown.contains("\"worker.drain\""), "{unknown}");
        assert!(told("[worker]\ndrain = 9 s\n").contains("taskq.toml:2:"));
        let duration = told("\n[worker]\ndrain = \"soon\"\n");
        assert!(duration.contains("taskq.toml:3:1") && duration.contains("\"90s\""), "{duration}");
        assert!(told("[worker]\nqueues = { mail = 0 }\n").contains("above zero"));
        assert!(told("[worker]\nshared = [{ slots = 1 }]\n").contains("worker.shared is a list"));
        let variable = Config::from_parts(None, [("TASKQ__WORKER__DRIAN".to_owned(), "9s".to_owned())]);
        assert!(variable.expect_err("unknown").to_string().contains("TASKQ__WORKER__DRIAN"));
    }

    #[test]
    fn shared_slots_are_strict_or_weighted() {
        let file = "[[worker.shared]]\nslots = 5\nqueues = [\"high\", \"low\"]\n[[worker.shared]]\nslots = 2\norder = \"weighted\"\nqueues = { a = 3, b = 1 }\n";
        let shared = config(file, &[]).expect("valid").shared;
        assert_eq!(
            shared[0],
            SharedSlots { slots: 5, strict: true, queues: vec![("high".into(), 1), ("low".into(), 1)] }
        );
        assert_eq!(shared[1], SharedSlots { slots: 2, strict: false, queues: vec![("a".into(), 3), ("b".into(), 1)] });
    }

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("1h 30m", 5_400), ("2d", 172_800), ("PT2M", 120)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert!(parse_duration("-3s").is_err() && parse_duration("5").is_err());
    }
}
