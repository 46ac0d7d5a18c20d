//! Dead letters: what failed for good, one by one or many at once.

use std::sync::Arc;

use askama::Template;
use axum::{extract::State, response::Response};
use taskq_core::Shelf;

use super::{
    Shared, limits,
    page::{Asker, Frame, html, shown},
    pulse::Pulse,
    tasks::{Asked, List, list, live_list},
};

#[derive(Template)]
#[template(path = "dead.html")]
struct DeadPage {
    frame: Frame,
    list: List,
    bulk: usize,
}

#[derive(Template)]
#[template(path = "dead_live.html")]
struct DeadPart<'a> {
    frame: &'a Frame,
    list: List,
}

pub(super) async fn dead(State(shared): State<Arc<Shared>>, asker: Asker) -> Response {
    let page = async {
        let pulse = shared.hub.watch(None).fresh().await?;
        let asked = Asked::of(&asker.query, Shelf::Dead)?;
        let list = list(&shared, &asker.query, &pulse, &asked).await?;
        let frame = Frame::new(&shared, &asker, "dead", Some(&pulse));
        Ok(html(&DeadPage { frame, list, bulk: limits::BULK }))
    };
    shown(&shared, &asker, "dead", page).await
}

/// The moving part of the first page, if it was read.
pub(super) fn part(frame: &Frame, pulse: &Pulse, asked: &Asked) -> askama::Result<Option<String>> {
    live_list(pulse, asked).map(|list| DeadPart { frame, list }.render()).transpose()
}
