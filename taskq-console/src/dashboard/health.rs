//! Health: a status page of what is watched.

use std::sync::Arc;

use askama::Template;
use axum::{extract::State, response::Response};
use taskq_core::Timestamp;

use super::{
    Shared,
    page::{Asker, Frame, PageError, html, shown},
    pulse::Pulse,
    status::{Health, StatusRow},
};
use crate::words::{instant, length, machine_instant, relative};

#[derive(Template)]
#[template(path = "health.html")]
struct HealthPage {
    frame: Frame,
    view: Board,
}

#[derive(Template)]
#[template(path = "health_live.html")]
struct HealthPart {
    view: Board,
}

struct Board {
    headline: String,
    worst: &'static str,
    rows: Vec<CheckLine>,
}

struct CheckLine {
    name: String,
    target: String,
    health: &'static str,
    is_paused: bool,
    every: String,
    since: String,
    looked: String,
    reason: String,
    latency: String,
    /// Bars of the newest latencies: place and height, for SVG.
    bars: Vec<(usize, u32, u32)>,
    changes: Vec<(String, String, &'static str, String)>,
}

impl CheckLine {
    fn of(row: &StatusRow, now: Timestamp) -> Self {
        let most = row.latencies_ms.iter().copied().max().unwrap_or(0).max(1);
        let bar = |(place, latency): (usize, &u32)| {
            let height = (u64::from(*latency) * 20).div_ceil(u64::from(most)).clamp(1, 20) as u32;
            (place * 3, 20 - height, height)
        };
        let mut sorted = row.latencies_ms.clone();
        sorted.sort_unstable();
        let median = sorted.get(sorted.len() / 2).map(|millis| std::time::Duration::from_millis(u64::from(*millis)));
        let changes = row.changes.iter().rev().map(|change| {
            (
                instant(change.at),
                machine_instant(change.at),
                change.to.as_str(),
                change.reason.clone().unwrap_or_default(),
            )
        });
        Self {
            name: row.name.clone(),
            target: row.target.clone(),
            health: row.shown(),
            is_paused: row.is_paused,
            every: row.every.as_deref().map(|every| every.trim_start_matches("every ").to_owned()).unwrap_or_default(),
            since: row.since.map_or_else(|| "nobody has looked yet".to_owned(), |at| relative(at, now)),
            looked: row.looked_at.map_or_else(|| "never".to_owned(), |at| relative(at, now)),
            reason: row.reason.clone().unwrap_or_default(),
            latency: median.map_or_else(
                || "–".to_owned(),
                |median| if median.is_zero() { "< 1 ms".to_owned() } else { length(median) },
            ),
            bars: row.latencies_ms.iter().enumerate().map(bar).collect(),
            changes: changes.collect(),
        }
    }
}

impl Board {
    fn of(pulse: &Pulse) -> Self {
        let rows: &[StatusRow] = pulse.status.as_deref().map(Vec::as_slice).unwrap_or_default();
        let worst = rows.iter().filter(|row| !row.is_paused).map(|row| row.health).min();
        let headline = match worst {
            None => "Nothing is watched".to_owned(),
            Some(Health::Healthy) => "Everything is healthy".to_owned(),
            Some(_) => match pulse.complaints() {
                1 => "1 check is not as it should be".to_owned(),
                complaints => format!("{complaints} checks are not as they should be"),
            },
        };
        Self {
            headline,
            worst: worst.map_or("unknown", Health::as_str),
            rows: rows.iter().map(|row| CheckLine::of(row, pulse.now)).collect(),
        }
    }
}

pub(super) async fn health(State(shared): State<Arc<Shared>>, asker: Asker) -> Response {
    let page = async {
        if shared.options.status.is_none() {
            return Err(PageError::Missing("This dashboard shows no health.".to_owned()));
        }
        let pulse = shared.hub.watch(None).fresh().await?;
        let frame = Frame::new(&shared, &asker, "health", Some(&pulse));
        Ok(html(&HealthPage { frame, view: Board::of(&pulse) }))
    };
    shown(&shared, &asker, "health", page).await
}

pub(super) fn part(pulse: &Pulse) -> askama::Result<String> {
    HealthPart { view: Board::of(pulse) }.render()
}
