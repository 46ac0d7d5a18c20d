//! What operators do: one form, one step of the broker's, and a note on the page where they were.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use taskq_core::{CancelAnswer, MemberId, Purge, QueueName, Request as Wish, TaskId};

use super::{
    Shared, bulk,
    fields::{Fields, encoded},
    limits,
    login::read,
    notes::Note,
    page::{Base, PageError, trouble},
    random::same,
    schedules::{entry_id, timetable},
    visitor::Visitor,
};
use crate::words::number;

/// Does what a form says, and goes back to where it was sent from.
pub(super) async fn act(
    State(shared): State<Arc<Shared>>,
    Extension(base): Extension<Base>,
    Extension(visitor): Extension<Visitor>,
    request: Request,
) -> Response {
    if !shared.may_act(&visitor) {
        let why = match shared.options.actions {
            true => "You may look at this dashboard, and not act on it.",
            false => "This dashboard is read-only. Whoever runs it can start it with --allow-actions.",
        };
        return trouble(&shared, &base, StatusCode::FORBIDDEN, why);
    }
    let fields = match read(request).await {
        Ok(fields) => fields,
        Err(status) => return trouble(&shared, &base, status, "The form is too long, or cannot be read."),
    };
    if !same(fields.exact("token"), &shared.token(&visitor)) {
        let why =
            "The form is from another session, or from before the dashboard was started anew. Load the page again.";
        return trouble(&shared, &base, StatusCode::FORBIDDEN, why);
    }
    let what = fields.get("do");
    let note = match perform(&shared, what, &fields).await {
        Ok(note) => note,
        Err(error) => Note::bad(error.why()),
    };
    let who = visitor.name.as_deref().unwrap_or("somebody on this machine");
    tracing::info!(what = %what.escape_debug(), on = %subject(&fields).escape_debug(), %who, outcome = %note.text, "an operator acted");
    let back = back(fields.exact("back"));
    let joint = if back.contains('?') { '&' } else { '?' };
    Redirect::to(&format!("{base}{back}{joint}note={}", encoded(&shared.notes.put(note)))).into_response()
}

/// A place of the dashboard's own, whatever the form says.
fn back(asked: &str) -> &str {
    let is_ours = asked.starts_with('/')
        && !asked.starts_with("//")
        && asked.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\' && byte != b'#');
    if is_ours { asked } else { "/" }
}

/// What an action is about, for the log.
fn subject(fields: &Fields) -> String {
    ["queue", "id", "name", "member"]
        .iter()
        .map(|name| fields.get(name))
        .filter(|value| !value.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

async fn perform(shared: &Arc<Shared>, what: &str, fields: &Fields) -> Result<Note, PageError> {
    let connection = &shared.connection;
    let queue = || QueueName::new(fields.get("queue")).map_err(PageError::from);
    let id = || fields.get("id").parse::<TaskId>().map_err(PageError::from);
    let entry = || entry_id(fields.get("queue"), fields.get("name"));
    let control = connection.control();
    match what {
        "pause" => Ok(told(
            shared.ask(control.pause(&queue()?)).await?,
            "Paused. What runs goes on; nothing more is handed out.",
            "It was paused already.",
        )),
        "resume" => Ok(told(
            shared.ask(control.resume(&queue()?)).await?,
            "Resumed. Tasks are handed out again.",
            "It was not paused.",
        )),
        "purge waiting" => purge(shared, fields, &queue()?, Purge::Waiting).await,
        "purge dead" => purge(shared, fields, &queue()?, Purge::DeadLetters).await,
        "retry" => Ok(told(
            shared.ask(control.replay(&id()?)).await?,
            "It is ready again, with all its attempts.",
            "It is no dead letter any more.",
        )),
        "drop" => Ok(told(
            shared.ask(control.drop_dead(&id()?)).await?,
            "The dead letter is deleted.",
            "It is no dead letter any more.",
        )),
        "run now" => Ok(told(
            shared.ask(control.run_now(&id()?)).await?,
            "It is ready now.",
            "It does not wait for its time any more.",
        )),
        "cancel" => cancel(shared, &id()?).await,
        "replay selected" => bulk::selected(shared, fields, bulk::What::Replay).await,
        "drop selected" => bulk::selected(shared, fields, bulk::What::Drop).await,
        "replay all" => bulk::matching(shared, fields, bulk::What::Replay).await,
        "drop all" => bulk::matching(shared, fields, bulk::What::Drop).await,
        "drain" => {
            let member: MemberId = fields.get("member").parse()?;
            let asked = shared.ask(connection.fleet().ask(member, Wish::Drain)).await?;
            Ok(told(
                asked,
                "Asked to drain: with its next report it claims no more, finishes what runs, and ends.",
                "It is not there any more.",
            ))
        }
        "pause schedule" => Ok(told(
            shared.ask(timetable(shared)?.pause(&entry()?)).await?,
            "Paused. It fires nothing until it is resumed.",
            "There is no such schedule.",
        )),
        "resume schedule" => Ok(told(
            shared.ask(timetable(shared)?.resume(&entry()?)).await?,
            "Resumed. What it would have fired meanwhile is not caught up with.",
            "There is no such schedule.",
        )),
        "trigger schedule" => {
            let id = shared.ask(timetable(shared)?.trigger(&entry()?)).await?;
            Ok(Note::good(format!("Triggered: {id} is enqueued.")))
        }
        _ => Err(PageError::Unreadable("There is no such action.".to_owned())),
    }
}

fn told(is_done: bool, done: &str, not: &str) -> Note {
    if is_done { Note::good(done) } else { Note::bad(not) }
}

async fn cancel(shared: &Arc<Shared>, id: &TaskId) -> Result<Note, PageError> {
    let client = shared.connection.client();
    Ok(match shared.ask(client.cancel(id)).await? {
        CancelAnswer::Cancelled => Note::good("It is cancelled."),
        CancelAnswer::Requested => Note::good("It runs, and has been asked to stop."),
        CancelAnswer::AlreadyEnded => Note::bad("It had ended already."),
        CancelAnswer::NotFound => Note::bad("There is no such task any more."),
    })
}

/// Empties a queue as far as its time goes, if the form names it once more.
async fn purge(shared: &Arc<Shared>, fields: &Fields, queue: &QueueName, what: Purge) -> Result<Note, PageError> {
    if fields.get("confirm") != queue.as_str() {
        return Ok(Note::bad("Nothing was purged: write the name of the queue to confirm it."));
    }
    let began = shared.clock().monotonic();
    let mut purged = 0;
    for _ in 0..limits::PURGE_STEPS {
        let step = shared.connection.control().purge(queue, what, taskq_core::limits::PURGE_BATCH);
        let answer = shared.ask(step).await?;
        purged += answer.purged as u64;
        if !answer.more {
            return Ok(Note::good(format!("{} purged; nothing is left.", number(purged))));
        }
        if shared.clock().monotonic().saturating_sub(began) > limits::BULK_TIME {
            break;
        }
    }
    Ok(Note::good(format!("{} purged; more is left. Purge again to go on.", number(purged))))
}

#[cfg(test)]
mod tests {
    use super::back;

    #[test]
    fn one_goes_back_to_a_place_of_the_dashboard_and_nowhere_else() {
        for ours in ["/", "/dead?queue=a%20b&text=x", "/task?id=mail%2F1"] {
            assert_eq!(back(ours), ours);
        }
        for other in [
            "",
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "/a b",
            "/\r\nSet-Cookie: x",
            "/é",
            "dead",
        ] {
            assert_eq!(back(other), "/");
        }
    }
}
