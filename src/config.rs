//! `taskq.toml` and the environment: every value with its origin, every mistake with its place and its cure.
//!
//! Environment variables win over the file, the file over the defaults. The variable of a key is its path in upper
//! case, joined with two underscores: `worker.drain` is `TASKQ__WORKER__DRAIN`.

#[cfg(feature = "health")]
mod health;
mod known;
#[cfg(feature = "scheduler")]
pub(crate) mod schedule;
#[cfg(feature = "scheduler")]
mod section;
mod security;
mod settings;
mod value;

pub use security::{KeyAlgorithm, KeyPlace, KeySource, Security};
pub use settings::Origin;
pub(crate) use value::parse_duration;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use taskq_core::{Connection, Durability, Error, ErrorKind, EventsMode, Result};
use toml::Value;

use known::KNOWN;
use settings::{Setting, Settings};
use value::{duration, lease, shared, text};

/// The file that is read if none is named.
pub const DEFAULT_FILE: &str = "taskq.toml";

/// The configuration of a program.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// Where tasks are kept; it may hold a password.
    pub broker_url: String,
    /// Whether its processes tell what happens.
    pub events: EventsMode,
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
    #[cfg(feature = "scheduler")]
    schedules: Vec<schedule::ScheduledTask>,
    #[cfg(feature = "health")]
    health: health::HealthTables,
    /// Whether health checks may run commands.
    pub check_commands: bool,
    /// The file that was read, and its text.
    file: Option<(PathBuf, String)>,
    settings: Settings,
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
        let mut settings = match &file {
            Some((path, text)) => settings::of_file(path, text)?,
            None => Settings::new(),
        };
        settings.extend(settings::of_environment(variables)?);
        let config = Self::from_settings(settings)?;
        Ok(Self { file, ..config })
    }

    /// The file that was read, if any was.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_ref().map(|(path, _)| path.as_path())
    }

    /// The text of the file that was read.
    #[cfg(feature = "scheduler")]
    pub(crate) fn text(&self) -> Option<&str> {
        self.file.as_ref().map(|(_, text)| text.as_str())
    }

    /// The same configuration with another broker, as said on the command line.
    #[must_use]
    pub fn with_broker_url(mut self, url: String) -> Self {
        let path = vec!["broker".to_owned(), "url".to_owned()];
        let setting = Setting { path, value: Value::String(url.clone()), origin: Origin::CommandLine("--url") };
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
        let connection = self.security.connect(&self.broker_url).await?;
        Ok(connection.with_durability(durability).with_events(self.events))
    }

    /// The entries of the tables `[schedule.NAME]` and `[health.NAME]`, for [`SchedulerBuilder::file`](crate::SchedulerBuilder::file).
    ///
    /// `tasks` are those of this program, [`Registration::linked`](crate::Registration::linked): an entry whose task is not
    /// among them, or whose arguments do not fit its parameters, is refused. If there are none at all nothing is known of
    /// tasks, and nothing is checked.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] with file, line and column, and the cure.
    #[cfg(feature = "scheduler")]
    pub fn entries(&self, tasks: &[taskq_core::Registration]) -> Result<Vec<crate::Entry>> {
        let entries = self.schedules.iter().map(|schedule| schedule.to_entry(tasks));
        #[cfg(feature = "health")]
        let entries = {
            self.health.check_tasks(tasks)?;
            entries.chain(self.health.entries()?.into_iter().map(Ok))
        };
        entries.collect()
    }

    /// Whether there is anything to watch: checks, alerts, or places where checks may look that are added at run time.
    #[cfg(feature = "health")]
    pub(crate) fn watches_health(&self) -> bool {
        let watchlist = self.health.watchlist();
        !watchlist.checks.is_empty() || !watchlist.alerts.is_empty() || !watchlist.allow.is_empty()
    }

    /// The checks and alerts of the tables `[health.NAME]` and `[alert.NAME]`, for the [`Monitor`] of a worker.
    ///
    /// [`Monitor`]: crate::scheduler::health::Monitor
    #[cfg(feature = "health")]
    pub fn watchlist(&self) -> crate::scheduler::health::Watchlist {
        self.health.watchlist()
    }

    fn from_settings(settings: Settings) -> Result<Self> {
        let mut config = Self {
            broker_url: text(&settings, "broker.url")?,
            events: events(&settings)?,
            client_deadline: duration(&settings, "client.deadline")?,
            replicas: settings.get("client.replicas").map_or(Ok(0), |setting| setting.up_to(u8::MAX))?,
            drain: duration(&settings, "worker.drain")?,
            lease: lease(&settings, "worker.lease")?,
            default_timeout: duration(&settings, "worker.default_timeout")?,
            unregistered_bound: duration(&settings, "worker.unregistered_bound")?,
            plain_threads: settings.get("worker.plain_threads").map(Setting::count).transpose()?,
            queues: BTreeMap::new(),
            shared: Vec::new(),
            security: Security::from_settings(&settings)?,
            log_filter: text(&settings, "log.filter")?,
            #[cfg(feature = "scheduler")]
            schedules: schedule::ScheduledTask::all(&settings)?,
            #[cfg(feature = "health")]
            health: health::HealthTables::read(&settings)?,
            check_commands: settings.get("security.check_commands").map_or(Ok(false), Setting::truth)?,
            file: None,
            settings: Settings::new(),
        };
        for (key, setting) in &settings {
            if key.starts_with("worker.queues.") {
                config.queues.insert(setting.name().to_owned(), setting.count()?);
            }
            if key == "worker.shared" {
                config.shared = shared(setting)?;
            }
        }
        #[cfg(not(feature = "scheduler"))]
        check_feature(&settings, &["schedule"], "scheduler")?;
        #[cfg(not(feature = "health"))]
        check_feature(&settings, &["health", "alert"], "health")?;
        config.settings = settings;
        Ok(config)
    }

    /// The same, which logs warnings alone unless somebody has chosen otherwise.
    #[cfg(feature = "cli")]
    pub(crate) fn quiet(self) -> Self {
        let is_chosen = self.settings.get("log.filter").is_some_and(|setting| setting.origin != Origin::Default);
        let log_filter = if is_chosen { self.log_filter } else { "warn".to_owned() };
        Self { log_filter, ..self }
    }

    /// For whoever only looks: a file that is not there is a wrong path, and none to be made.
    ///
    /// # Errors
    /// If the broker is a SQLite file that does not exist.
    #[cfg(feature = "cli")]
    pub(crate) fn refuse_missing_file(&self) -> Result<()> {
        #[cfg(feature = "sqlite")]
        if self.broker_url.starts_with("sqlite:") && !taskq_brokers::sqlite::file_of(&self.broker_url)?.exists() {
            let cure =
                "there is no such file; whoever enqueues or works first makes it. Does --url name the right one?";
            return Err(Error::new(ErrorKind::Config, "look into", redacted(&self.broker_url)).because(cure));
        }
        Ok(())
    }

    /// The keys whose values differ, but for those of `[schedule]`, `[health]` and `[alert]`, which can change while it runs.
    #[cfg(feature = "scheduler")]
    pub(crate) fn fixed_keys_that_differ(&self, other: &Self) -> Vec<String> {
        let fixed = |config: &Self| -> BTreeMap<String, Value> {
            let is_fixed = |setting: &Setting| {
                !["schedule", "health", "alert"].contains(&setting.path[0].as_str())
                    && setting.path != ["security", "check_targets"]
            };
            let fixed = config.settings.iter().filter(|(_, setting)| is_fixed(setting));
            fixed.map(|(key, setting)| (key.clone(), setting.value.clone())).collect()
        };
        let (ours, theirs) = (fixed(self), fixed(other));
        let keys = ours.keys().chain(theirs.keys()).collect::<std::collections::BTreeSet<_>>();
        keys.into_iter().filter(|key| ours.get(*key) != theirs.get(*key)).cloned().collect()
    }

    /// Every value with its key and origin, for people; passwords are hidden.
    pub fn explain(&self) -> Vec<(String, String, Origin)> {
        let mut rows: Vec<_> = self
            .settings
            .iter()
            .filter(|(_, setting)| !setting.is_heading())
            .map(|(key, setting)| (key.clone(), shown(setting), setting.origin.clone()))
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

fn events(settings: &Settings) -> Result<EventsMode> {
    match settings.get("events") {
        None => Ok(EventsMode::default()),
        Some(setting) => setting.text()?.parse().map_err(|_| setting.wrong("is \"off\" or \"on\"")),
    }
}

/// Tables that this program cannot heed are not passed over in silence.
#[cfg(any(not(feature = "scheduler"), not(feature = "health")))]
fn check_feature(settings: &Settings, sections: &[&str], feature: &str) -> Result<()> {
    match settings.values().find(|setting| sections.contains(&setting.path[0].as_str())) {
        None => Ok(()),
        Some(setting) => {
            Err(setting.wrong(format!("needs the feature \"{feature}\" of taskq-rs; enable it in Cargo.toml")))
        }
    }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| Error::new(ErrorKind::Config, "read", path.display()).because(error))
}

fn wrong(place: impl fmt::Display, cure: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, "read", place).because(cure.into())
}

/// A value for people: a URL without its password, and nothing of what may be a secret as a whole.
fn shown(setting: &Setting) -> String {
    match &setting.value {
        Value::String(url) if setting.path == ["broker", "url"] => redacted(url),
        _ if setting.may_be_secret() => "***".to_owned(),
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
