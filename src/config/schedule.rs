//! The tables `[schedule.NAME]`: tasks that are enqueued again and again.

use std::time::Duration;

use serde::Deserialize;
use taskq_core::{AnyTask, EntryName, Invocation, Registration, Result, Retry, TaskName, limits};
use taskq_scheduler::{Entry, Misfire, Overlap, Schedule};
use toml::{Table, Value};

use super::{
    section::{Keys, json_of, task_named},
    settings::{Origin, Setting, Settings},
};

/// What a schedule's own keys are, in the order in which they are read: a mistake is told of the first key with which
/// the schedule no longer makes sense.
const RULES: [&str; 4] = ["every", "cron", "at", "calendar"];
const REFINEMENTS: [&str; 5] = ["timezone", "from_start", "start", "end", "jitter"];

/// One table, read. Whether its task exists is checked when it becomes an entry, by a program that has tasks.
#[derive(Clone, Debug)]
pub(crate) struct ScheduledTask {
    name: String,
    keys: Keys,
    schedule: Schedule,
}

impl ScheduledTask {
    /// Every table `[schedule.NAME]`.
    pub(super) fn all(settings: &Settings) -> Result<Vec<Self>> {
        let tables = Keys::all(settings, "schedule");
        tables.into_iter().map(|(name, keys)| Self::read(&name, keys)).collect()
    }

    /// One that is said on the command line: for each key its option and value.
    pub(crate) fn of_command_line(
        name: &str,
        options: impl IntoIterator<Item = (&'static str, &'static str, Value)>,
    ) -> Result<Self> {
        let path = |key: Option<&str>| ["schedule", name].into_iter().chain(key).map(str::to_owned).collect();
        let setting = |key, option, value| Setting { path: path(key), value, origin: Origin::CommandLine(option) };
        let mut keys = Keys::of(&setting(None, "the command line", Value::Table(Table::new())));
        for (key, option, value) in options {
            keys.by_name.insert(key.to_owned(), setting(Some(key), option, value));
        }
        Self::read(name, keys)
    }

    fn read(name: &str, keys: Keys) -> Result<Self> {
        let no_name = |error| keys.heading.wrong(format!("has no name that an entry can have: {error}"));
        EntryName::new(name).map_err(no_name)?;
        let table = Self { name: name.to_owned(), schedule: keys.schedule()?, keys };
        table.entry(None).map(drop)?;
        Ok(table)
    }

    /// The entry, after a look at the tasks of this program: whether it has that task, and whether the arguments fit.
    pub(crate) fn to_entry(&self, tasks: &[Registration]) -> Result<Entry> {
        let is_elsewhere = self.keys.get("elsewhere").map_or(Ok(false), Setting::truth)?;
        if is_elsewhere {
            return self.entry(None);
        }
        let place = self.keys.task()?;
        let cure = "if another program runs it, say elsewhere = true";
        self.entry(task_named(tasks, place.text()?, |what| place.wrong(format!("is {what}; {cure}")))?)
    }

    fn entry(&self, task: Option<&Registration>) -> Result<Entry> {
        let keys = &self.keys;
        let mut entry = Entry::new(&self.name, self.schedule.clone(), keys.invocation(task)?);
        if let Some(misfire) = keys.get("misfire") {
            entry = entry.misfire(misfire_of(misfire)?);
        }
        if let Some(grace) = keys.get("grace") {
            entry = entry.grace(grace_of(grace)?);
        }
        if let Some(overlap) = keys.get("overlap") {
            entry = entry.overlap(overlap_of(overlap)?);
        }
        entry.id().map_err(|error| keys.heading.wrong(format!("is refused: {error}")))?;
        Ok(entry)
    }
}

impl Keys {
    fn task(&self) -> Result<&Setting> {
        let cure = "does not say which task it enqueues; add task = \"name\"";
        self.get("task").ok_or_else(|| self.heading.wrong(cure))
    }

    fn schedule(&self) -> Result<Schedule> {
        let rules: Vec<_> = RULES.iter().filter_map(|name| self.get(name)).collect();
        let rule = match rules.as_slice() {
            [rule] => rule,
            [] => return Err(self.heading.wrong("does not say when; give it one of every, cron, at and calendar")),
            [_, second, ..] => return Err(second.wrong("is one too many; give it one of every, cron, at and calendar")),
        };
        let mut form = Table::new();
        let mut schedule = extended(&mut form, rule)?;
        for refinement in REFINEMENTS.iter().filter_map(|name| self.get(name)) {
            schedule = extended(&mut form, refinement)?;
        }
        Ok(schedule)
    }

    /// What is enqueued: with what its task declares, if that is known, and what is said here instead.
    fn invocation(&self, declared: Option<&Registration>) -> Result<Invocation<AnyTask>> {
        let task = self.task()?;
        TaskName::new(task.text()?).map_err(|error| task.wrong(format!("is no task name: {error}")))?;
        let args = self.get("args").map_or(Ok(serde_json::Map::new()), json_of)?;
        let mut invocation = Invocation::named(task.text()?, &args);
        if let Some(declared) = declared {
            invocation = invocation.declared((declared.options)());
            self.check_args(&invocation, declared)?;
        }
        self.options(invocation)
    }

    fn check_args(&self, invocation: &Invocation<AnyTask>, task: &Registration) -> Result<()> {
        let Some(Err(error)) = invocation.payload().map(|payload| (task.check_args)(payload)) else { return Ok(()) };
        let parameters = format!("the parameters of \"{}\": {error}", task.name);
        Err(match self.get("args") {
            Some(args) => args.wrong(format!("do not fit {parameters}")),
            None => self.heading.wrong(format!("has no args, which does not fit {parameters}")),
        })
    }

    fn options(&self, mut invocation: Invocation<AnyTask>) -> Result<Invocation<AnyTask>> {
        if let Some(queue) = self.get("queue") {
            taskq_core::QueueName::new(queue.text()?)
                .map_err(|error| queue.wrong(format!("is no queue name: {error}")))?;
            invocation = invocation.queue(queue.text()?);
        }
        if let Some(priority) = self.get("priority") {
            invocation = invocation.priority(priority.up_to(9)?);
        }
        if let Some(timeout) = self.get("timeout") {
            invocation = invocation.timeout(timeout.duration()?);
        }
        if let Some(expires_in) = self.get("expires_in") {
            invocation = invocation.expires_in(expires_in.duration()?);
        }
        if let Some(attempts) = self.get("attempts") {
            let count = u32::try_from(attempts.count()?).unwrap_or(u32::MAX);
            invocation = invocation.retry(Retry::exponential().attempts(count));
        }
        if let Some(headers) = self.get("headers") {
            for (name, value) in headers.table()? {
                let value = value.as_str().ok_or_else(|| headers.wrong("is a table of texts: { name = \"value\" }"))?;
                invocation = invocation.header(name, value);
            }
        }
        Ok(invocation)
    }
}

/// The schedule with one more key.
fn extended(form: &mut Table, key: &Setting) -> Result<Schedule> {
    let value = match &key.value {
        // Dates and times stand for their texts.
        Value::Datetime(time) => Value::String(time.to_string()),
        Value::Table(table) => {
            Value::Table(table.iter().map(|(name, value)| (name.clone(), dateless(value))).collect())
        }
        value => value.clone(),
    };
    form.insert(key.name().to_owned(), value);
    Schedule::deserialize(Value::Table(form.clone()))
        .map_err(|error: toml::de::Error| key.wrong(format!("is refused: {}", error.message())))
}

fn dateless(value: &Value) -> Value {
    match value {
        Value::Datetime(time) => Value::String(time.to_string()),
        value => value.clone(),
    }
}

fn misfire_of(setting: &Setting) -> Result<Misfire> {
    let wrong = || setting.wrong(format!("is \"skip\", \"once\" or {{ all = 1 to {} }}", limits::MAX_CATCH_UP));
    match &setting.value {
        Value::String(text) if text == "skip" => Ok(Misfire::Skip),
        Value::String(text) if text == "once" => Ok(Misfire::Once),
        Value::Table(table) if table.len() == 1 => {
            let bound = table.get("all").and_then(Value::as_integer).and_then(|bound| u32::try_from(bound).ok());
            bound.filter(|bound| (1..=limits::MAX_CATCH_UP).contains(bound)).map(Misfire::All).ok_or_else(wrong)
        }
        _ => Err(wrong()),
    }
}

fn overlap_of(setting: &Setting) -> Result<Overlap> {
    match setting.text()? {
        "allow" => Ok(Overlap::Allow),
        "skip" => Ok(Overlap::Skip),
        "queue_one" => Ok(Overlap::QueueOne),
        "cancel_old" => Ok(Overlap::CancelOld),
        _ => Err(setting.wrong("is \"allow\", \"skip\", \"queue_one\" or \"cancel_old\"")),
    }
}

fn grace_of(setting: &Setting) -> Result<Duration> {
    match setting.duration()? {
        grace if grace <= limits::MAX_GRACE => Ok(grace),
        _ => Err(setting.wrong("is at most a day")),
    }
}
