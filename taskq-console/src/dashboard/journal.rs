//! [`Journal`]: the newest events of the stream, read once for all who watch, and [`Excerpt`]: what somebody wants of them.
//!
//! The promise: a look reads what is new and no more, a bounded part of it; what it passes over is counted, and stands where it
//! is missing. Filters ask the broker nothing, but for pages of what is older.

use std::{collections::VecDeque, sync::Arc};

use taskq_core::{Cursor, Event, Events, QueueName, Result, SettledAs, What, limits::MAX_PAGE};

use super::{
    fields::{Fields, encoded},
    limits,
    page::PageError,
};
use crate::{
    said::{About, Said, missed, said},
    words::{machine_instant, time_of_day},
};

/// What is kept of the stream, for the next look to go on from.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// Oldest first.
    lines: VecDeque<Arc<EventLine>>,
    /// How far it was read.
    place: Option<Cursor>,
    /// Whether the last look read it too: what it has not read since then was nobody's to miss.
    is_followed: bool,
    newest: Arc<Newest>,
}

/// The newest events, as one look saw them.
#[derive(Clone, Debug, Default)]
pub(super) struct Newest {
    /// Newest first.
    lines: Vec<Arc<EventLine>>,
    place: Option<Cursor>,
    /// Why they cannot be read.
    pub(super) trouble: Option<String>,
}

/// An event as it is shown.
#[derive(Debug)]
pub(super) struct EventLine {
    place: Cursor,
    /// What it is among the elements of a page.
    pub(super) element: String,
    pub(super) kind: String,
    pub(super) class: &'static str,
    queue: Option<QueueName>,
    pub(super) when: String,
    pub(super) when_exactly: String,
    pub(super) about: String,
    /// Where that is shown, below the dashboard's own address.
    pub(super) link: Option<String>,
    pub(super) words: String,
    pub(super) worker: Option<String>,
    /// How many events are not there.
    lost: u64,
}

impl EventLine {
    fn of(place: Cursor, event: &Event) -> Self {
        let Said { about, words, worker, .. } = said(&event.what);
        Self {
            place,
            element: format!("e-{place}"),
            kind: event.what.kind().to_owned(),
            class: class(&event.what),
            queue: event.what.queue().cloned(),
            when: time_of_day(event.at),
            when_exactly: machine_instant(event.at),
            link: link(&about),
            about: about.to_string(),
            words,
            worker: worker.map(|worker| worker.to_string()),
            lost: if let What::LeftOut { count } = &event.what { *count } else { 0 },
        }
    }

    /// What stands where events are missing that nobody has read.
    fn missed(place: Cursor, count: u64) -> Self {
        Self {
            place,
            element: format!("m-{place}"),
            kind: "missed".to_owned(),
            class: "degraded",
            queue: None,
            when: String::new(),
            when_exactly: String::new(),
            about: String::new(),
            link: None,
            words: missed(count),
            worker: None,
            lost: count,
        }
    }
}

/// Its shape and colour.
fn class(what: &What) -> &'static str {
    match what {
        What::Enqueued { due: None, .. } => "ready",
        What::Enqueued { .. } | What::Ticked { .. } => "scheduled",
        What::Started { .. } => "running",
        What::Settled { outcome, .. } => match outcome {
            SettledAs::Succeeded => "succeeded",
            SettledAs::Retried => "retrying",
            SettledAs::Dead => "dead",
            SettledAs::Cancelled => "cancelled",
            SettledAs::PutOff => "scheduled",
            SettledAs::Released => "ready",
            _ => "unknown",
        },
        What::Cancelled { .. } | What::Purged { dead: false, .. } => "cancelled",
        What::Replayed { .. } => "retrying",
        What::Dropped { .. } | What::Purged { .. } => "dead",
        What::RunNow { .. } | What::Resumed { .. } => "running",
        What::WorkerUp { .. } => "workers",
        What::WorkerDown { .. } | What::Paused { .. } => "paused",
        What::LeaderChanged { .. } => "leader",
        What::HealthChanged { to, .. } => match to.as_str() {
            "healthy" => "healthy",
            "degraded" => "degraded",
            "unhealthy" => "unhealthy",
            _ => "unknown",
        },
        What::LeftOut { .. } => "degraded",
        _ => "unknown",
    }
}

fn link(about: &About<'_>) -> Option<String> {
    match about {
        About::Nothing => None,
        About::Task(id) => Some(format!("task?id={}", encoded(&id.to_string()))),
        About::Queue(queue) => Some(format!("queue?name={}", encoded(queue.as_str()))),
        About::Worker(_) | About::Scheduler(_) => Some(format!("worker?id={about}")),
        About::Entry(queue, entry) => {
            Some(format!("schedule?queue={}&name={}", encoded(queue.as_str()), encoded(entry.as_str())))
        }
        About::Check(_) => Some("health".to_owned()),
    }
}

impl Journal {
    /// What is newest, if somebody watches it. Somebody without the right to read events sees everything else.
    pub(super) async fn look(&mut self, events: &dyn Events, is_watched: bool) -> Result<Option<Arc<Newest>>> {
        if !is_watched {
            self.is_followed = false;
            return Ok(None);
        }
        let before = (self.place, self.lines.len());
        let trouble = match self.catch_up(events).await {
            Ok(()) => None,
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => Some(error.to_string()),
        };
        self.is_followed = true;
        if before != (self.place, self.lines.len()) || trouble != self.newest.trouble {
            let lines = self.lines.iter().rev().cloned().collect();
            self.newest = Arc::new(Newest { lines, place: self.place, trouble });
        }
        Ok(Some(Arc::clone(&self.newest)))
    }

    /// Reads on to the end, or from so far before the end as is kept here.
    async fn catch_up(&mut self, events: &dyn Events) -> Result<()> {
        let Some(last) = events.last().await? else {
            (self.place, self.is_followed) = (None, false);
            self.lines.clear();
            return Ok(());
        };
        // With room for what stands where some are missing.
        let kept = limits::EVENTS as u64 - 1;
        let earliest = Cursor { number: last.number.saturating_sub(kept), ..last };
        match self.place {
            Some(place) if place.begun_at == last.begun_at && place >= earliest => {}
            Some(place) if place.begun_at == last.begun_at && self.is_followed => {
                self.note(EventLine::missed(earliest, earliest.number - place.number));
                self.place = Some(earliest);
            }
            _ => {
                (self.place, self.is_followed) = (Some(earliest), false);
                self.lines.clear();
            }
        }
        // What comes while this reads is the next look's.
        for _ in 0..limits::EVENTS.div_ceil(MAX_PAGE) {
            if self.place.is_some_and(|place| place >= last) {
                break;
            }
            let page = events.read(self.place, MAX_PAGE).await?;
            let (Some((first, _)), Some((end, _))) = (page.events.first(), page.events.last()) else { break };
            if page.missed > 0 && self.is_followed {
                self.note(EventLine::missed(*first, page.missed));
            }
            self.place = Some(*end);
            self.is_followed = true;
            for (place, event) in &page.events {
                self.note(EventLine::of(*place, event));
            }
        }
        Ok(())
    }

    /// The oldest gives way.
    fn note(&mut self, line: EventLine) {
        if self.lines.len() >= limits::EVENTS {
            self.lines.pop_front();
        }
        self.lines.push_back(Arc::new(line));
    }
}

/// Which events somebody wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// All, if there is none.
    pub(super) kinds: Vec<String>,
    pub(super) queue: Option<QueueName>,
    /// A part of an id, a name, an error or a worker.
    pub(super) text: String,
}

impl Wanted {
    /// What a query asks for.
    pub(super) fn of(query: &Fields) -> std::result::Result<Self, PageError> {
        let kinds: Vec<_> = query.all("kind").map(str::to_owned).filter(|kind| !kind.is_empty()).collect();
        if let Some(kind) = kinds.iter().find(|kind| !What::KINDS.contains(&kind.as_str())) {
            let why = format!("No event is of the kind \"{kind}\": there are {}.", What::KINDS.join(", "));
            return Err(PageError::Unreadable(why));
        }
        let queue = Some(query.get("queue")).filter(|name| !name.is_empty()).map(QueueName::new).transpose()?;
        Ok(Self { kinds, queue, text: query.get("text").to_owned() })
    }

    pub(super) fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// The same as a query says it, with a place if there is one.
    pub(super) fn query(&self, upto: Option<Cursor>) -> String {
        let kinds = self.kinds.iter().map(|kind| ("kind", kind.clone()));
        let queue = self.queue.iter().map(|queue| ("queue", queue.to_string()));
        let text = Some(("text", self.text.clone())).filter(|(_, text)| !text.is_empty());
        let upto = upto.map(|place| ("upto", place.to_string()));
        let pairs = kinds.chain(queue).chain(text).chain(upto);
        pairs.map(|(name, value)| format!("{name}={}", encoded(&value))).collect::<Vec<_>>().join("&")
    }

    /// How much is not there is told whatever is asked for: who does not hear it would take a part for all.
    fn fits(&self, line: &EventLine) -> bool {
        let has_text = |text: &str| text.contains(&self.text);
        line.lost > 0
            || ((self.kinds.is_empty() || self.kinds.contains(&line.kind))
                && (self.queue.is_none() || self.queue == line.queue)
                && (self.text.is_empty()
                    || has_text(&line.about)
                    || has_text(&line.words)
                    || line.worker.as_deref().is_some_and(has_text)))
    }
}

/// Some events that somebody wants, newest first.
#[derive(Debug, Default)]
pub(super) struct Excerpt {
    pub(super) lines: Vec<Arc<EventLine>>,
    /// How many events were looked at.
    pub(super) looked: u64,
    /// How many of what was looked at are not there: left out by who should have told them, or gone before they were read.
    pub(super) lost: u64,
    /// The newest of them.
    pub(super) newest: Option<Cursor>,
    /// Where what is older begins, unless nothing is.
    pub(super) older: Option<Cursor>,
}

impl Excerpt {
    /// Takes a line, if it is wanted; false if there is no room for it.
    fn take(&mut self, line: &Arc<EventLine>, wanted: &Wanted) -> bool {
        if wanted.fits(line) {
            if self.lines.len() >= limits::EVENT_ROWS {
                self.older = Some(line.place);
                return false;
            }
            self.lines.push(Arc::clone(line));
        }
        self.looked += 1;
        self.lost = self.lost.saturating_add(line.lost);
        true
    }
}

impl Newest {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// What is wanted of them.
    pub(super) fn excerpt(&self, wanted: &Wanted) -> Excerpt {
        let mut excerpt = Excerpt { newest: self.place, ..Excerpt::default() };
        if self.lines.iter().all(|line| excerpt.take(line, wanted)) {
            excerpt.older = self.lines.last().and_then(|line| before(line.place));
        }
        // Also of what no row has room for: it is part of what somebody follows.
        excerpt.lost = self.lines.iter().fold(0, |lost, line| lost.saturating_add(line.lost));
        excerpt
    }
}

/// The place before this one, in the same stream.
fn before(place: Cursor) -> Option<Cursor> {
    (place.number > 1).then(|| Cursor { number: place.number - 1, ..place })
}

/// What is wanted of a bounded part of the stream that ends with this place. It stands still, whatever happens meanwhile.
pub(super) async fn excerpt_upto(events: &dyn Events, upto: Cursor, wanted: &Wanted) -> Result<Excerpt> {
    let mut excerpt = Excerpt { newest: Some(upto), ..Excerpt::default() };
    let mut end = upto;
    while end.number > 0 && excerpt.looked < limits::EVENTS as u64 {
        let after = Cursor { number: end.number.saturating_sub(MAX_PAGE as u64), ..end };
        let page = events.read(Some(after), (end.number - after.number) as usize).await?;
        let is_asked_for = |place: &Cursor| place.begun_at == upto.begun_at && *place <= end;
        let found: Vec<_> = page.events.iter().filter(|(place, _)| is_asked_for(place)).collect();
        for (place, event) in found.iter().rev() {
            if !excerpt.take(&Arc::new(EventLine::of(*place, event)), wanted) {
                return Ok(excerpt);
            }
        }
        // Whatever stood before these is no longer kept.
        if found.first().is_none_or(|(first, _)| first.number > after.number + 1) {
            return Ok(excerpt);
        }
        end = after;
    }
    excerpt.older = Some(end).filter(|end| end.number > 0);
    Ok(excerpt)
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use taskq_core::{Error, ErrorKind, EventPage};

    use super::*;

    /// A broker that gives this user no events.
    #[derive(Debug)]
    struct Closed(ErrorKind);

    #[async_trait]
    impl Events for Closed {
        async fn publish(&self, _: &[Event]) -> Result<()> {
            Err(Error::new(self.0, "publish", "events"))
        }

        async fn read(&self, _: Option<Cursor>, _: usize) -> Result<EventPage> {
            Err(Error::new(self.0, "read", "events"))
        }

        async fn last(&self) -> Result<Option<Cursor>> {
            Err(Error::new(self.0, "read", "events").because("NOPERM <b>"))
        }
    }

    #[tokio::test]
    async fn who_may_not_read_events_is_told_so_and_sees_everything_else() {
        let mut journal = Journal::default();
        let seen = journal.look(&Closed(ErrorKind::Refused), true).await.expect("the look goes on").expect("watched");
        assert!(seen.is_empty() && seen.trouble.as_deref().is_some_and(|why| why.contains("NOPERM")), "{seen:?}");
        assert!(journal.look(&Closed(ErrorKind::Refused), false).await.expect("nobody asked").is_none());
        assert!(journal.look(&Closed(ErrorKind::Unavailable), true).await.is_err(), "the broker is away");
    }
}
