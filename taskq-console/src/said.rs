//! [`Said`]: an event in words, as the command line and the dashboard tell it.

use std::fmt;

use taskq_core::{CandidateId, EntryName, QueueName, SettledAs, TaskId, What, WorkerId};

use crate::words::{counted, instant, length};

/// What an event says.
#[derive(Debug)]
pub(crate) struct Said<'a> {
    pub(crate) about: About<'a>,
    /// What stands between the two in a line of text.
    pub(crate) joint: &'static str,
    pub(crate) words: String,
    /// The worker that has the task.
    pub(crate) worker: Option<WorkerId>,
}

/// What an event is about.
#[derive(Debug)]
pub(crate) enum About<'a> {
    Nothing,
    Task(&'a TaskId),
    Worker(WorkerId),
    Scheduler(CandidateId),
    Queue(&'a QueueName),
    Entry(&'a QueueName, &'a EntryName),
    Check(&'a str),
}

impl fmt::Display for About<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => Ok(()),
            Self::Task(id) => id.fmt(f),
            Self::Worker(worker) => worker.fmt(f),
            Self::Scheduler(scheduler) => scheduler.fmt(f),
            Self::Queue(queue) => queue.fmt(f),
            Self::Entry(queue, entry) => write!(f, "{queue}/{entry}"),
            Self::Check(check) => f.write_str(check),
        }
    }
}

/// Says it.
pub(crate) fn said(what: &What) -> Said<'_> {
    let said = |about, joint, words| Said { about, joint, words, worker: None };
    match what {
        What::Enqueued { id, task, due: None } => said(About::Task(id), "  ", task.to_string()),
        What::Enqueued { id, task, due: Some(due) } => {
            said(About::Task(id), "  ", format!("{task}, due {}", instant(*due)))
        }
        What::Started { id, task, worker, attempt } => {
            let words = format!("{task}, attempt {attempt}");
            Said { worker: Some(*worker), ..said(About::Task(id), "  ", words) }
        }
        What::Settled { id, task, worker, attempt, outcome, took, error } => {
            let outcome = match outcome {
                SettledAs::PutOff => "put off",
                outcome => outcome.as_str(),
            };
            let words = format!("{task}, attempt {attempt} {outcome} after {}", length(*took));
            Said { worker: Some(*worker), ..said(About::Task(id), "  ", with_reason(words, error.as_deref())) }
        }
        What::Cancelled { id, running } => {
            let words = if *running { "is asked to stop" } else { "has waited and is cancelled" };
            said(About::Task(id), "  ", words.to_owned())
        }
        What::Replayed { id } => said(About::Task(id), "  ", "is ready again".to_owned()),
        What::Dropped { id } => said(About::Task(id), "  ", "is deleted".to_owned()),
        What::RunNow { id } => said(About::Task(id), "  ", "is ready before it was due".to_owned()),
        What::Paused { queue } => said(About::Queue(queue), "  ", "hands out nothing".to_owned()),
        What::Resumed { queue } => said(About::Queue(queue), "  ", "hands out tasks again".to_owned()),
        What::Purged { queue, dead, count } => {
            let words = match dead {
                true => format!("{} deleted", counted(*count, "dead letter")),
                false => format!("{} cancelled", counted(*count, "waiting task")),
            };
            said(About::Queue(queue), "  ", words)
        }
        What::WorkerUp { worker, program, host, pid, queues } => {
            let queues = queues.iter().map(QueueName::as_str).collect::<Vec<_>>().join(", ");
            let words = format!("{program} on {host}, process {pid}, serves {queues}");
            said(About::Worker(*worker), "  ", words)
        }
        What::WorkerDown { worker } => said(About::Worker(*worker), "", String::new()),
        What::LeaderChanged { scheduler, token, leads } => {
            let more = if *leads { "" } else { " no more" };
            said(About::Scheduler(*scheduler), " ", format!("leads{more}, token {token}"))
        }
        What::Ticked { queue, entry, fire_time, enqueued } => {
            let words = format!("{} for {}", counted(u64::from(*enqueued), "task"), instant(*fire_time));
            said(About::Entry(queue, entry), ", ", words)
        }
        What::HealthChanged { check, from, to, reason } => {
            said(About::Check(check), ", ", with_reason(format!("from {from} to {to}"), reason.as_deref()))
        }
        What::LeftOut { count } => {
            let words = format!("{} not told, for a process had more than it may tell", counted(*count, "event"));
            said(About::Nothing, "", words)
        }
        What::Other { json, .. } => said(About::Nothing, "", json.clone()),
        // A kind that the core has learned and this crate has not.
        _ => said(About::Nothing, "", String::new()),
    }
}

/// How people are told that a reader was too slow.
pub(crate) fn missed(count: u64) -> String {
    format!("{} gone before they were read", counted(count, "event"))
}

fn with_reason(words: String, reason: Option<&str>) -> String {
    match reason {
        Some(reason) => format!("{words}: {reason}"),
        None => words,
    }
}
