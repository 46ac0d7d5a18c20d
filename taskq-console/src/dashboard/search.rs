//! Looks for tasks as a page asks for it: what it filters by, and how far it looks.

use std::sync::Arc;

use taskq_core::{PageToken, QueueName, Shelf};

use super::{Shared, fields::Fields, limits, page::PageError};
pub(super) use crate::search::{Filter, Found};

/// The filter that a query asks for.
pub(super) fn filter(query: &Fields) -> Filter {
    Filter {
        name: query.get("name").to_owned(),
        tag: query.get("tag").to_owned(),
        text: query.get("text").to_owned(),
        ..Filter::default()
    }
}

/// A page of what fits.
pub(super) async fn search(
    shared: &Arc<Shared>,
    queue: &QueueName,
    shelf: Shelf,
    filter: &Filter,
    after: Option<&PageToken>,
) -> Result<Found, PageError> {
    let bounds = (limits::PAGE_ROWS, limits::LOOK);
    shared.ask(crate::search::search(&**shared.connection.inspect(), queue, shelf, filter, after, bounds)).await
}
