//! Events: what happens, newest first, as processes tell it that are told to.

use std::sync::Arc;

use askama::Template;
use axum::{extract::State, response::Response};
use taskq_core::{Cursor, What};

use super::{
    Shared,
    journal::{EventLine, Excerpt, Newest, Wanted, excerpt_upto},
    page::{Asker, Frame, PageError, html, shown},
    pulse::Pulse,
    subject::Subject,
};
use crate::words::{counted, number};

#[derive(Template)]
#[template(path = "events.html")]
struct EventsPage {
    frame: Frame,
    view: News,
    /// Each kind, and whether it is asked for.
    kinds: Vec<(&'static str, bool)>,
    queues: Vec<String>,
    queue: String,
    text: String,
    /// The same filters, for a link.
    query: String,
}

#[derive(Template)]
#[template(path = "events_live.html")]
struct EventsPart<'a> {
    frame: &'a Frame,
    view: News,
}

/// Some of the stream.
struct News {
    lines: Vec<Arc<EventLine>>,
    /// Where this stands still, as a link says it: while it follows, how to stop it, and else where it is.
    pause: Option<String>,
    older: Option<String>,
    /// The newest, which follow.
    first: String,
    follows: bool,
    is_filtered: bool,
    /// Whether nobody has told anything, as far as events are kept.
    is_silent: bool,
    looked: String,
    lost: Option<String>,
    trouble: Option<String>,
}

impl News {
    /// The newest events.
    fn following(newest: &Newest, wanted: &Wanted) -> Self {
        let view = Self::of(newest.excerpt(wanted), wanted);
        Self { follows: true, is_silent: newest.is_empty(), trouble: newest.trouble.clone(), ..view }
    }

    fn of(excerpt: Excerpt, wanted: &Wanted) -> Self {
        let looked = match wanted.is_everything() {
            true => counted(excerpt.lines.len() as u64, "event") + ", newest first",
            false => {
                let found = number(excerpt.lines.len() as u64);
                format!("{found} shown of {} looked at", counted(excerpt.looked, "event"))
            }
        };
        Self {
            pause: excerpt.newest.map(|place| wanted.query(Some(place))),
            older: excerpt.older.map(|place| wanted.query(Some(place))),
            first: wanted.query(None),
            follows: false,
            is_filtered: !wanted.is_everything(),
            is_silent: false,
            looked,
            lost: (excerpt.lost > 0).then(|| number(excerpt.lost)),
            trouble: None,
            lines: excerpt.lines,
        }
    }
}

pub(super) async fn events(State(shared): State<Arc<Shared>>, asker: Asker) -> Response {
    let page = async {
        let wanted = Wanted::of(&asker.query)?;
        let upto = Some(asker.query.get("upto")).filter(|place| !place.is_empty()).map(str::parse::<Cursor>);
        let subject = upto.is_none().then_some(Subject::Events);
        let upto = upto.transpose()?;
        let pulse = shared.hub.watch(subject).fresh().await?;
        let view = match (upto, &pulse.events) {
            (Some(upto), _) => {
                let events = shared.connection.events();
                News::of(shared.ask(excerpt_upto(&**events, upto, &wanted)).await?, &wanted)
            }
            (None, Some(newest)) => News::following(newest, &wanted),
            (None, None) => return Err(PageError::Closing),
        };
        let frame = Frame::new(&shared, &asker, "events", Some(&pulse));
        let queue = wanted.queue.as_ref().map(ToString::to_string).unwrap_or_default();
        let queues = pulse.choices(&queue);
        let kinds = What::KINDS.map(|kind| (kind, wanted.kinds.iter().any(|wanted| wanted == kind))).into();
        Ok(html(&EventsPage { frame, view, kinds, queues, queue, query: wanted.query(None), text: wanted.text }))
    };
    shown(&shared, &asker, "events", page).await
}

/// The moving part of the page, once it was read.
pub(super) fn part(frame: &Frame, pulse: &Pulse, wanted: &Wanted) -> askama::Result<Option<String>> {
    let view = pulse.events.as_ref().map(|newest| News::following(newest, wanted));
    view.map(|view| EventsPart { frame, view }.render()).transpose()
}
