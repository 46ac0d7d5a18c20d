//! `schedule`: what is scheduled, for people who look at it and change it.

use std::process::ExitCode;

use clap::{ArgGroup, Args, Subcommand};
use serde_json::json;
use taskq_core::{BoxError, Error, ErrorKind, Registration, Result, Timestamp};
use taskq_scheduler::{Entries, Entry, EntryView};
use toml::Value;

use super::output::{say, say_table};
use crate::{
    config::{Config, schedule::ScheduledTask},
    nearest::nearest,
};

/// How many fire times `show` tells.
const UPCOMING: usize = 10;

#[derive(Debug, Subcommand)]
pub(super) enum ScheduleCommand {
    /// Lists every entry with its schedule, its last fire time and its next one
    List {
        /// Print JSON, one entry a line
        #[arg(long)]
        json: bool,
    },
    /// Shows an entry and its next ten fire times
    Show {
        /// NAME, or QUEUE/NAME if several queues have that name
        entry: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Adds an entry at run time: kept by the broker, whatever files say
    Add(Box<EntryArgs>),
    /// Replaces an entry that was added at run time; it keeps its place in time and stays paused
    Change(Box<EntryArgs>),
    /// Stops an entry, wherever it comes from, until it is resumed
    Pause {
        /// NAME or QUEUE/NAME
        entry: String,
    },
    /// Lets a paused entry go on; what it would have fired meanwhile is not caught up with
    Resume {
        /// NAME or QUEUE/NAME
        entry: String,
    },
    /// Enqueues the task of an entry now, and prints its id; the schedule stays as it is
    Trigger {
        /// NAME or QUEUE/NAME
        entry: String,
    },
    /// Removes an entry that was added at run time
    Remove {
        /// NAME or QUEUE/NAME
        entry: String,
    },
    /// Enqueues a task for every fire time of a past range, and prints the ids; a tick whose task is still known is not run
    /// again
    Backfill {
        /// NAME or QUEUE/NAME
        entry: String,
        /// Later than this: 2026-11-01T00:00:00Z
        #[arg(long, value_parser = instant)]
        after: Timestamp,
        /// Not later than this
        #[arg(long, value_parser = instant)]
        until: Timestamp,
    },
}

/// An entry on the command line: the keys of [schedule.NAME] in taskq.toml.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("when").required(true).args(["every", "cron", "at", "calendar"]))]
pub(super) struct EntryArgs {
    /// The entry's name
    name: String,
    /// The task's name
    #[arg(long)]
    task: String,
    /// Its arguments, an object keyed by parameter name
    #[arg(long, value_name = "JSON")]
    args: Option<String>,
    /// Every so long: 30s, 15m, 1h 30m
    #[arg(long, value_name = "DURATION")]
    every: Option<String>,
    /// By a cron text: "30 7 * * Mon"
    #[arg(long, value_name = "TEXT")]
    cron: Option<String>,
    /// Once: 2026-12-24T18:00:00Z
    #[arg(long, value_name = "INSTANT")]
    at: Option<String>,
    /// Every n days, weeks, months or years: "2 weeks from 2026-01-05 07:30"
    #[arg(long, value_name = "PERIOD from FIRST")]
    calendar: Option<String>,
    /// Zone of a cron text or calendar; UTC if none
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// Not before this instant
    #[arg(long, value_name = "INSTANT")]
    start: Option<String>,
    /// Not after this instant
    #[arg(long, value_name = "INSTANT")]
    end: Option<String>,
    /// Delay each task by up to this long
    #[arg(long, value_name = "DURATION")]
    jitter: Option<String>,
    /// Queue; that which the task declares if none
    #[arg(long)]
    queue: Option<String>,
    /// 0 to 9; 9 runs first
    #[arg(long)]
    priority: Option<i64>,
    /// Limit of one attempt
    #[arg(long, value_name = "DURATION")]
    timeout: Option<String>,
    /// No attempt starts later than this after the tick
    #[arg(long, value_name = "DURATION")]
    expires_in: Option<String>,
    /// How often it is tried
    #[arg(long, value_name = "NUMBER")]
    attempts: Option<i64>,
    /// Ticks that were missed: skip, once, or all=NUMBER
    #[arg(long)]
    misfire: Option<String>,
    /// How late a tick may be and is not missed
    #[arg(long, value_name = "DURATION")]
    grace: Option<String>,
    /// Ticks while the last run goes on: allow, skip, queue_one, cancel_old
    #[arg(long)]
    overlap: Option<String>,
    /// The task is part of another program: do not check it
    #[arg(long)]
    elsewhere: bool,
}

/// Does what the subcommand says.
pub(super) async fn run(config: &Config, command: ScheduleCommand) -> Result<ExitCode, BoxError> {
    let entries = Entries::of(&super::connect(config).await?);
    let here = async |entry: String| resolve(&entries, &entry).await;
    match command {
        ScheduleCommand::List { json } => list(&entries.all().await?, json),
        ScheduleCommand::Show { entry, json } => show(&here(entry).await?, json),
        ScheduleCommand::Add(args) => add(&entries, *args).await?,
        ScheduleCommand::Change(args) => change(&entries, *args).await?,
        ScheduleCommand::Pause { entry } => drop(entries.pause(here(entry).await?.id()).await?),
        ScheduleCommand::Resume { entry } => drop(entries.resume(here(entry).await?.id()).await?),
        ScheduleCommand::Trigger { entry } => say(entries.trigger(here(entry).await?.id()).await?.id()),
        ScheduleCommand::Remove { entry } => entries.remove(here(entry).await?.id()).await?,
        ScheduleCommand::Backfill { entry, after, until } => {
            let handles = entries.backfill(here(entry).await?.id(), after, until).await?;
            let created = handles.iter().filter(|handle| handle.was_created());
            created.for_each(|handle| say(handle.id()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The entry of a name, which one queue may have, or of a queue and a name.
async fn resolve(entries: &Entries, text: &str) -> Result<EntryView> {
    let is_it = |view: &EntryView| view.id().to_string() == text || view.id().name.as_str() == text;
    let (mut fits, others): (Vec<_>, Vec<_>) = entries.all().await?.into_iter().partition(is_it);
    match (fits.pop(), fits.as_slice()) {
        (Some(view), []) => Ok(view),
        (Some(last), several) => {
            let names = several.iter().chain([&last]).map(|view| view.id().to_string());
            let names = names.collect::<Vec<_>>().join(", ");
            Err(no_entry(text, format!("several queues have one; say which: {names}")))
        }
        (None, _) => {
            let nearest = nearest(text, others.iter().map(|view| view.id().name.as_str()));
            Err(no_entry(text, format!("there is none of this name{nearest}")))
        }
    }
}

fn no_entry(text: &str, why: String) -> Error {
    Error::new(ErrorKind::InvalidInput, "find entry", format!("\"{}\"", text.escape_debug())).because(why)
}

// Changing ------------------------------------------------------------------------------------------------

async fn add(entries: &Entries, args: EntryArgs) -> Result<()> {
    let entry = entry(args)?;
    let id = entry.id()?;
    if entries.find(&id).await?.is_some() {
        return Err(
            Error::new(ErrorKind::InvalidInput, "add entry", id).because("it exists; use change, or another name")
        );
    }
    entries.put(entry).await.map(drop)
}

async fn change(entries: &Entries, args: EntryArgs) -> Result<()> {
    let entry = entry(args)?;
    let id = entry.id()?;
    if entries.find(&id).await?.is_none() {
        let cure = "there is none of this name in this queue; use add, or name its --queue";
        return Err(Error::new(ErrorKind::InvalidInput, "change entry", id).because(cure));
    }
    entries.put(entry).await.map(drop)
}

fn entry(args: EntryArgs) -> Result<Entry> {
    let name = args.name.clone();
    ScheduledTask::of_command_line(&name, options(args)?)?.to_entry(&Registration::linked())
}

/// The keys of a table in taskq.toml, each with the option that says it.
fn options(args: EntryArgs) -> Result<Vec<(&'static str, &'static str, Value)>> {
    let text = |text: String| Some(Value::String(text));
    let keys = [
        ("task", "--task", text(args.task)),
        ("args", "--args", args.args.map(|json| arguments(&json)).transpose()?),
        ("every", "--every", args.every.and_then(text)),
        ("cron", "--cron", args.cron.and_then(text)),
        ("at", "--at", args.at.and_then(text)),
        ("calendar", "--calendar", args.calendar.map(calendar)),
        ("timezone", "--timezone", args.timezone.and_then(text)),
        ("start", "--start", args.start.and_then(text)),
        ("end", "--end", args.end.and_then(text)),
        ("jitter", "--jitter", args.jitter.and_then(text)),
        ("queue", "--queue", args.queue.and_then(text)),
        ("priority", "--priority", args.priority.map(Value::Integer)),
        ("timeout", "--timeout", args.timeout.and_then(text)),
        ("expires_in", "--expires-in", args.expires_in.and_then(text)),
        ("attempts", "--attempts", args.attempts.map(Value::Integer)),
        ("misfire", "--misfire", args.misfire.map(misfire)),
        ("grace", "--grace", args.grace.and_then(text)),
        ("overlap", "--overlap", args.overlap.and_then(text)),
        ("elsewhere", "--elsewhere", args.elsewhere.then_some(Value::Boolean(true))),
    ];
    Ok(keys.into_iter().filter_map(|(key, option, value)| Some((key, option, value?))).collect())
}

fn arguments(json: &str) -> Result<Value> {
    let wrong = |why: String| Error::new(ErrorKind::Config, "read", "--args").because(why);
    serde_json::from_str(json).map_err(|error| wrong(format!("it is no JSON that can be scheduled: {error}")))
}

/// `2 weeks from 2026-01-05 07:30`. What is not of this form is refused where all calendars are.
fn calendar(text: String) -> Value {
    match text.split_once(" from ") {
        None => Value::String(text),
        Some((every, from)) => {
            let keys = [("every", every), ("from", from)];
            let keys = keys.map(|(key, text)| (key.to_owned(), Value::String(text.trim().to_owned())));
            Value::Table(keys.into_iter().collect())
        }
    }
}

/// `all=10` is `{ all = 10 }`.
fn misfire(text: String) -> Value {
    match text.strip_prefix("all=").and_then(|bound| bound.parse().ok()) {
        Some(bound) => Value::Table([("all".to_owned(), Value::Integer(bound))].into_iter().collect()),
        None => Value::String(text),
    }
}

fn instant(text: &str) -> Result<Timestamp, String> {
    let parsed: jiff::Timestamp =
        text.parse().map_err(|_| "write a date, a time and Z or an offset: 2026-11-27T10:00:00Z".to_owned())?;
    Ok(Timestamp::from_millis(parsed.as_millisecond()))
}

// Looking -------------------------------------------------------------------------------------------------

fn list(all: &[EntryView], is_json: bool) {
    if is_json {
        all.iter().for_each(|view| say(as_json(view)));
        return;
    }
    if all.is_empty() {
        say("nothing is scheduled");
        return;
    }
    let cells = |view: &EntryView| {
        [
            view.id().to_string(),
            view.schedule().map_or_else(|| "cannot be read".to_owned(), ToString::to_string),
            view.task().map(ToString::to_string).unwrap_or_default(),
            view.origin().to_string(),
            view.last_fired().map_or_else(|| "never".to_owned(), |tick| shown(tick.0)),
            next(view),
        ]
    };
    say_table(["ENTRY", "SCHEDULE", "TASK", "FROM", "LAST", "NEXT"], all.iter().map(cells));
}

fn next(view: &EntryView) -> String {
    match (view.is_paused(), view.error(), view.upcoming(1).first()) {
        (true, ..) => "paused".to_owned(),
        (_, Some(error), _) => error.to_string(),
        (.., Some(next)) => shown(*next),
        (.., None) => "never again".to_owned(),
    }
}

fn show(view: &EntryView, is_json: bool) {
    if is_json {
        say(as_json(view));
        return;
    }
    say(format_args!("entry     {}", view.id()));
    say(format_args!("from      {}", view.origin()));
    say(format_args!("added     {}", shown(view.created_at())));
    if let Some(error) = view.error() {
        say(format_args!("error     {error}"));
        return;
    }
    let (Some(schedule), Some(task)) = (view.schedule(), view.task()) else { return };
    say(format_args!("schedule  {schedule}"));
    say(format_args!("task      {task}"));
    if let (Some(misfire), Some(grace), Some(overlap)) = (view.misfire(), view.grace(), view.overlap()) {
        say(format_args!("missed    {misfire:?}, after {grace:?}"));
        say(format_args!("overlap   {overlap:?}"));
    }
    say(format_args!("last      {}", view.last_fired().map_or_else(|| "never".to_owned(), |tick| shown(tick.0))));
    say(format_args!("next      {}", next(view)));
    for fire_time in view.upcoming(UPCOMING) {
        say(format_args!("          {}  {}", shown(fire_time), schedule.wall_time(fire_time)));
    }
}

/// Arguments are left out: they may be secret.
fn as_json(view: &EntryView) -> serde_json::Value {
    json!({
        "queue": view.id().queue.as_str(),
        "name": view.id().name.as_str(),
        "from": view.origin().to_string(),
        "paused": view.is_paused(),
        "created_at": shown(view.created_at()),
        "schedule": view.schedule(),
        "task": view.task().map(ToString::to_string),
        "misfire": view.misfire(),
        "grace_ms": view.grace().map(|grace| u64::try_from(grace.as_millis()).unwrap_or(u64::MAX)),
        "overlap": view.overlap(),
        "last": view.last_fired().map(|tick| shown(tick.0)),
        "next": view.upcoming(UPCOMING).into_iter().map(shown).collect::<Vec<_>>(),
        "error": view.error().map(ToString::to_string),
    })
}

/// An instant in UTC.
pub(super) fn shown(instant: Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(instant.as_millis()) {
        Ok(instant) => instant.to_string(),
        Err(_) => format!("{} ms after 1970", instant.as_millis()),
    }
}
