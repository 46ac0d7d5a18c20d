//! The first page: what happens, what waits, who works, what is wrong.

use std::sync::Arc;

use askama::Template;
use axum::{extract::State, response::Response};

use crate::words::{length, number, rate};

use super::{
    Shared, limits,
    page::{Asker, Frame, html, shown},
    pulse::Pulse,
    queues::QueueLine,
    workers::WorkerLine,
};

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    view: Overview,
}

#[derive(Template)]
#[template(path = "overview_live.html")]
struct OverviewPart<'a> {
    frame: &'a Frame,
    view: Overview,
}

/// What the page shows.
struct Overview {
    pulse: Arc<Pulse>,
    figures: Vec<Figure>,
    queues: Vec<QueueLine>,
    more_queues: usize,
    workers: Vec<WorkerLine>,
    more_workers: usize,
    leader: Option<String>,
}

/// A number with its name.
struct Figure {
    label: &'static str,
    value: String,
    more: String,
    link: &'static str,
    class: &'static str,
}

impl Overview {
    fn of(pulse: Arc<Pulse>) -> Self {
        let (total, flow) = (&pulse.total, &pulse.flow);
        let figure = |label, value: String, more: String, link, class| Figure { label, value, more, link, class };
        let slow = |length_of: Option<std::time::Duration>| length_of.map_or_else(|| "–".to_owned(), length);
        let share = if flow.ended() > 0.0 { 100.0 * flow.failed / flow.ended() } else { 0.0 };
        let figures = vec![
            figure(
                "Throughput",
                format!("{}/s", rate(flow.ended())),
                "attempts that ended".to_owned(),
                "/tasks?state=running",
                "good",
            ),
            figure(
                "Failures",
                format!("{}/s", rate(flow.failed)),
                format!("{} % of attempts", rate(share)),
                "/tasks?state=retrying",
                if flow.failed > 0.0 { "bad" } else { "" },
            ),
            figure(
                "Run time",
                slow(flow.run.quantile(0.5)),
                format!("95 %: {}", slow(flow.run.quantile(0.95))),
                "/workers",
                "",
            ),
            figure(
                "Ready",
                number(total.ready),
                format!("wait 95 %: {}", slow(flow.wait.quantile(0.95))),
                "/tasks?state=ready",
                "",
            ),
            figure(
                "Running",
                number(total.running),
                format!("on {}", crate::words::counted(pulse.workers() as u64, "worker")),
                "/tasks?state=running",
                "",
            ),
            figure("Scheduled", number(total.scheduled), "for later".to_owned(), "/tasks?state=scheduled", ""),
            figure(
                "Retrying",
                number(total.retrying),
                "after a failure".to_owned(),
                "/tasks?state=retrying",
                if total.retrying > 0 { "warn" } else { "" },
            ),
            figure(
                "Dead",
                number(total.dead),
                "need a person".to_owned(),
                "/dead",
                if total.dead > 0 { "bad" } else { "" },
            ),
        ];
        let mut queues: Vec<_> = pulse.queues.iter().collect();
        queues.sort_by_key(|row| {
            std::cmp::Reverse(row.view.counts.ready + row.view.counts.running + row.view.counts.retrying)
        });
        let (shown, now) = (limits::SHORT_ROWS, pulse.now);
        let mut workers: Vec<_> = pulse.members.iter().collect();
        workers.sort_by_key(|row| std::cmp::Reverse(row.report.as_ref().map_or(0, |report| report.running_count)));
        Self {
            figures,
            more_queues: queues.len().saturating_sub(shown) + pulse.unreadable.len() + pulse.uncounted.len(),
            queues: queues.into_iter().take(shown).map(|row| QueueLine::of(row, now)).collect(),
            more_workers: workers.len().saturating_sub(shown),
            workers: workers.into_iter().take(shown).map(|row| WorkerLine::of(row, now)).collect(),
            leader: pulse.leaders_name(),
            pulse,
        }
    }
}

pub(super) async fn overview(State(shared): State<Arc<Shared>>, asker: Asker) -> Response {
    let page = async {
        let pulse = shared.hub.watch(None).fresh().await?;
        let frame = Frame::new(&shared, &asker, "overview", Some(&pulse));
        Ok(html(&OverviewPage { frame, view: Overview::of(pulse) }))
    };
    shown(&shared, &asker, "overview", page).await
}

pub(super) fn part(frame: &Frame, pulse: Arc<Pulse>) -> askama::Result<String> {
    OverviewPart { frame, view: Overview::of(pulse) }.render()
}
