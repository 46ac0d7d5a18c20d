//! Tasks of one queue and state, with filters.

use std::sync::Arc;

use askama::Template;
use axum::{extract::State, response::Response};
use taskq_core::{PageToken, QueueName, Shelf};

use super::{
    Shared,
    fields::{Fields, encoded},
    page::{Asker, Frame, PageError, html, shown},
    pulse::Pulse,
    row::TaskRow,
    search::{ENQUEUED, filter, search},
};
use crate::words::number;

/// The filters that a link to another page keeps.
pub(super) const KEPT: [&str; 6] = ["queue", "state", "name", "tag", "text", "enqueued"];

#[derive(Template)]
#[template(path = "tasks.html")]
struct TasksPage {
    frame: Frame,
    list: List,
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
    pub(super) is_first: bool,
    pub(super) first: String,
}

/// A state, with how many tasks of the queue are in it.
pub(super) struct Tab {
    pub(super) state: &'static str,
    pub(super) count: String,
    pub(super) link: String,
}

pub(super) async fn tasks(State(shared): State<Arc<Shared>>, asker: Asker) -> Response {
    let page = async {
        let pulse = shared.hub.watch(None).fresh().await?;
        let shelf = match asker.query.get("state") {
            "" => Shelf::Ready,
            state => shelf(state)?,
        };
        let list = list(&shared, &asker.query, &pulse, shelf).await?;
        let frame = Frame::new(&shared, &asker, "tasks", Some(&pulse));
        Ok(html(&TasksPage { frame, list }))
    };
    shown(&shared, &asker, "tasks", page).await
}

fn shelf(state: &str) -> Result<Shelf, PageError> {
    let why =
        || PageError::Unreadable("Tasks are listed by state: ready, scheduled, retrying, running or dead.".to_owned());
    Shelf::ALL.into_iter().find(|shelf| shelf.state().as_str() == state).ok_or_else(why)
}

/// What a query asks for on one shelf. Without a queue it is the one that has most there.
pub(super) async fn list(shared: &Arc<Shared>, query: &Fields, pulse: &Pulse, shelf: Shelf) -> Result<List, PageError> {
    let queue = match query.get("queue") {
        "" => fullest(pulse, shelf),
        name => Some(QueueName::new(name)?),
    };
    let filter = filter(query, pulse.now);
    let after = Some(query.exact("after")).filter(|after| !after.is_empty()).map(|after| PageToken(after.to_owned()));
    let found = match &queue {
        Some(queue) => search(shared, queue, shelf, &filter, after.as_ref()).await?,
        None => super::search::Found::default(),
    };
    let counts = queue.as_ref().and_then(|queue| pulse.queue(queue)).map(|row| row.view.counts);
    let queue = queue.map(|queue| queue.to_string()).unwrap_or_default();
    let tab = |shelf: Shelf| {
        let state = shelf.state().as_str();
        let kept = query.query_with(&["name", "tag", "text", "enqueued"], ("state", state));
        let count = counts.map_or_else(String::new, |counts| number(counts.on(shelf)));
        Tab { state, count, link: format!("queue={}&{kept}", encoded(&queue)) }
    };
    let here = Fields::new(
        KEPT.iter()
            .map(|name| match *name {
                "queue" => ("queue".to_owned(), queue.clone()),
                "state" => ("state".to_owned(), shelf.state().to_string()),
                name => (name.to_owned(), query.get(name).to_owned()),
            })
            .collect(),
    );
    let rows: Vec<_> = found.tasks.iter().map(|view| TaskRow::of(view, pulse.now)).collect();
    let looked = match (filter.is_empty(), found.next.is_some()) {
        (true, _) => String::new(),
        (false, true) => format!("{} looked at, more are behind", crate::words::counted(found.looked, "task")),
        (false, false) => format!("{} looked at, to the end", crate::words::counted(found.looked, "task")),
    };
    let mut queues: Vec<_> = pulse.names().map(ToString::to_string).collect();
    if !queue.is_empty() && !queues.contains(&queue) {
        queues.push(queue.clone());
    }
    Ok(List {
        queue_link: encoded(&queue),
        queues,
        state: shelf.state().as_str(),
        tabs: Shelf::ALL.map(tab).into(),
        name: query.get("name").to_owned(),
        tag: query.get("tag").to_owned(),
        text: query.get("text").to_owned(),
        enqueued: query.get("enqueued").to_owned(),
        choices: ENQUEUED.map(|(word, text, _)| (word, text)),
        is_filtered: !filter.is_empty(),
        rows,
        looked,
        next: found.next.map(|next| here.query_with(&KEPT, ("after", &next.0))),
        is_first: after.is_none(),
        first: here.query_with(&KEPT, ("after", "")),
        queue,
    })
}

fn fullest(pulse: &Pulse, shelf: Shelf) -> Option<QueueName> {
    let most = pulse.queues.iter().rev().max_by_key(|row| row.view.counts.on(shelf));
    most.map(|row| row.name.clone())
}
