//! `tasks`: lists, one in full, and what is done to some.

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};
use taskq_core::{BoxError, CancelAnswer, Connection, Envelope, LogLine, Shelf, State, TaskId, TaskView, Timestamp};

use super::{
    Done, Format, bulk,
    output::{Field, note, say, say_facts, say_table},
    pick::{ListArgs, Pick},
    time::for_machines,
};
use crate::words::{counted, instant, preview, relative};

/// Characters of arguments that a list shows.
const ARGUMENTS: usize = 60;

/// What waits or runs, in the order in which people look.
const LIVE: [Shelf; 4] = [Shelf::Running, Shelf::Ready, Shelf::Retrying, Shelf::Scheduled];

/// What does not run yet.
const WAITING: [Shelf; 3] = [Shelf::Ready, Shelf::Retrying, Shelf::Scheduled];

#[derive(Debug, Subcommand)]
pub enum TasksCommand {
    /// Lists tasks: all that wait or run, or those that filters choose
    List {
        #[command(flatten)]
        list: ListArgs,
        /// In this state alone; repeat it for more. What is left out: everything that waits or runs
        #[arg(long, value_enum)]
        state: Vec<StateArg>,
    },
    /// Shows everything that is known of a task
    Show {
        /// The task's id: QUEUE/KEY
        id: TaskId,
        #[command(flatten)]
        format: Format,
    },
    /// Cancels tasks: what waits is never started, what runs is asked to stop
    Cancel(Pick),
    /// Runs failed tasks again at once: dead letters with all their attempts, and tasks that wait for another attempt
    Retry(Pick),
    /// Makes scheduled and retrying tasks ready at once
    RunNow(Pick),
    /// Cancels what waits, and forgets dead letters
    Delete(Pick),
}

/// A state whose tasks can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StateArg {
    Ready,
    Scheduled,
    Retrying,
    Running,
    Dead,
}

impl StateArg {
    fn shelf(self) -> Shelf {
        match self {
            Self::Ready => Shelf::Ready,
            Self::Scheduled => Shelf::Scheduled,
            Self::Retrying => Shelf::Retrying,
            Self::Running => Shelf::Running,
            Self::Dead => Shelf::Dead,
        }
    }
}

pub(super) async fn run(connection: &Connection, command: TasksCommand) -> Result<Done, BoxError> {
    match command {
        TasksCommand::List { list: args, state } => {
            let asked: Vec<Shelf> = state.into_iter().map(StateArg::shelf).collect();
            let shelves = if asked.is_empty() { &LIVE[..] } else { &asked };
            list(connection, &args, shelves).await
        }
        TasksCommand::Show { id, format } => show(connection, &id, format).await,
        TasksCommand::Cancel(pick) => {
            act(connection, &pick, &LIVE, "Cancel", "cancelled", async |id| cancel(connection, &id).await).await
        }
        TasksCommand::Retry(pick) => {
            let shelves = [Shelf::Dead, Shelf::Retrying];
            act(connection, &pick, &shelves, "Retry", "made ready", async |id| {
                // A task that is scheduled for later has not failed.
                let has_failed = connection.broker().find(&id).await?.is_some_and(|task| task.state == State::Retrying);
                Ok(connection.control().replay(&id).await? || has_failed && connection.control().run_now(&id).await?)
            })
            .await
        }
        TasksCommand::RunNow(pick) => {
            let shelves = [Shelf::Scheduled, Shelf::Retrying];
            act(connection, &pick, &shelves, "Run", "made ready", async |id| connection.control().run_now(&id).await)
                .await
        }
        TasksCommand::Delete(pick) => {
            let shelves = [&WAITING[..], &[Shelf::Dead]].concat();
            act(connection, &pick, &shelves, "Delete", "deleted", async |id| {
                // What runs is not deleted: that would be to stop it.
                let runs = connection.broker().find(&id).await?.is_some_and(|task| task.state == State::Running);
                Ok(!runs && (connection.control().drop_dead(&id).await? || cancel(connection, &id).await?))
            })
            .await
        }
    }
}

async fn cancel(connection: &Connection, id: &TaskId) -> taskq_core::Result<bool> {
    Ok(matches!(connection.client().cancel(id).await?, CancelAnswer::Cancelled | CancelAnswer::Requested))
}

/// Lists tasks.
pub(super) async fn list(connection: &Connection, args: &ListArgs, shelves: &[Shelf]) -> Result<Done, BoxError> {
    let walked = args.filter.walk(connection, shelves, args.limit.max(1), args.after.as_deref()).await?;
    let now = connection.broker().now().await?;
    match args.format.json {
        true => walked.tasks.iter().for_each(|view| say(as_json(view))),
        false if !walked.tasks.is_empty() => {
            let header = ["ID", "STATE", "TASK", "ATTEMPTS", "WHEN", "ARGUMENTS"];
            say_table(header, walked.tasks.iter().map(|view| cells(view, now)));
        }
        false => {}
    }
    walked.note_how_far();
    Ok(Done::Well)
}

fn cells(view: &TaskView, now: Timestamp) -> [Field; 6] {
    let envelope = view.envelope.as_ref();
    [
        Field::text(&view.id),
        Field::state(view.snapshot.state),
        Field::text(envelope.map_or("(unreadable)", |envelope| envelope.task.as_str())),
        Field::number(u64::from(view.snapshot.attempts)),
        Field::text(moment(view).map_or_else(String::new, |at| relative(at, now))),
        Field::text(match (&view.snapshot.last_error, envelope) {
            (Some(error), _) => preview(error, ARGUMENTS),
            (None, Some(envelope)) => preview(envelope.payload.as_str(), ARGUMENTS),
            (None, None) => String::new(),
        }),
    ]
}

/// The time that matters most: when it is due, when it ended, or else when it was accepted.
fn moment(view: &TaskView) -> Option<Timestamp> {
    let accepted =
        || view.envelope.as_ref().and_then(|envelope| envelope.enqueued_at).or_else(|| view.id.key.made_at());
    view.snapshot.due.or(view.snapshot.ended_at).or_else(accepted)
}

/// A task for programs. Arguments stand as they are, unless they are encrypted.
pub(super) fn as_json(view: &TaskView) -> Value {
    let (snapshot, envelope) = (&view.snapshot, view.envelope.as_ref());
    let raw = |text: &str| serde_json::from_str::<Value>(text).unwrap_or(Value::Null);
    json!({
        "id": view.id.to_string(), "queue": view.id.queue.as_str(), "state": snapshot.state.as_str(),
        "task": envelope.map(|envelope| envelope.task.as_str()),
        "args": envelope.map(|envelope| raw(envelope.payload.as_str())),
        "tags": envelope.map(|envelope| envelope.tags.clone()),
        "headers": envelope.map(|envelope| envelope.headers.clone()),
        "priority": envelope.map(|envelope| envelope.priority),
        "attempts": snapshot.attempts, "deliveries": view.deliveries,
        "accepted_at": envelope.and_then(|envelope| envelope.enqueued_at).or_else(|| view.id.key.made_at()).map(for_machines),
        "due": snapshot.due.map(for_machines), "ended_at": snapshot.ended_at.map(for_machines),
        "worker": snapshot.owner.map(|owner| owner.worker.to_string()), "ahead": view.ahead,
        "reason": snapshot.reason.map(|reason| reason.as_str()), "last_error": snapshot.last_error,
        "result": snapshot.result.as_ref().map(|result| raw(result.as_str())),
        "history": envelope.map(history),
    })
}

fn history(envelope: &Envelope) -> Vec<Value> {
    let failed = envelope.history.iter();
    failed
        .map(|failed| json!({"attempt": failed.attempt, "at": for_machines(failed.at), "error": failed.error}))
        .collect()
}

/// Prints everything of one task.
pub(super) async fn show(connection: &Connection, id: &TaskId, format: Format) -> Result<Done, BoxError> {
    let Some(view) = connection.inspect().task(id).await? else {
        note(format_args!("no such task: {id}"));
        return Ok(Done::NotSo);
    };
    let now = connection.broker().now().await?;
    let why = crate::why::of(connection, &view, now).await?;
    let logs = connection.logs().lines(id).await?;
    if format.json {
        let mut json = as_json(&view);
        json["logs"] = logs.iter().map(log_json).collect();
        json["why"] = json!({"code": why.code, "text": why.text});
        say(json);
        return Ok(Done::Well);
    }
    say_facts(&facts(&view, &why.text, now));
    for failed in view.envelope.iter().flat_map(|envelope| &envelope.history) {
        say(format_args!(
            "\nattempt {} failed {} ({} UTC)",
            failed.attempt,
            relative(failed.at, now),
            instant(failed.at)
        ));
        failed.error.lines().for_each(|line| say(format_args!("  {}", preview(line, usize::MAX))));
    }
    if !logs.is_empty() {
        say("\nlog lines");
        for line in &logs {
            let text = preview(line.text(), usize::MAX);
            say(format_args!("  {}  attempt {}  {:5}  {text}", instant(line.at), line.attempt, line.level));
        }
    }
    Ok(Done::Well)
}

fn log_json(line: &LogLine) -> Value {
    json!({"at": for_machines(line.at), "attempt": line.attempt, "level": line.level.as_str(), "text": line.text()})
}

fn facts<'a>(view: &TaskView, why: &str, now: Timestamp) -> Vec<(&'a str, String)> {
    let snapshot = &view.snapshot;
    let told = |at: Timestamp| format!("{} ({} UTC)", relative(at, now), instant(at));
    let mut facts = vec![("id", view.id.to_string())];
    if let Some(envelope) = &view.envelope {
        facts.push(("task", envelope.task.to_string()));
    }
    facts.push(("state", snapshot.state.to_string()));
    facts.push(("why", why.to_owned()));
    let accepted = view.envelope.as_ref().and_then(|envelope| envelope.enqueued_at).or_else(|| view.id.key.made_at());
    facts.extend(accepted.map(|at| ("accepted", told(at))));
    facts.extend(snapshot.due.map(|at| ("due", told(at))));
    facts.extend(snapshot.ended_at.map(|at| ("ended", told(at))));
    if let Some(envelope) = &view.envelope {
        facts.push(("attempts", format!("{} failed", snapshot.attempts)));
        facts.push(("priority", envelope.priority.to_string()));
        if !envelope.tags.is_empty() {
            facts.push(("tags", envelope.tags.join(", ")));
        }
        facts.extend(envelope.unique.as_ref().map(|unique| ("unique key", unique.key.clone())));
        facts.extend(envelope.timeout.map(|timeout| ("timeout", crate::words::length(timeout))));
        for (name, value) in &envelope.headers {
            facts.push(("header", format!("{name}: {value}")));
        }
        let is_encrypted = envelope.seal.as_ref().is_some_and(|seal| seal.encryption.is_some());
        let arguments = if is_encrypted { "(encrypted)".to_owned() } else { envelope.payload.as_str().to_owned() };
        facts.push(("arguments", arguments));
    }
    facts.extend(snapshot.progress.as_ref().map(|progress| ("progress", format!("{progress:?}"))));
    facts.extend(snapshot.result.as_ref().map(|result| ("result", result.as_str().to_owned())));
    facts
}

/// Does something to tasks, and says to how many.
async fn act(
    connection: &Connection,
    pick: &Pick,
    shelves: &[Shelf],
    deed: &str,
    done: &str,
    action: impl AsyncFn(TaskId) -> taskq_core::Result<bool>,
) -> Result<Done, BoxError> {
    let Some(ids) = pick.ids(connection, shelves, deed).await? else { return Ok(Done::Well) };
    let asked = ids.len() as u64;
    let count = bulk::each(ids, |id| action(id)).await?;
    say(format_args!("{} {done}", counted(count, "task")));
    if count < asked {
        note(format_args!("{} were not in a state for that, or are not known", crate::words::number(asked - count)));
    }
    Ok(Done::if_so(count > 0 || asked == 0))
}
