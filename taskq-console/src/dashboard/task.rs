//! One task: what it is, what became of it so far, and what can be done about it.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use taskq_core::{Envelope, State as TaskState, TaskId, TaskKey, Timestamp};

use super::{
    Shared,
    facts::{Facts, gather},
    fields::encoded,
    limits,
    mask::{MASK, is_secretive, readable_json},
    page::{Asker, Frame, PageError, html, shown},
    row::is_encrypted,
};
use crate::words::{instant, length, machine_instant, preview, relative, time_of_day};

#[derive(Template)]
#[template(path = "task.html")]
struct TaskPage {
    frame: Frame,
    view: Task,
    can_retry: bool,
    can_run_now: bool,
    can_cancel: bool,
}

#[derive(Template)]
#[template(path = "task_live.html")]
struct TaskPart<'a> {
    frame: &'a Frame,
    view: Task,
}

struct Task {
    id: String,
    name: String,
    state: TaskState,
    reason: Option<String>,
    queue: String,
    queue_link: String,
    why: String,
    progress: Option<taskq_core::Progress>,
    worker: Option<(String, String)>,
    facts: Vec<(&'static str, String)>,
    tags: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    trace: Option<(String, Option<String>)>,
    arguments: Shown,
    result: Option<Shown>,
    error: Option<String>,
    attempts: Vec<AttemptLine>,
    events: Vec<Event>,
    logs: Vec<LogRow>,
}

/// A text, or why it is not shown.
struct Shown {
    text: String,
    note: Option<String>,
}

struct AttemptLine {
    number: u32,
    when: String,
    exactly: String,
    ago: String,
    error: String,
}

/// Something that happened or will.
struct Event {
    what: String,
    when: String,
    exactly: String,
    ago: String,
    class: &'static str,
}

struct LogRow {
    when: String,
    exactly: String,
    attempt: u32,
    level: &'static str,
    text: String,
}

impl Task {
    fn of(shared: &Shared, facts: &Facts) -> Self {
        let (view, now) = (&facts.view, facts.now);
        let (snapshot, envelope) = (&view.snapshot, view.envelope.as_ref());
        let worker = snapshot.owner.map(|owner| {
            let worker = owner.worker.to_string();
            (encoded(&worker), worker)
        });
        Self {
            id: view.id.to_string(),
            name: envelope.map_or_else(String::new, |envelope| envelope.task.to_string()),
            state: snapshot.state,
            reason: snapshot.reason.map(|reason| reason.to_string()),
            queue: view.id.queue.to_string(),
            queue_link: encoded(view.id.queue.as_str()),
            why: facts.why.clone(),
            progress: snapshot.progress.clone(),
            worker,
            facts: plain_facts(facts),
            tags: envelope.iter().flat_map(|envelope| &envelope.tags).map(|tag| (tag.clone(), encoded(tag))).collect(),
            headers: envelope.map(headers).unwrap_or_default(),
            trace: envelope.and_then(|envelope| trace(shared, envelope)),
            arguments: arguments(envelope, snapshot.state),
            result: snapshot.result.as_ref().map(|result| shown_json(result.as_str())),
            error: snapshot.last_error.clone(),
            attempts: envelope.map(|envelope| attempts(envelope, now)).unwrap_or_default(),
            events: events(facts),
            logs: facts.logs.iter().map(log_row).collect(),
        }
    }
}

fn log_row(line: &taskq_core::LogLine) -> LogRow {
    LogRow {
        when: time_of_day(line.at),
        exactly: machine_instant(line.at),
        attempt: line.attempt,
        level: line.level.as_str(),
        text: line.text().to_owned(),
    }
}

fn arguments(envelope: Option<&Envelope>, state: TaskState) -> Shown {
    let none = |note: &str| Shown { text: String::new(), note: Some(note.to_owned()) };
    match envelope {
        Some(envelope) if is_encrypted(envelope) => {
            none("They are encrypted. Only a process with the key can read them.")
        }
        Some(envelope) => shown_json(envelope.payload.as_str()),
        None if state.is_final() => none("Of a task that has ended only its end and its result are kept."),
        None if state == TaskState::Ready => {
            none("It waits too far behind others to be looked at. It is where it should be.")
        }
        None => none("They cannot be read: another version wrote them, or they are damaged."),
    }
}

fn shown_json(text: &str) -> Shown {
    match text.len() <= limits::SHOWN_TEXT {
        true => Shown { text: readable_json(text), note: None },
        false => {
            let note = format!("The first {} of {} bytes.", limits::SHOWN_TEXT, text.len());
            // What is cut is no JSON any more, and names of secrets could not be told from values.
            let shown = readable_json(text);
            Shown { text: shown.chars().take(limits::SHOWN_TEXT).collect(), note: Some(note) }
        }
    }
}

fn headers(envelope: &Envelope) -> Vec<(String, String)> {
    let shown = |(name, value): (&String, &String)| {
        let value = if is_secretive(name) { MASK.to_owned() } else { value.clone() };
        (name.clone(), value)
    };
    envelope.headers.iter().map(shown).collect()
}

/// The id of the trace that its enqueuer was in, and where that is shown.
fn trace(shared: &Shared, envelope: &Envelope) -> Option<(String, Option<String>)> {
    let id = envelope.headers.get("traceparent")?.split('-').nth(1)?;
    let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let link = shared.options.trace_link.as_ref().map(|link| link.replace("{trace_id}", id));
    is_id.then(|| (id.to_owned(), link))
}

fn plain_facts(facts: &Facts) -> Vec<(&'static str, String)> {
    let (view, now) = (&facts.view, facts.now);
    let mut all = Vec::new();
    if let Some(due) = view.snapshot.due {
        all.push(("Due", relative(due, now)));
    }
    if let Some(ahead) = view.ahead {
        all.push(("Ahead of it", crate::words::counted(ahead, "task")));
    }
    all.push(("Failed attempts", view.snapshot.attempts.to_string()));
    if view.deliveries > 1 {
        all.push(("Hand-outs without an end", view.deliveries.to_string()));
    }
    let Some(envelope) = &view.envelope else { return all };
    all.push(("Priority", format!("{} of 9", envelope.priority)));
    if let Some(timeout) = envelope.timeout {
        all.push(("Timeout", length(timeout)));
    }
    if let Some(retry) = &envelope.retry {
        all.push(("Retry", preview(&serde_json::to_string(retry).unwrap_or_default(), limits::PREVIEW)));
    }
    if let Some(unique) = &envelope.unique {
        all.push(("Unique key", unique.key.clone()));
    }
    let kept = match envelope.stores_result {
        true => format!("for {}", length(envelope.result_ttl)),
        false => "not kept".to_owned(),
    };
    all.push(("Result", kept));
    if let Some(seal) = &envelope.seal {
        let by = |key: Option<&taskq_core::KeyId>| {
            key.map_or_else(|| "no".to_owned(), |key| format!("by key {}", key.as_str()))
        };
        all.push(("Encrypted", by(seal.encryption.as_ref())));
        all.push(("Signed", by(seal.signature.as_ref().map(|signature| &signature.key))));
    }
    all
}

fn attempts(envelope: &Envelope, now: Timestamp) -> Vec<AttemptLine> {
    let line = |failed: &taskq_core::FailedAttempt| AttemptLine {
        number: failed.attempt,
        when: instant(failed.at),
        exactly: machine_instant(failed.at),
        ago: relative(failed.at, now),
        error: failed.error.clone(),
    };
    envelope.history.iter().rev().map(line).collect()
}

/// What happened, in order, and what is to come.
fn events(facts: &Facts) -> Vec<Event> {
    let (view, now) = (&facts.view, facts.now);
    let mut events: Vec<(Timestamp, String, &'static str)> = Vec::new();
    if let Some(envelope) = &view.envelope {
        if let Some(at) = envelope.enqueued_at {
            events.push((at, "enqueued".to_owned(), "ready"));
        }
        for failed in &envelope.history {
            let error = preview(&failed.error, limits::PREVIEW);
            events.push((failed.at, format!("attempt {} failed: {error}", failed.attempt), "retrying"));
        }
        if let Some(at) = envelope.replayed_at {
            events.push((at, "replayed".to_owned(), "ready"));
        }
    }
    if let Some(at) = view.snapshot.ended_at {
        events.push((at, view.snapshot.state.to_string(), view.snapshot.state.as_str()));
    }
    if let Some(at) = view.snapshot.due {
        let what = if view.snapshot.attempts > 0 { "next attempt is due" } else { "is due" };
        events.push((at, what.to_owned(), "scheduled"));
    }
    events.sort_by_key(|(at, ..)| *at);
    let event = |(at, what, class)| Event {
        what,
        when: instant(at),
        exactly: machine_instant(at),
        ago: relative(at, now),
        class,
    };
    events.into_iter().map(event).collect()
}

pub(super) async fn task(State(shared): State<Arc<Shared>>, asker: Asker) -> Response {
    let page = async {
        let id: TaskId = asker.query.get("id").parse()?;
        let Some(facts) = shared.ask(gather(&shared.connection, &id)).await? else {
            let why =
                format!("No task {id} is known. It was never accepted, or it ended and its result is no longer kept.");
            return Err(PageError::Missing(why));
        };
        let state = facts.view.snapshot.state;
        let page = TaskPage {
            frame: Frame::new(&shared, &asker, "tasks", None),
            view: Task::of(&shared, &facts),
            can_retry: state == TaskState::Dead,
            can_run_now: matches!(state, TaskState::Scheduled | TaskState::Retrying),
            can_cancel: !state.is_final(),
        };
        Ok(html(&page))
    };
    shown(&shared, &asker, "tasks", page).await
}

pub(super) fn part(shared: &Shared, frame: &Frame, facts: &Facts) -> askama::Result<String> {
    TaskPart { frame, view: Task::of(shared, facts) }.render()
}

/// Goes to the task of an id: a whole one, or a key that some queue has.
pub(super) async fn find(State(shared): State<Arc<Shared>>, asker: Asker) -> Response {
    let page = async {
        let asked = asker.query.get("q");
        let id = match asked.parse::<TaskId>() {
            Ok(id) => id,
            Err(_) => by_key(&shared, asked).await?,
        };
        Ok(Redirect::to(&format!("{}/task?id={}", asker.base, encoded(&id.to_string()))).into_response())
    };
    shown(&shared, &asker, "tasks", page).await
}

async fn by_key(shared: &Arc<Shared>, key: &str) -> Result<TaskId, PageError> {
    let key = TaskKey::own(key)
        .map_err(|_| PageError::Unreadable("Look for the id of a task: queue/key, or its key.".to_owned()))?;
    let pulse = shared.hub.watch(None).fresh().await?;
    for queue in pulse.names().take(limits::QUEUES) {
        let id = TaskId::new(queue.clone(), key.clone());
        if shared.ask(shared.connection.broker().find(&id)).await?.is_some() {
            return Ok(id);
        }
    }
    Err(PageError::Missing(format!("No queue has a task with the key \"{key}\".")))
}
