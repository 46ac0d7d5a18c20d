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
use taskq_core::TaskId;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::{
    Shared, health,
    hub::Watch,
    limits, overview,
    page::{self, Asker, Frame},
    pulse::Pulse,
    queues, task,
    visitor::{Visitor, cookie},
    workers,
};

/// A stream, as long as it may last.
pub(super) async fn live(State(shared): State<Arc<Shared>>, asker: Asker, headers: axum::http::HeaderMap) -> Response {
    let Ok(place) = Arc::clone(&shared.streams).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many browsers watch; this page stays as it is").into_response();
    };
    let page = asker.query.get("page").to_owned();
    let subject = asker.query.get("of").to_owned();
    let watched = match page.as_str() {
        "task" => subject.parse::<TaskId>().ok(),
        _ => None,
    };
    let frame = Frame::new(&shared, &asker, "", None);
    let stream = Stream {
        watch: shared.hub.watch(watched.clone()),
        closing: shared.hub.closing(),
        ends_at: shared.clock().monotonic() + limits::STREAM_AGE,
        session: cookie(&headers).map(str::to_owned),
        visitor: asker.visitor,
        last: None,
        page,
        subject,
        watched,
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
    page: String,
    subject: String,
    watched: Option<TaskId>,
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
        let part = match self.page.as_str() {
            "overview" => overview::part(frame, pulse).map(Some),
            "queues" => queues::queues_part(frame, &pulse).map(Some),
            "queue" => queues::queue_part(frame, &pulse, &self.subject),
            "workers" => workers::workers_part(frame, &pulse).map(Some),
            "worker" => workers::worker_part(frame, &pulse, &self.subject),
            "health" => health::part(&pulse).map(Some),
            "task" => {
                let facts = self.watched.as_ref().and_then(|id| pulse.tasks.get(id));
                facts.map(|facts| task::part(&self.shared, frame, facts)).transpose()
            }
            _ => Ok(None),
        };
        Ok(part?.map(|part| Seen::Part(part + &counts)))
    }
}
