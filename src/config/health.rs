//! The tables `[health.NAME]` and `[alert.NAME]`: what is looked at, and who is told.

use std::collections::BTreeMap;

use taskq_core::{Registration, Result, limits};
use taskq_scheduler::{
    Entry,
    alert::{Alert, Channel},
    health::{Allow, Check, Probe, TaskProbe, Watchlist},
};

use super::{
    section::{Keys, task_named},
    settings::{Setting, Settings},
    wrong,
};
use crate::nearest::nearest;

/// The tables, read. Whether a task that one names exists is checked by a program that has tasks.
#[derive(Clone, Debug, Default)]
pub(super) struct HealthTables {
    checks: BTreeMap<String, (Keys, Check)>,
    alerts: BTreeMap<String, (Keys, Alert)>,
    allow: Allow,
}

impl HealthTables {
    /// Every table of both kinds.
    pub(super) fn read(settings: &Settings) -> Result<Self> {
        let allow = settings.get("security.check_targets").map_or(Ok(Allow::default()), allow_of)?;
        let checks = Keys::all(settings, "health").into_iter().map(|(name, keys)| {
            let check = Check::read(keys.json()?).map_err(|error| told(&keys, &error))?;
            check.entry(&name).and_then(|entry| entry.id()).map_err(|error| refused(&keys, &error))?;
            Ok((name, (keys, check)))
        });
        let checks = checks.collect::<Result<_>>()?;
        let alerts = Keys::all(settings, "alert").into_iter().map(|(name, keys)| {
            let alert = Alert::read(keys.json()?).map_err(|error| told(&keys, &error))?;
            check_name(&name, &keys)?;
            Ok((name, (keys, alert)))
        });
        let alerts = alerts.collect::<Result<_>>()?;
        let tables = Self { checks, alerts, allow };
        tables.check_names()?;
        tables.check_counts()?;
        Ok(tables)
    }

    /// What a worker goes by.
    pub(super) fn watchlist(&self) -> Watchlist {
        let checks = self.checks.iter().map(|(name, (_, check))| (name.clone(), check.clone())).collect();
        let alerts = self.alerts.iter().map(|(name, (_, alert))| (name.clone(), alert.clone())).collect();
        Watchlist { checks, alerts, allow: self.allow.clone() }
    }

    /// The entries by which the checks become tasks.
    pub(super) fn entries(&self) -> Result<Vec<Entry>> {
        self.checks.iter().map(|(name, (_, check))| check.entry(name)).collect()
    }

    /// Whether the program has the tasks that are named, and whether their arguments fit.
    pub(super) fn check_tasks(&self, tasks: &[Registration]) -> Result<()> {
        for (keys, check) in self.checks.values() {
            if let Probe::Task(task) = &check.probe {
                check_task(keys, task, tasks)?;
            }
        }
        for (keys, alert) in self.alerts.values() {
            if let Channel::Task(task) = &alert.channel {
                // What it makes of a notice, only the task itself knows.
                known_task(keys, &task.name().to_string(), tasks)?;
            }
        }
        Ok(())
    }

    /// The state of a check has room for what so many alerts have told.
    fn check_counts(&self) -> Result<()> {
        for (name, (_, check)) in &self.checks {
            let about = |(_, alert): &&(Keys, Alert)| alert.rule.is_about(name, &check.labels);
            if let Some((keys, _)) = self.alerts.values().filter(about).nth(limits::MAX_CHECK_ALERTS) {
                let cure = "name fewer checks, or let one alert tell a task that tells all";
                let most = limits::MAX_CHECK_ALERTS;
                return Err(keys
                    .heading
                    .wrong(format!("is one alert about \"{name}\" too many, {most} at most; {cure}")));
            }
        }
        Ok(())
    }

    /// An alert about a check that does not exist would be silent for ever.
    fn check_names(&self) -> Result<()> {
        for (keys, alert) in self.alerts.values() {
            for pattern in alert.rule.checks.iter().filter(|pattern| !pattern.contains('*')) {
                if !self.checks.contains_key(pattern) {
                    let nearest = nearest(pattern, self.checks.keys());
                    let cure = format!("names \"{pattern}\", and there is no [health.{pattern}]{nearest}");
                    return Err(keys.place_of("checks").wrong(cure));
                }
            }
        }
        Ok(())
    }
}

fn known_task<'a>(keys: &Keys, name: &str, tasks: &'a [Registration]) -> Result<Option<&'a Registration>> {
    let place = keys.place_of("task");
    task_named(tasks, name, |what| place.wrong(format!("is {what}")))
}

fn check_task(keys: &Keys, task: &TaskProbe, tasks: &[Registration]) -> Result<()> {
    let Some(known) = known_task(keys, task.name.as_str(), tasks)? else { return Ok(()) };
    let invocation = taskq_core::Invocation::named(task.name.as_str(), &task.args);
    match invocation.payload().map(|payload| (known.check_args)(payload)) {
        Some(Err(error)) => {
            let what = format!("has args that do not fit the parameters of \"{}\": {error}", task.name);
            Err(keys.place_of("task").wrong(what))
        }
        _ => Ok(()),
    }
}

fn check_name(name: &str, keys: &Keys) -> Result<()> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=limits::MAX_ALERT_NAME).contains(&name.len()) && name.bytes().all(is_plain) {
        return Ok(());
    }
    let cure = format!(
        "has no name that an alert can have; use 1 to {} letters, digits, '.', '_' and '-'",
        limits::MAX_ALERT_NAME
    );
    Err(keys.heading.wrong(cure))
}

/// A mistake that names its key by a path, with the place of that key.
fn told(keys: &Keys, error: &taskq_core::Error) -> taskq_core::Error {
    let setting = keys.place_of(error.subject());
    let why = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    let key = match error.subject() {
        "" => keys.heading.key(),
        path => format!("{}.{path}", keys.heading.path[..2].join(".")),
    };
    wrong(&setting.origin, format!("{key}: {why}"))
}

fn refused(keys: &Keys, error: &taskq_core::Error) -> taskq_core::Error {
    keys.heading.wrong(format!("is refused: {error}"))
}

fn allow_of(setting: &Setting) -> Result<Allow> {
    let cure = "is a list of hosts, addresses and networks: [\"*.shop.example:443\", \"10.0.0.0/8\"]";
    let list = setting.value.as_array().ok_or_else(|| setting.wrong(cure))?;
    let texts: Option<Vec<_>> = list.iter().map(toml::Value::as_str).collect();
    Allow::list(texts.ok_or_else(|| setting.wrong(cure))?)
        .map_err(|error| setting.wrong(format!("is refused: {error}")))
}
