//! Schedules: what is enqueued when, and what can be done about it.

use std::sync::Arc;

use askama::Template;
use axum::{extract::State, response::Response};
use taskq_core::{EntryId, EntryName, QueueName, Timestamp};

use super::{
    Shared,
    fields::encoded,
    limits,
    mask::readable_json,
    page::{Asker, Frame, PageError, html, shown},
    pulse::Pulse,
    subject::{Reading, Subject},
    timetable::{Timetable, TimetableRow},
};
use crate::words::{instant, machine_instant, relative};

/// A schedule in a list.
struct ScheduleLine {
    queue: String,
    name: String,
    link: String,
    schedule: String,
    task: String,
    origin: String,
    is_paused: bool,
    error: Option<String>,
    last: String,
    next: String,
    next_exactly: String,
}

impl ScheduleLine {
    fn of(row: &TimetableRow, now: Timestamp) -> Self {
        let next = match (row.is_paused, row.upcoming.first()) {
            (true, _) => "paused".to_owned(),
            (false, Some(at)) => relative(*at, now),
            (false, None) => "never".to_owned(),
        };
        Self {
            queue: row.id.queue.to_string(),
            name: row.id.name.to_string(),
            link: format!("queue={}&name={}", encoded(row.id.queue.as_str()), encoded(row.id.name.as_str())),
            schedule: row.schedule.clone().unwrap_or_else(|| "cannot be read".to_owned()),
            task: row.task.clone().unwrap_or_default(),
            origin: row.origin.clone(),
            is_paused: row.is_paused,
            error: row.error.clone(),
            last: row.last_fired.map_or_else(|| "never".to_owned(), |at| relative(at, now)),
            next,
            next_exactly: row.upcoming.first().map(|at| machine_instant(*at)).unwrap_or_default(),
        }
    }
}

#[derive(Template)]
#[template(path = "schedules.html")]
struct SchedulesPage {
    frame: Frame,
    view: Plan,
}

#[derive(Template)]
#[template(path = "schedules_live.html")]
struct SchedulesPart<'a> {
    frame: &'a Frame,
    view: Plan,
}

/// A page of schedules.
struct Plan {
    rows: Vec<ScheduleLine>,
    leader: Option<String>,
    next: Option<String>,
    is_first: bool,
}

impl Plan {
    fn of(rows: &[TimetableRow], pulse: &Pulse, is_first: bool) -> Self {
        let last = rows.last().filter(|_| rows.len() >= limits::PAGE_ROWS).map(|row| &row.id);
        let next = last
            .map(|id| format!("after_queue={}&after_name={}", encoded(id.queue.as_str()), encoded(id.name.as_str())));
        let rows = rows.iter().map(|row| ScheduleLine::of(row, pulse.now)).collect();
        Self { rows, leader: pulse.leaders_name(), next, is_first }
    }
}

#[derive(Template)]
#[template(path = "schedule.html")]
struct SchedulePage {
    frame: Frame,
    view: Schedule,
}

#[derive(Template)]
#[template(path = "schedule_live.html")]
struct SchedulePart {
    view: Schedule,
}

struct Schedule {
    line: ScheduleLine,
    policies: String,
    arguments: String,
    added: String,
    fires: Vec<(String, String, String)>,
}

impl Schedule {
    fn of(row: &TimetableRow, now: Timestamp) -> Self {
        let fire = |at: &Timestamp| (instant(*at), machine_instant(*at), relative(*at, now));
        Self {
            line: ScheduleLine::of(row, now),
            policies: row.policies.clone(),
            arguments: row.arguments.as_deref().map(readable_json).unwrap_or_default(),
            added: instant(row.created_at),
            fires: row.upcoming.iter().map(fire).collect(),
        }
    }
}

/// What schedules are read from, if this dashboard has it.
pub(super) fn timetable(shared: &Shared) -> Result<&Arc<dyn Timetable>, PageError> {
    let none = || PageError::Missing("This dashboard shows no schedules.".to_owned());
    shared.options.timetable.as_ref().ok_or_else(none)
}

/// The entry that a query or form names.
pub(super) fn entry_id(queue: &str, name: &str) -> Result<EntryId, PageError> {
    Ok(EntryId { queue: QueueName::new(queue)?, name: EntryName::new(name)? })
}

pub(super) async fn schedules(State(shared): State<Arc<Shared>>, asker: Asker) -> Response {
    let page = async {
        let timetable = timetable(&shared)?;
        let pulse = shared.hub.watch(None).fresh().await?;
        let after = match asker.query.has("after_name") {
            true => Some(entry_id(asker.query.get("after_queue"), asker.query.get("after_name"))?),
            false => None,
        };
        let rows = shared.ask(timetable.page(after.as_ref(), limits::PAGE_ROWS)).await?;
        let frame = Frame::new(&shared, &asker, "schedules", Some(&pulse));
        Ok(html(&SchedulesPage { frame, view: Plan::of(&rows, &pulse, after.is_none()) }))
    };
    shown(&shared, &asker, "schedules", page).await
}

/// The moving part of the first page, if it was read.
pub(super) fn schedules_part(frame: &Frame, pulse: &Pulse) -> askama::Result<Option<String>> {
    match pulse.reading(&Subject::Schedules) {
        Some(Reading::Schedules(rows)) => SchedulesPart { frame, view: Plan::of(rows, pulse, true) }.render().map(Some),
        _ => Ok(None),
    }
}

pub(super) async fn schedule(State(shared): State<Arc<Shared>>, asker: Asker) -> Response {
    let page = async {
        let timetable = timetable(&shared)?;
        let id = entry_id(asker.query.get("queue"), asker.query.get("name"))?;
        let Some(row) = shared.ask(timetable.find(&id, limits::FIRE_TIMES)).await? else {
            return Err(PageError::Missing(format!("There is no schedule {id}.")));
        };
        let now = shared.ask(shared.connection.broker().now()).await?;
        let frame = Frame::new(&shared, &asker, "schedules", None);
        Ok(html(&SchedulePage { frame, view: Schedule::of(&row, now) }))
    };
    shown(&shared, &asker, "schedules", page).await
}

/// The moving part of the page of one, if it was read.
pub(super) fn schedule_part(pulse: &Pulse, id: &EntryId) -> askama::Result<Option<String>> {
    match pulse.reading(&Subject::Schedule(id.clone())) {
        Some(Reading::Schedule(row)) => SchedulePart { view: Schedule::of(row, pulse.now) }.render().map(Some),
        _ => Ok(None),
    }
}
