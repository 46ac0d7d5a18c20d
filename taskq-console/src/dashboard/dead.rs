//! Dead letters: what failed for good, one by one or many at once.

use std::sync::Arc;

use askama::Template;
use axum::{extract::State, response::Response};
use taskq_core::Shelf;

use super::{
    Shared, limits,
    page::{Asker, Frame, html, shown},
    tasks::{List, list},
};

#[derive(Template)]
#[template(path = "dead.html")]
struct DeadPage {
    frame: Frame,
    list: List,
    bulk: usize,
}

pub(super) async fn dead(State(shared): State<Arc<Shared>>, asker: Asker) -> Response {
    let page = async {
        let pulse = shared.hub.watch(None).fresh().await?;
        let list = list(&shared, &asker.query, &pulse, Shelf::Dead).await?;
        let frame = Frame::new(&shared, &asker, "dead", Some(&pulse));
        Ok(html(&DeadPage { frame, list, bulk: limits::BULK }))
    };
    shown(&shared, &asker, "dead", page).await
}
