//! Many dead letters at once, in bounded steps that say how far they came.

use std::{fmt, sync::Arc};

use futures_util::{StreamExt, stream};
use taskq_core::{PageToken, QueueName, Shelf, TaskId};

use super::{
    Shared,
    fields::Fields,
    limits,
    notes::Note,
    page::PageError,
    search::{filter, search},
};
use crate::words::{counted, number};

/// What is done to each.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Replay,
    Drop,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Replay => "replayed",
            Self::Drop => "deleted",
        })
    }
}

/// Those that were ticked.
pub(super) async fn selected(shared: &Arc<Shared>, fields: &Fields, what: What) -> Result<Note, PageError> {
    let ids: Vec<TaskId> = fields.all("id").take(limits::BULK).map(str::parse).collect::<Result<_, _>>()?;
    if ids.is_empty() {
        return Ok(Note::bad("Nothing was selected."));
    }
    let asked = ids.len() as u64;
    let done = each(shared, ids, what).await?;
    Ok(match asked - done {
        0 => Note::good(format!("{} {what}.", counted(done, "dead letter"))),
        gone => Note::good(format!("{} {what}; {} were none any more.", counted(done, "dead letter"), number(gone))),
    })
}

/// Those that fit the filters of the list, as many as one request may.
pub(super) async fn matching(shared: &Arc<Shared>, fields: &Fields, what: What) -> Result<Note, PageError> {
    let queue = QueueName::new(fields.get("queue"))?;
    if matches!(what, What::Drop) && fields.get("confirm") != queue.as_str() {
        return Ok(Note::bad("Nothing was deleted: write the name of the queue to confirm it."));
    }
    let now = shared.ask(shared.connection.broker().now()).await?;
    let (filter, began) = (filter(fields, now), shared.clock().monotonic());
    let is_late = || shared.clock().monotonic().saturating_sub(began) > limits::BULK_TIME / 2;
    let (mut ids, mut after, mut pages): (Vec<TaskId>, Option<PageToken>, usize) = (Vec::new(), None, 0);
    let inspect = shared.connection.inspect();
    // All are found before the first is changed, so that no page moves under the next.
    loop {
        let found = shared.ask(search(&**inspect, &queue, Shelf::Dead, &filter, after.as_ref())).await?;
        ids.extend(found.tasks.into_iter().map(|view| view.id));
        after = found.next;
        pages += 1;
        if after.is_none() || ids.len() >= limits::BULK || pages >= limits::BULK_PAGES || is_late() {
            break;
        }
    }
    ids.truncate(limits::BULK);
    let done = each(shared, ids, what).await?;
    let left = shared.ask(shared.connection.inspect().counts(&queue)).await?.dead;
    let done = format!("{} {what}", counted(done, "dead letter"));
    Ok(Note::good(match (after.is_some(), left) {
        (false, 0) => format!("{done}; none is left in {queue}."),
        (false, left) => format!("{done}; {} in {queue} did not match, or died meanwhile.", number(left)),
        (true, left) => format!("{done}; {} are left in {queue}. Do it again to go on.", number(left)),
    }))
}

/// A few at once; answers how many there still were.
async fn each(shared: &Arc<Shared>, ids: Vec<TaskId>, what: What) -> Result<u64, PageError> {
    let one = |id: TaskId| async move {
        let control = shared.connection.control();
        match what {
            What::Replay => shared.ask(control.replay(&id)).await,
            What::Drop => shared.ask(control.drop_dead(&id)).await,
        }
    };
    let mut answers = stream::iter(ids).map(one).buffer_unordered(limits::CALLS_AT_ONCE);
    let mut done = 0;
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(is_done) => done += u64::from(is_done),
            Err(error) => {
                let why = format!("{} {what}, and then: {}", counted(done, "dead letter"), error.why());
                return Err(PageError::Broker(why));
            }
        }
    }
    Ok(done)
}
