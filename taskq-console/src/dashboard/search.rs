//! Looks for tasks as a page asks for it: what it filters by, and how far it looks.

use std::time::Duration;

use taskq_core::{Inspect, PageToken, QueueName, Result, Shelf, Timestamp};

use super::{fields::Fields, limits};
pub(super) use crate::search::{Filter, Found};

/// How long ago tasks were enqueued, as a page lets one choose: what the address says, and what people read.
pub(super) const ENQUEUED: [(&str, &str, Duration); 4] = [
    ("5m", "last 5 minutes", Duration::from_secs(300)),
    ("1h", "last hour", Duration::from_secs(3_600)),
    ("1d", "last day", Duration::from_secs(86_400)),
    ("7d", "last 7 days", Duration::from_secs(7 * 86_400)),
];

/// The filter that a query asks for at this time.
pub(super) fn filter(query: &Fields, now: Timestamp) -> Filter {
    let chosen = ENQUEUED.iter().find(|(word, ..)| *word == query.get("enqueued"));
    let before = |length: Duration| Timestamp::from_millis(now.as_millis() - length.as_millis() as i64);
    Filter {
        since: chosen.map(|(.., length)| before(*length)),
        name: query.get("name").to_owned(),
        tag: query.get("tag").to_owned(),
        text: query.get("text").to_owned(),
        ..Filter::default()
    }
}

/// A page of what fits.
pub(super) async fn search(
    inspect: &dyn Inspect,
    queue: &QueueName,
    shelf: Shelf,
    filter: &Filter,
    after: Option<&PageToken>,
) -> Result<Found> {
    crate::search::search(inspect, queue, shelf, filter, after, (limits::PAGE_ROWS, limits::LOOK)).await
}
