//! `/live`: a stream of the moving part of one page, as often as it changes.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::StatusCode,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream;
use taskq_core::{EntryId, QueueName, Shelf, TaskId};
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::{
    Shared, dead, events,
    fields::Fields,
    health,
    hub::Watch,
    journal::Wanted,
    limits, overview,
    page::{self, Asker, Frame},
    pulse::Pulse,
    queues,
    schedules::{self, entry_id},
    subject::{Reading, Subject},
    task,
    tasks::{self, Asked},
    visitor::{Visitor, cookie},
    workers,
};

/// A stream, as long as it may last.
pub(super) async fn live(State(shared): State<Arc<Shared>>, asker: Asker, headers: axum::http::HeaderMap) -> Response {
    let Ok(place) = Arc::clone(&shared.streams).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many browsers watch; this page stays as it is").into_response();
    };
    let page = Page::of(&asker.query).unwrap_or(Page::None);
    let frame = Frame::new(&shared, &asker, "", None);
    let stream = Stream {
        watch: shared.hub.watch(page.subject()),
        closing: shared.hub.closing(),
        ends_at: shared.clock().monotonic() + limits::STREAM_AGE,
        session: cookie(&headers).map(str::to_owned),
        visitor: asker.visitor,
        last: None,
        page,
        frame,
        shared,
        _place: place,
    };
    let events = stream::unfold(stream, |mut stream| async move {
        let event = match stream.next().await? {
            Seen::Part(part) => Event::default().data(part),
            Seen::Trouble(why) => Event::default().event("trouble").data(why),
        };
        Some((Ok::<_, Infallible>(event), stream))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(limits::STREAM_KEEP_ALIVE)).into_response()
}

/// A page with a moving part.
#[derive(Clone, Debug)]
enum Page {
    Overview,
    Queues,
    Queue(QueueName),
    Workers,
    Worker(String),
    Health,
    Task(TaskId),
    Tasks(Asked),
    Dead(Asked),
    Schedules,
    Schedule(EntryId),
    Events(Wanted),
    /// One that is not there: its browser is told when the broker is away, and no more.
    None,
}

impl Page {
    /// What a query asks for. Of a list it is the first page: only that one follows.
    fn of(query: &Fields) -> Option<Self> {
        let subject = query.get("of");
        match query.get("page") {
            "overview" => Some(Self::Overview),
            "queues" => Some(Self::Queues),
            "queue" => QueueName::new(subject).ok().map(Self::Queue),
            "workers" => Some(Self::Workers),
            "worker" => Some(Self::Worker(subject.to_owned())),
            "health" => Some(Self::Health),
            "task" => subject.parse().ok().map(Self::Task),
            "tasks" => Asked::of_tasks(query).ok().map(Self::Tasks),
            "dead" => Asked::of(query, Shelf::Dead).ok().map(Self::Dead),
            "schedules" => Some(Self::Schedules),
            "schedule" => entry_id(query.get("queue"), query.get("name")).ok().map(Self::Schedule),
            "events" => Wanted::of(query).ok().map(Self::Events),
            _ => None,
        }
    }

    /// What has to be read for it beside the figures.
    fn subject(&self) -> Option<Subject> {
        match self {
            Self::Queue(name) => Some(Subject::Queue(name.clone())),
            Self::Task(id) => Some(Subject::Task(id.clone())),
            Self::Tasks(asked) | Self::Dead(asked) => Some(Subject::List(asked.clone())),
            Self::Schedules => Some(Subject::Schedules),
            Self::Schedule(id) => Some(Subject::Schedule(id.clone())),
            Self::Events(_) => Some(Subject::Events),
            Self::Overview | Self::Queues | Self::Workers | Self::Worker(_) | Self::Health | Self::None => None,
        }
    }
}

/// What a browser is told.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    /// The moving part of its page.
    Part(String),
    /// Why it stays as it is.
    Trouble(String),
}

struct Stream {
    shared: Arc<Shared>,
    watch: Watch,
    closing: watch::Receiver<bool>,
    ends_at: Duration,
    session: Option<String>,
    visitor: Visitor,
    page: Page,
    frame: Frame,
    /// What was sent last: the same is not sent again.
    last: Option<Seen>,
    _place: OwnedSemaphorePermit,
}

impl Stream {
    /// The next text that differs from the last.
    async fn next(&mut self) -> Option<Seen> {
        loop {
            let clock = self.shared.clock().clone();
            let rest = self.ends_at.saturating_sub(clock.monotonic());
            let pulse = tokio::select! {
                biased;
                _ = self.closing.wait_for(|closing| *closing) => return None,
                // A dropped wait loses nothing: the newest pulse stays where it is.
                pulse = clock.timeout(rest, self.watch.next()) => pulse.ok()??,
            };
            if self.is_signed_out() {
                return None;
            }
            let seen = match self.seen(pulse) {
                Ok(seen) => seen,
                Err(error) => {
                    tracing::error!(%error, "a live part of the dashboard cannot be written");
                    return None;
                }
            };
            if seen.is_some() && seen != self.last {
                self.last.clone_from(&seen);
                return seen;
            }
        }
    }

    fn is_signed_out(&self) -> bool {
        let now = self.shared.clock().monotonic();
        self.visitor.has_session
            && !self.session.as_deref().is_some_and(|secret| self.shared.sessions.lives(secret, now))
    }

    fn seen(&self, pulse: Arc<Pulse>) -> askama::Result<Option<Seen>> {
        if let Some(why) = &pulse.trouble {
            return Ok(Some(Seen::Trouble(format!("The broker cannot be asked: {why}. What you see is from before."))));
        }
        let frame = &self.frame;
        let counts = page::counts_part(&pulse, frame.has_status)?;
        let part = match &self.page {
            Page::Overview => overview::part(frame, pulse).map(Some),
            Page::Queues => queues::queues_part(frame, &pulse).map(Some),
            Page::Queue(name) => queues::queue_part(frame, &pulse, name),
            Page::Workers => workers::workers_part(frame, &pulse).map(Some),
            Page::Worker(id) => workers::worker_part(frame, &pulse, id),
            Page::Health => health::part(&pulse).map(Some),
            Page::Task(id) => match pulse.reading(&Subject::Task(id.clone())) {
                Some(Reading::Task(facts)) => task::part(&self.shared, frame, facts).map(Some),
                _ => Ok(None),
            },
            Page::Tasks(asked) => tasks::part(frame, &pulse, asked),
            Page::Dead(asked) => dead::part(frame, &pulse, asked),
            Page::Schedules => schedules::schedules_part(frame, &pulse),
            Page::Schedule(id) => schedules::schedule_part(&pulse, id),
            Page::Events(wanted) => events::part(frame, &pulse, wanted),
            Page::None => Ok(None),
        };
        Ok(part?.map(|part| Seen::Part(part + &counts)))
    }
}
