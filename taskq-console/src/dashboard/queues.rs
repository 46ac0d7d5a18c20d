//! Queues: all of them, and one with what can be done to it.

use std::sync::Arc;

use askama::Template;
use axum::{extract::State, response::Response};
use taskq_core::{Counts, QueueName, Shelf, Timestamp};

use super::{
    Shared,
    fields::encoded,
    page::{Asker, Frame, PageError, html, shown},
    pulse::{Pulse, QueueRow},
    rates::Flow,
    subject::{Reading, Subject},
};
use crate::words::{counted, length, number, rate, relative};

/// A queue in a list.
pub(super) struct QueueLine {
    pub(super) name: String,
    pub(super) link: String,
    pub(super) ready: String,
    pub(super) running: String,
    pub(super) scheduled: String,
    pub(super) retrying: String,
    pub(super) dead: String,
    pub(super) has_dead: bool,
    pub(super) throughput: String,
    pub(super) failures: String,
    pub(super) has_failures: bool,
    pub(super) run: String,
    pub(super) oldest: String,
    pub(super) next_due: String,
    pub(super) workers: String,
    /// Tasks wait and nobody would take them.
    pub(super) is_unserved: bool,
    pub(super) paused: Option<String>,
}

impl QueueLine {
    pub(super) fn of(row: &QueueRow, now: Timestamp) -> Self {
        let QueueRow { name, view, flow } = row;
        let Counts { ready, scheduled, retrying, running, dead } = view.counts;
        Self {
            link: encoded(name.as_str()),
            name: name.to_string(),
            ready: number(ready),
            running: number(running),
            scheduled: number(scheduled),
            retrying: number(retrying),
            dead: number(dead),
            has_dead: dead > 0,
            throughput: rate(flow.ended()),
            failures: rate(flow.failed),
            has_failures: flow.failed > 0.0,
            run: flow.run.quantile(0.95).map_or_else(|| "–".to_owned(), length),
            oldest: view.oldest_ready.filter(|_| ready > 0).map_or_else(|| "–".to_owned(), |at| age(at, now)),
            next_due: view.next_due.map_or_else(|| "–".to_owned(), |at| relative(at, now)),
            workers: number(view.workers),
            is_unserved: view.workers == 0 && ready > 0,
            paused: view.paused_at.map(|at| relative(at, now)),
        }
    }
}

fn age(at: Timestamp, now: Timestamp) -> String {
    match now.since(at).as_secs() {
        seconds if seconds < 10 => format!("{seconds} s"),
        seconds => length(std::time::Duration::from_secs(seconds)),
    }
}

#[derive(Template)]
#[template(path = "queues.html")]
struct QueuesPage {
    frame: Frame,
    view: Queues,
}

#[derive(Template)]
#[template(path = "queues_live.html")]
struct QueuesPart<'a> {
    frame: &'a Frame,
    view: Queues,
}

struct Queues {
    queues: Vec<QueueLine>,
    /// Names, and why they cannot be read.
    unreadable: Vec<(String, String)>,
    uncounted: Vec<(String, String)>,
}

impl Queues {
    fn of(pulse: &Pulse) -> Self {
        let unreadable = pulse.unreadable.iter().map(|(name, why)| (name.to_string(), why.clone())).collect();
        let uncounted = pulse.uncounted.iter().map(|name| (name.to_string(), encoded(name.as_str()))).collect();
        let queues = pulse.queues.iter().map(|row| QueueLine::of(row, pulse.now)).collect();
        Self { queues, unreadable, uncounted }
    }
}

pub(super) async fn queues(State(shared): State<Arc<Shared>>, asker: Asker) -> Response {
    let page = async {
        let pulse = shared.hub.watch(None).fresh().await?;
        let frame = Frame::new(&shared, &asker, "queues", Some(&pulse));
        Ok(html(&QueuesPage { frame, view: Queues::of(&pulse) }))
    };
    shown(&shared, &asker, "queues", page).await
}

pub(super) fn queues_part(frame: &Frame, pulse: &Pulse) -> askama::Result<String> {
    QueuesPart { frame, view: Queues::of(pulse) }.render()
}

#[derive(Template)]
#[template(path = "queue.html")]
struct QueuePage {
    frame: Frame,
    view: Queue,
}

#[derive(Template)]
#[template(path = "queue_part.html")]
struct QueuePart<'a> {
    frame: &'a Frame,
    view: Queue,
}

struct Queue {
    line: QueueLine,
    shelves: Vec<ShelfLine>,
    workers: Vec<super::workers::WorkerLine>,
    /// What could be purged.
    waiting: String,
    dead: String,
}

struct ShelfLine {
    state: &'static str,
    count: String,
    /// Its part of all, in hundredths, for a bar.
    percent: u64,
}

impl Queue {
    fn of(pulse: &Pulse, row: &QueueRow) -> Self {
        let counts = &row.view.counts;
        let all = Shelf::ALL.iter().map(|shelf| counts.on(*shelf)).max().unwrap_or(0).max(1);
        let shelf = |shelf: Shelf| ShelfLine {
            state: shelf.state().as_str(),
            count: number(counts.on(shelf)),
            percent: (counts.on(shelf) * 100).div_ceil(all).min(100),
        };
        let serves = |lane: &taskq_core::fleet::LaneReport| lane.queues.iter().any(|queue| queue == row.name.as_str());
        let workers =
            pulse.members.iter().filter(|member| member.report.iter().flat_map(|report| &report.lanes).any(serves));
        let workers =
            workers.take(super::limits::PAGE_ROWS).map(|row| super::workers::WorkerLine::of(row, pulse.now)).collect();
        Self {
            line: QueueLine::of(row, pulse.now),
            shelves: Shelf::ALL.map(shelf).into(),
            workers,
            waiting: counted(counts.ready + counts.scheduled + counts.retrying, "waiting task"),
            dead: counted(counts.dead, "dead letter"),
        }
    }
}

/// The queue that the address names, counted even if there are too many to count all. If it cannot be read, that
/// is told anew.
async fn found(shared: &Arc<Shared>, pulse: &Pulse, name: &str) -> Result<QueueRow, PageError> {
    let name = QueueName::new(name)?;
    if let Some(row) = pulse.queue(&name) {
        return Ok(row.clone());
    }
    if !pulse.names().any(|known| *known == name) {
        return Err(PageError::Missing(format!("There is no queue \"{name}\".")));
    }
    let view = shared.ask(shared.connection.inspect().queue(&name)).await?;
    Ok(QueueRow { name, view, flow: Flow::default() })
}

pub(super) async fn queue(State(shared): State<Arc<Shared>>, asker: Asker) -> Response {
    let page = async {
        let pulse = shared.hub.watch(None).fresh().await?;
        let row = found(&shared, &pulse, asker.query.get("name")).await?;
        let frame = Frame::new(&shared, &asker, "queues", Some(&pulse));
        Ok(html(&QueuePage { frame, view: Queue::of(&pulse, &row) }))
    };
    shown(&shared, &asker, "queues", page).await
}

/// The moving part of the page of one: of the look's own counts, or as it was read for those who watch it.
pub(super) fn queue_part(frame: &Frame, pulse: &Pulse, name: &QueueName) -> askama::Result<Option<String>> {
    let row = match (pulse.queue(name), pulse.reading(&Subject::Queue(name.clone()))) {
        (Some(row), _) => row.clone(),
        (None, Some(Reading::Queue(view))) => QueueRow { name: name.clone(), view: *view, flow: Flow::default() },
        (None, _) => return Ok(None),
    };
    QueuePart { frame, view: Queue::of(pulse, &row) }.render().map(Some)
}

#[cfg(test)]
mod tests {
    use taskq_core::{Clock, broker::memory};

    use super::{
        super::{
            Dashboard,
            fields::Fields,
            options::{Options, Role},
            page::Base,
            visitor::Visitor,
        },
        *,
    };

    #[test]
    fn a_queue_that_cannot_be_read_is_shown_with_the_reason() {
        let dashboard = Dashboard::new(memory::connect(Clock::system()), Options::new());
        let visitor = Visitor { name: None, role: Role::Viewer, key: String::new(), has_session: false };
        let asker = Asker { base: Base::default(), visitor, query: Fields::default(), here: String::new() };
        let frame = Frame::new(&dashboard.0, &asker, "queues", None);
        let unreadable = vec![(QueueName::new("mail").expect("valid"), "look at mail: WRONGTYPE <b>".to_owned())];
        let pulse = Pulse { unreadable, ..Pulse::default() };
        assert_eq!(pulse.names().count(), 1);
        let page = queues_part(&frame, &pulse).expect("written");
        assert!(page.contains("<dt>mail</dt>") && page.contains("WRONGTYPE &#60;b&#62;"), "{page}");
        assert!(!page.contains("No task was ever enqueued"), "{page}");
    }
}
