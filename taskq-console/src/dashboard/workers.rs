//! Workers and schedulers: all of them, and one with what it runs.

use std::sync::Arc;

use askama::Template;
use axum::{extract::State, response::Response};
use taskq_core::{MemberId, Timestamp, fleet::MemberKind};

use super::{
    Shared,
    fields::encoded,
    member::{MemberRow, running_for},
    page::{Asker, Frame, PageError, html, shown},
    pulse::Pulse,
};
use crate::words::{instant, length, number, rate, relative};

/// A process in a list.
pub(super) struct WorkerLine {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) program: String,
    pub(super) version: String,
    pub(super) kind: &'static str,
    pub(super) condition: &'static str,
    pub(super) class: &'static str,
    pub(super) busy: String,
    pub(super) slots: u64,
    pub(super) taken: u64,
    pub(super) queues: String,
    pub(super) throughput: String,
    pub(super) failures: String,
    pub(super) up: String,
    pub(super) seen: String,
    /// What it has run for longest.
    pub(super) longest: Option<(String, String, String)>,
}

impl WorkerLine {
    pub(super) fn of(row: &MemberRow, now: Timestamp) -> Self {
        let report = row.report.as_ref();
        let slots = row.slots();
        let taken = report.map_or(0, |report| report.running_count);
        let queues =
            report.iter().flat_map(|report| &report.lanes).flat_map(|lane| lane.queues.iter().map(String::as_str));
        let kind = match report.map(|report| report.kind) {
            Some(MemberKind::Worker) => "worker",
            Some(MemberKind::Scheduler) => "scheduler",
            _ => "unknown",
        };
        let condition = row.condition();
        let class = match condition {
            "working" | "leading" => "running",
            "idle" | "standing by" => "ready",
            "draining" | "asked to drain" => "paused",
            _ => "dead",
        };
        let longest = report.and_then(|report| report.running.iter().max_by_key(|task| task.for_ms));
        Self {
            id: row.id.to_string(),
            name: row.name(),
            program: report.map(|report| report.program.clone()).unwrap_or_default(),
            version: report.map(|report| report.version.clone()).unwrap_or_default(),
            kind,
            condition,
            class,
            busy: match kind {
                "worker" => format!("{} of {}", number(taken), number(slots)),
                _ => "–".to_owned(),
            },
            slots: slots.max(taken).max(1),
            taken,
            queues: queues.collect::<Vec<_>>().join(", "),
            throughput: row.flow.as_ref().map_or_else(|| "–".to_owned(), |flow| rate(flow.ended())),
            failures: row.flow.as_ref().map_or_else(|| "–".to_owned(), |flow| rate(flow.failed)),
            up: report.map_or_else(|| "–".to_owned(), |report| length(now.since(report.started_at))),
            seen: relative(row.seen_at, now),
            longest: longest
                .map(|task| (task.task.clone(), encoded(&task.id), length(running_for(task, row.seen_at, now)))),
        }
    }
}

#[derive(Template)]
#[template(path = "workers.html")]
struct WorkersPage {
    frame: Frame,
    view: Workers,
}

#[derive(Template)]
#[template(path = "workers_live.html")]
struct WorkersPart<'a> {
    frame: &'a Frame,
    view: Workers,
}

struct Workers {
    rows: Vec<WorkerLine>,
    /// Versions of taskq in use, with how many processes have each: more than one while a new one is rolled out.
    versions: Vec<(String, usize)>,
}

impl Workers {
    fn of(pulse: &Pulse) -> Self {
        let mut rows: Vec<_> = pulse.members.iter().map(|row| WorkerLine::of(row, pulse.now)).collect();
        rows.sort_by(|one, other| (one.kind != "worker", &one.name).cmp(&(other.kind != "worker", &other.name)));
        let mut versions = std::collections::BTreeMap::<String, usize>::new();
        for report in pulse.members.iter().filter_map(|row| row.report.as_ref()) {
            *versions.entry(report.version.clone()).or_default() += 1;
        }
        Self { rows, versions: versions.into_iter().collect() }
    }
}

pub(super) async fn workers(State(shared): State<Arc<Shared>>, asker: Asker) -> Response {
    let page = async {
        let pulse = shared.hub.watch(None).fresh().await?;
        let frame = Frame::new(&shared, &asker, "workers", Some(&pulse));
        Ok(html(&WorkersPage { frame, view: Workers::of(&pulse) }))
    };
    shown(&shared, &asker, "workers", page).await
}

pub(super) fn workers_part(frame: &Frame, pulse: &Pulse) -> askama::Result<String> {
    WorkersPart { frame, view: Workers::of(pulse) }.render()
}

#[derive(Template)]
#[template(path = "worker.html")]
struct WorkerPage {
    frame: Frame,
    view: Worker,
}

#[derive(Template)]
#[template(path = "worker_live.html")]
struct WorkerPart<'a> {
    frame: &'a Frame,
    view: Worker,
}

struct Worker {
    line: WorkerLine,
    host: String,
    pid: String,
    started: String,
    clock_error: Option<String>,
    not_ready: Option<String>,
    leads: Option<u64>,
    can_drain: bool,
    lanes: Vec<(String, String)>,
    running: Vec<RunningLine>,
    /// Those that it runs and does not name.
    more_running: u64,
    tasks: Vec<String>,
}

struct RunningLine {
    id: String,
    link: String,
    task: String,
    attempt: u32,
    how_long: String,
}

impl Worker {
    fn of(row: &MemberRow, now: Timestamp) -> Self {
        let report = row.report.as_ref();
        let running: Vec<_> = report
            .map(|report| report.running.as_slice())
            .unwrap_or_default()
            .iter()
            .map(|task| RunningLine {
                link: encoded(&task.id),
                id: task.id.clone(),
                task: task.task.clone(),
                attempt: task.attempt,
                how_long: length(running_for(task, row.seen_at, now)),
            })
            .collect();
        let lanes = report.iter().flat_map(|report| &report.lanes);
        Self {
            line: WorkerLine::of(row, now),
            host: report.map(|report| report.host.clone()).unwrap_or_default(),
            pid: report.map(|report| report.pid.to_string()).unwrap_or_default(),
            started: report.map(|report| instant(report.started_at)).unwrap_or_default(),
            clock_error: row.clock_error().map(length),
            not_ready: report.and_then(|report| report.not_ready.clone()),
            leads: report.and_then(|report| report.leads),
            can_drain: !row.drain_asked && !report.is_some_and(|report| report.draining),
            lanes: lanes.map(|lane| (lane.queues.join(", "), number(lane.slots))).collect(),
            more_running: report.map_or(0, |report| report.running_count.saturating_sub(running.len() as u64)),
            running,
            tasks: report.map(|report| report.tasks.clone()).unwrap_or_default(),
        }
    }
}

pub(super) async fn worker(State(shared): State<Arc<Shared>>, asker: Asker) -> Response {
    let page = async {
        let id: MemberId = asker.query.get("id").parse()?;
        let pulse = shared.hub.watch(None).fresh().await?;
        let Some(row) = pulse.member(id) else {
            return Err(PageError::Missing("This process has ended, or has not reported for a while.".to_owned()));
        };
        let frame = Frame::new(&shared, &asker, "workers", Some(&pulse));
        Ok(html(&WorkerPage { frame, view: Worker::of(row, pulse.now) }))
    };
    shown(&shared, &asker, "workers", page).await
}

pub(super) fn worker_part(frame: &Frame, pulse: &Pulse, id: &str) -> askama::Result<Option<String>> {
    let row = id.parse().ok().and_then(|id| pulse.member(id));
    row.map(|row| WorkerPart { frame, view: Worker::of(row, pulse.now) }.render()).transpose()
}
