//! Tasks of one queue and state, with filters.

use std::sync::Arc;

use askama::Template;
use axum::{extract::State, response::Response};
use taskq_core::{Counts, Inspect, PageToken, QueueName, Result, Shelf, Timestamp};

use super::{
    Shared,
    fields::{Fields, encoded},
    page::{Asker, Frame, PageError, html, shown},
    pulse::Pulse,
    row::TaskRow,
    search::{ENQUEUED, filter, search},
    subject::{Reading, Subject},
};
use crate::words::{counted, number};

/// The filters that a link to another page keeps.
pub(super) const KEPT: [&str; 6] = ["queue", "state", "name", "tag", "text", "enqueued"];

/// Those of them that are kept from one state to another.
const FILTERS: [&str; 4] = ["name", "tag", "text", "enqueued"];

#[derive(Template)]
#[template(path = "tasks.html")]
struct TasksPage {
    frame: Frame,
    list: List,
}

#[derive(Template)]
#[template(path = "tasks_part.html")]
struct TasksPart<'a> {
    frame: &'a Frame,
    list: List,
}

/// What a list is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// None is the one that has most there.
    queue: Option<QueueName>,
    shelf: Shelf,
    name: String,
    tag: String,
    text: String,
    enqueued: String,
}

impl Asked {
    /// What a query asks for, on this shelf.
    pub(super) fn of(query: &Fields, shelf: Shelf) -> Result<Self, PageError> {
        let queue = match query.get("queue") {
            "" => None,
            name => Some(QueueName::new(name)?),
        };
        let text = |name| query.get(name).to_owned();
        Ok(Self { queue, shelf, name: text("name"), tag: text("tag"), text: text("text"), enqueued: text("enqueued") })
    }

    /// What a query of the page of tasks asks for.
    pub(super) fn of_tasks(query: &Fields) -> Result<Self, PageError> {
        let shelf = match query.get("state") {
            "" => Shelf::Ready,
            state => shelf(state)?,
        };
        Self::of(query, shelf)
    }

    /// The queue that is asked for; if none is named, that of these which has most there.
    pub(super) fn queue_among<'a>(
        &self,
        queues: impl DoubleEndedIterator<Item = (&'a QueueName, &'a Counts)>,
    ) -> Option<QueueName> {
        let fullest = || queues.rev().max_by_key(|(_, counts)| counts.on(self.shelf)).map(|(name, _)| name.clone());
        self.queue.clone().or_else(fullest)
    }

    /// The same as a query says it, of this queue.
    fn fields(&self, queue: Option<&QueueName>) -> Fields {
        let queue = queue.map(ToString::to_string).unwrap_or_default();
        let values = [
            queue,
            self.shelf.state().to_string(),
            self.name.clone(),
            self.tag.clone(),
            self.text.clone(),
            self.enqueued.clone(),
        ];
        Fields::new(KEPT.iter().map(|name| (*name).to_owned()).zip(values).collect())
    }
}

fn shelf(state: &str) -> Result<Shelf, PageError> {
    let why =
        || PageError::Unreadable("Tasks are listed by state: ready, scheduled, retrying, running or dead.".to_owned());
    Shelf::ALL.into_iter().find(|shelf| shelf.state().as_str() == state).ok_or_else(why)
}

/// A page of a list as it was read: its texts have their bounds, whatever the tasks are like.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    queue: Option<QueueName>,
    rows: Vec<TaskRow>,
    /// How many tasks were looked at.
    pub(super) looked: u64,
    next: Option<PageToken>,
}

/// Reads a page of what is asked for.
pub(super) async fn read_rows(
    inspect: &dyn Inspect,
    asked: &Asked,
    queue: Option<QueueName>,
    after: Option<&PageToken>,
    now: Timestamp,
) -> Result<Rows> {
    let Some(queue) = queue else { return Ok(Rows::default()) };
    let found = search(inspect, &queue, asked.shelf, &filter(&asked.fields(Some(&queue)), now), after).await?;
    let rows = found.tasks.iter().map(|view| TaskRow::of(view, now)).collect();
    Ok(Rows { queue: Some(queue), rows, looked: found.looked, next: found.next })
}

/// A list of tasks with what was asked for.
pub(super) struct List {
    pub(super) queue: String,
    pub(super) queue_link: String,
    pub(super) queues: Vec<String>,
    pub(super) state: &'static str,
    pub(super) tabs: Vec<Tab>,
    pub(super) name: String,
    pub(super) tag: String,
    pub(super) text: String,
    pub(super) enqueued: String,
    /// How long ago they may have been enqueued.
    pub(super) choices: [(&'static str, &'static str); 4],
    pub(super) is_filtered: bool,
    pub(super) rows: Vec<TaskRow>,
    /// How far it was looked for what was asked for.
    pub(super) looked: String,
    /// The link to the next page.
    pub(super) next: Option<String>,
    /// Whether it is the page that follows the broker.
    pub(super) is_first: bool,
    pub(super) first: String,
}

/// A state, with how many tasks of the queue are in it.
pub(super) struct Tab {
    pub(super) state: &'static str,
    pub(super) count: String,
    pub(super) link: String,
}

impl List {
    fn of(asked: &Asked, page: &Rows, pulse: &Pulse, is_first: bool) -> Self {
        let here = asked.fields(page.queue.as_ref());
        let counts = page.queue.as_ref().and_then(|queue| pulse.queue(queue)).map(|row| row.view.counts);
        let queue = here.get("queue").to_owned();
        let tab = |shelf: Shelf| {
            let state = shelf.state().as_str();
            let count = counts.map_or_else(String::new, |counts| number(counts.on(shelf)));
            let kept = here.query_with(&FILTERS, ("state", state));
            Tab { state, count, link: format!("queue={}&{kept}", encoded(&queue)) }
        };
        let is_filtered = FILTERS.iter().any(|name| !here.get(name).is_empty());
        let looked = match (is_filtered, page.next.is_some()) {
            (false, _) => String::new(),
            (true, true) => format!("{} looked at, more are behind", counted(page.looked, "task")),
            (true, false) => format!("{} looked at, to the end", counted(page.looked, "task")),
        };
        Self {
            queue_link: encoded(&queue),
            queues: pulse.choices(&queue),
            state: asked.shelf.state().as_str(),
            tabs: Shelf::ALL.map(tab).into(),
            name: asked.name.clone(),
            tag: asked.tag.clone(),
            text: asked.text.clone(),
            enqueued: asked.enqueued.clone(),
            choices: ENQUEUED.map(|(word, text, _)| (word, text)),
            is_filtered,
            rows: page.rows.clone(),
            looked,
            next: page.next.as_ref().map(|next| here.query_with(&KEPT, ("after", &next.0))),
            is_first,
            first: here.query_with(&KEPT, ("after", "")),
            queue,
        }
    }
}

pub(super) async fn tasks(State(shared): State<Arc<Shared>>, asker: Asker) -> Response {
    let page = async {
        let pulse = shared.hub.watch(None).fresh().await?;
        let list = list(&shared, &asker.query, &pulse, &Asked::of_tasks(&asker.query)?).await?;
        let frame = Frame::new(&shared, &asker, "tasks", Some(&pulse));
        Ok(html(&TasksPage { frame, list }))
    };
    shown(&shared, &asker, "tasks", page).await
}

/// The moving part of a first page, if it was read.
pub(super) fn part(frame: &Frame, pulse: &Pulse, asked: &Asked) -> askama::Result<Option<String>> {
    live_list(pulse, asked).map(|list| TasksPart { frame, list }.render()).transpose()
}

/// A first page as it was read by the last look that had room for it.
pub(super) fn live_list(pulse: &Pulse, asked: &Asked) -> Option<List> {
    match pulse.reading(&Subject::List(asked.clone())) {
        Some(Reading::List(page)) => Some(List::of(asked, page, pulse, true)),
        _ => None,
    }
}

/// What a query asks for, from the place on that it names.
pub(super) async fn list(
    shared: &Arc<Shared>,
    query: &Fields,
    pulse: &Pulse,
    asked: &Asked,
) -> Result<List, PageError> {
    let after = Some(query.exact("after")).filter(|after| !after.is_empty()).map(|after| PageToken(after.to_owned()));
    let queue = asked.queue_among(pulse.queues.iter().map(|row| (&row.name, &row.view.counts)));
    let inspect = shared.connection.inspect();
    let page = shared.ask(read_rows(&**inspect, asked, queue, after.as_ref(), pulse.now)).await?;
    Ok(List::of(asked, &page, pulse, after.is_none()))
}
