//! Why a task is not running, or what became of it: one answer, with what to do about it.

use taskq_core::{Connection, Envelope, QueueView, Report, Result, State, TaskView, Timestamp, fleet::MemberKind};

use crate::{
    roll::{self, Listed},
    words::{counted, instant, length, number, preview, relative},
};

/// Characters of an error that an answer shows; the task itself has all of it.
const ERROR: usize = 300;

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Why {
    /// One word of a fixed list, for programs.
    pub(crate) code: &'static str,
    /// A sentence or two, for people.
    pub(crate) text: String,
}

fn because(code: &'static str, text: impl Into<String>) -> Why {
    Why { code, text: text.into() }
}

/// Asks the broker about a task.
#[cfg(feature = "cli")]
pub(crate) async fn why(connection: &Connection, id: &taskq_core::TaskId) -> Result<Why> {
    match connection.inspect().task(id).await? {
        Some(view) => of(connection, &view, connection.broker().now().await?).await,
        None => Ok(because(
            "unknown",
            "No such task: its id was never accepted (an enqueue whose unique key another task holds is not), or its end is \
             no longer kept.",
        )),
    }
}

/// The same of a task that was looked at already.
pub(crate) async fn of(connection: &Connection, view: &TaskView, now: Timestamp) -> Result<Why> {
    match view.snapshot.state.is_final() {
        true => among(connection, view, &[], now).await,
        false => among(connection, view, &roll::call(connection).await?, now).await,
    }
}

/// The same, where the roll was called already.
pub(crate) async fn among(connection: &Connection, view: &TaskView, roll: &[Listed], now: Timestamp) -> Result<Why> {
    let snapshot = &view.snapshot;
    let ended = snapshot.ended_at.map_or_else(String::new, |at| format!(" {}", when(at, now)));
    let queue = &view.id.queue;
    Ok(match snapshot.state {
        State::Succeeded => because("succeeded", format!("It succeeded{ended}.")),
        State::Cancelled => because("cancelled", format!("Somebody cancelled it{ended}.")),
        State::Expired => because("expired", format!("It was not started in time: it expired{ended}.")),
        State::Dead => {
            let reason = snapshot.reason.map_or("", |reason| reason.as_str());
            let error = snapshot.last_error.as_deref().map_or_else(String::new, |error| format!(": {}", shown(error)));
            because("dead", format!("It died{ended} ({reason}){error}. Replay it once that is mended."))
        }
        State::Untracked => {
            because("untracked", "Nobody keeps the state of a task without result: it waits in its queue, or is done.")
        }
        State::Running => running(view, roll, now),
        State::Scheduled | State::Retrying | State::Ready => {
            let about = connection.inspect().queue(queue).await?;
            waiting(view, &about, roll, now)
        }
    })
}

fn waiting(view: &TaskView, about: &QueueView, roll: &[Listed], now: Timestamp) -> Why {
    let queue = &view.id.queue;
    let hindrance = || hindrance(view, about, roll, now);
    match (view.snapshot.state, view.snapshot.due) {
        (State::Scheduled, Some(due)) if due > now => {
            because("not_due", format!("It is not due until {}.{}", when(due, now), also(hindrance())))
        }
        (State::Retrying, Some(due)) if due > now => {
            let failed = match view.snapshot.last_error.as_deref() {
                Some(error) => format!("Attempt {} failed: {}", view.snapshot.attempts, shown(error)),
                None => "It was put off".to_owned(),
            };
            because("retrying", format!("{failed}. It runs again {}.{}", when(due, now), also(hindrance())))
        }
        (State::Scheduled | State::Retrying, _) => hindrance().unwrap_or_else(|| {
            because("due", "It is due now, and ready as soon as a worker of the queue looks, which is within seconds.")
        }),
        _ => hindrance().unwrap_or_else(|| {
            let ahead = match view.ahead {
                Some(0) => "it is the next one of its priority".to_owned(),
                Some(ahead) => format!("about {} of its priority start before it", number(ahead)),
                None => format!(
                    "{} wait in the queue, and where among them it stands was not found",
                    number(about.counts.ready)
                ),
            };
            let workers = counted(about.workers, "worker");
            because("queued", format!("It is ready and waits for a free slot on {queue} ({workers}): {ahead}."))
        }),
    }
}

fn also(hindrance: Option<Why>) -> String {
    hindrance.map_or_else(String::new, |why| format!(" Then too: {}", why.text))
}

/// What keeps every task like this from being run.
fn hindrance(view: &TaskView, about: &QueueView, roll: &[Listed], now: Timestamp) -> Option<Why> {
    let queue = &view.id.queue;
    if let Some(since) = about.paused_at {
        let text = format!("The queue {queue} was paused {}. Resume it: queues resume {queue}", when(since, now));
        return Some(because("queue_paused", text));
    }
    if about.workers == 0 {
        let text = format!("No worker listens to the queue {queue}. Start one that serves it.");
        return Some(because("no_worker", text));
    }
    let envelope = view.envelope.as_ref()?;
    unknown_task(envelope, queue.as_str(), roll)
}

/// Whether no worker of the queue knows the task, as far as they tell what they know.
fn unknown_task(envelope: &Envelope, queue: &str, roll: &[Listed]) -> Option<Why> {
    let serves = |listed: &&Listed| {
        let lanes = listed.report.iter().flat_map(|report| &report.lanes);
        listed.is(MemberKind::Worker) && lanes.flat_map(|lane| &lane.queues).any(|served| served == queue)
    };
    let workers: Vec<_> = roll.iter().filter(serves).filter_map(|listed| listed.report.as_ref()).collect();
    // One that does not tell all that it knows may know it.
    let surely_not = |report: &&Report| {
        report.task_count == report.tasks.len() as u64
            && !report.tasks.iter().any(|task| task == envelope.task.as_str())
    };
    let nobody = !workers.is_empty() && workers.iter().all(surely_not);
    nobody.then(|| {
        let text = format!(
            "No worker on {queue} knows the task {}. Deploy one that does; until then it is put off, and at last it dies.",
            envelope.task
        );
        because("unknown_task", text)
    })
}

fn running(view: &TaskView, roll: &[Listed], now: Timestamp) -> Why {
    let Some(owner) = view.snapshot.owner else { return because("running", "It runs.") };
    let holder = roll.iter().find(|listed| listed.member.id == owner.worker.into());
    let attempt = view.envelope.as_ref().map_or(1, |envelope| envelope.attempts + 1);
    let Some((listed, report)) = holder.and_then(|listed| Some((listed, listed.report.as_ref()?))) else {
        let text = format!(
            "The worker {} has it (attempt {attempt}), of which no report is known. If it is dead, its tasks go back to the \
             queue within seconds.",
            owner.worker
        );
        return because("running", text);
    };
    let id = view.id.to_string();
    let task = report.running.iter().find(|task| task.id == id);
    let since = task.map(|task| std::time::Duration::from_millis(task.for_ms) + now.since(listed.member.seen_at));
    let for_so_long = since.map_or_else(String::new, |since| format!(" for {}", length(since)));
    let text = format!(
        "It runs on {} (process {} on {}){for_so_long}: attempt {attempt}.",
        report.program, report.pid, report.host
    );
    because("running", text)
}

/// `in 3 m 20 s (2026-11-28 02:14:34 UTC)`.
fn when(at: Timestamp, now: Timestamp) -> String {
    format!("{} ({} UTC)", relative(at, now), instant(at))
}

fn shown(error: &str) -> String {
    preview(error.trim_end_matches('.'), ERROR)
}
