//! Tasks as people look at them: page by page of a shelf, or one by its id. Each page is a range of an index.

use rusqlite::{OptionalExtension, Row, params};
use taskq_core::{
    PageToken, Shelf, TaskPage, TaskView, Timestamp,
    id::{QueueName, TaskId, TaskKey},
    inspect::QueueView,
    limits,
};

use super::{
    claim::{decode, next_due},
    failure::Failure,
    find::{Columns, is_exact, read_columns, seen, untracked},
    inspect::{counts_of, unreadable},
    queue_row::{QueueRow, places_before, places_of},
    step::Step,
    task_row::number_of,
};

/// How many ready tasks of each priority are asked since when they wait.
const ASKED: i64 = 2;

/// What [`read_columns`] wants, then key, deliveries, task and place.
macro_rules! view_columns {
    () => {
        "SELECT t.state, t.attempts, t.due, t.expires, t.ended, t.progress, t.reason, l.owner, t.body, t.key, t.deliveries,
         t.task, t.place FROM taskq_tasks t LEFT JOIN taskq_leases l ON l.lease = t.lease "
    };
}

/// A task's columns, undecoded.
struct ViewRow {
    columns: Columns,
    key: Vec<u8>,
    deliveries: u8,
    task: i64,
    place: i64,
}

impl ViewRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            columns: read_columns(row)?,
            key: row.get(9)?,
            deliveries: row.get(10)?,
            task: row.get(11)?,
            place: row.get(12)?,
        })
    }

    fn view(self, step: &Step<'_>, name: &QueueName) -> Result<TaskView, Failure> {
        let id = TaskId::new(name.clone(), TaskKey::from_bytes(&self.key).map_err(unreadable)?);
        let body = self.columns.body.as_deref().filter(|_| Shelf::of(self.columns.state).is_some());
        let envelope = body.and_then(|body| decode(name, &self.key, body, self.columns.expires).ok());
        let snapshot = seen(step, &id, self.columns).snapshot;
        Ok(TaskView { id, snapshot, envelope, deliveries: self.deliveries, ahead: None })
    }

    /// Where the page after this row begins.
    fn token(&self, shelf: Shelf) -> Option<PageToken> {
        match shelf {
            Shelf::Ready => Some(PageToken(self.place.to_string())),
            Shelf::Scheduled | Shelf::Retrying => {
                Some(PageToken(format!("{}.{}", self.columns.due.unwrap_or_default(), self.task)))
            }
            Shelf::Running => Some(PageToken(self.task.to_string())),
            Shelf::Dead => TaskKey::from_bytes(&self.key).ok().map(|key| PageToken::behind(&key)),
        }
    }
}

/// One page of a shelf.
pub(super) fn tasks(
    step: &Step<'_>,
    name: &QueueName,
    shelf: Shelf,
    after: Option<&PageToken>,
    count: usize,
) -> Result<TaskPage, Failure> {
    let Some(queue) = QueueRow::find(step, name)? else { return Ok(TaskPage::default()) };
    let count = count.min(limits::MAX_PAGE);
    let begin = match shelf {
        Shelf::Dead => after.and_then(PageToken::key).map(|after| page_end(step, &queue, &after)).transpose()?,
        Shelf::Ready | Shelf::Scheduled | Shelf::Retrying | Shelf::Running => after.and_then(numbers),
    };
    let (first, second) = begin.unwrap_or((i64::MIN, i64::MIN));
    let statement = match shelf {
        // in: queue, place of the last one, -, state, count; out: ready tasks in their order
        Shelf::Ready => concat!(
            view_columns!(),
            "WHERE t.queue = ?1 AND t.state = 1 AND t.place > ?2 AND ?3 = ?3 AND ?4 = 1 ORDER BY t.place LIMIT ?5"
        ),
        // in: queue, due time and number of the last one, state, count; out: waiting tasks by their due time
        Shelf::Scheduled | Shelf::Retrying => concat!(
            view_columns!(),
            "WHERE t.queue = ?1 AND t.due IS NOT NULL AND (t.due, t.task) > (?2, ?3) AND t.state = ?4
             ORDER BY t.due, t.task LIMIT ?5"
        ),
        // in: queue, number of the last one, -, state, count; out: running tasks
        Shelf::Running => concat!(
            view_columns!(),
            "WHERE l.queue = ?1 AND t.task > ?2 AND ?3 = ?3 AND t.state = ?4 ORDER BY t.task LIMIT ?5"
        ),
        // in: queue, when the last one died, and its number, state, count; out: dead letters, oldest first
        Shelf::Dead => concat!(
            view_columns!(),
            "WHERE t.queue = ?1 AND t.state = 5 AND (t.ended, t.task) > (?2, ?3) AND ?4 = 5 ORDER BY t.ended, t.task LIMIT ?5"
        ),
    };
    let mut statement = step.sql(statement)?;
    // One more than asked for tells whether another page follows.
    let state = number_of(shelf.state());
    let rows = statement.query_map(params![queue.number, first, second, state, count as i64 + 1], ViewRow::read)?;
    let mut rows: Vec<ViewRow> = rows.collect::<Result<_, _>>()?;
    let more = rows.len() > count;
    rows.truncate(count);
    let next = rows.last().filter(|_| more).and_then(|last| last.token(shelf));
    let tasks = rows.into_iter().map(|row| row.view(step, name)).collect::<Result<_, _>>()?;
    Ok(TaskPage { tasks, next })
}

/// The numbers of a token; one that is none begins at the beginning.
fn numbers(token: &PageToken) -> Option<(i64, i64)> {
    let (first, second) = token.0.split_once('.').unwrap_or((&token.0, "0"));
    Some((first.parse().ok()?, second.parse().ok()?))
}

/// Where a page ended. A letter replayed meanwhile still knows when it died; after one that was dropped, pages begin
/// anew: whoever drops while paging has dropped what came before.
fn page_end(step: &Step<'_>, queue: &QueueRow, after: &TaskKey) -> Result<(i64, i64), Failure> {
    // in: queue, key; out: when it died, and its row
    let found = step
        .sql("SELECT ended, task FROM taskq_tasks WHERE queue = ?1 AND key = ?2 AND ended IS NOT NULL")?
        .query_row(params![queue.number, after.to_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(found.unwrap_or((i64::MIN, i64::MIN)))
}

/// Everything that is known of one task.
pub(super) fn task(step: &Step<'_>, id: &TaskId) -> Result<Option<TaskView>, Failure> {
    let nobody_keeps = || untracked(&id.key).map(|seen| TaskView::of_what_ended(id.clone(), seen.snapshot));
    let Some(queue) = QueueRow::find(step, &id.queue)? else { return Ok(nobody_keeps()) };
    // in: queue, key; out: the task
    let row = step
        .sql(concat!(view_columns!(), "WHERE t.queue = ?1 AND t.key = ?2"))?
        .query_row(params![queue.number, id.key.to_bytes()], ViewRow::read)
        .optional()?;
    let Some(row) = row else { return Ok(nobody_keeps()) };
    let place = row.place;
    let view = row.view(step, &id.queue)?;
    let state = view.snapshot.state;
    if id.key.is_untracked() && !is_exact(state) {
        return Ok(nobody_keeps());
    }
    Ok(Some(match Shelf::of(state) {
        Some(Shelf::Ready) => TaskView { ahead: Some(ahead(step, &queue, place)?), ..view },
        Some(_) => view,
        None => TaskView::of_what_ended(view.id, view.snapshot),
    }))
}

fn ahead(step: &Step<'_>, queue: &QueueRow, place: i64) -> Result<u64, Failure> {
    let (first, end) = places_before(place);
    // in: queue, first place of the line, the task's; out: how many stand before it, the length of a range of an index
    let ahead: i64 = step
        .sql("SELECT count(*) FROM taskq_tasks WHERE queue = ?1 AND state = 1 AND place >= ?2 AND place < ?3")?
        .query_row([queue.number, first, end], |row| row.get(0))?;
    Ok(ahead.unsigned_abs())
}

/// What people want to know of a queue first.
pub(super) fn queue(step: &Step<'_>, name: &QueueName) -> Result<QueueView, Failure> {
    let Some(queue) = QueueRow::find(step, name)? else { return Ok(QueueView::default()) };
    // in: queue, boot, now; out: how many leases live
    let workers: i64 = step
        .sql(
            "SELECT count(*) FROM taskq_leases WHERE queue = ?1 AND boot = ?2 AND expires > ?3 AND expires <= ?3 + length",
        )?
        .query_row(params![queue.number, step.boot().id(), step.boot().millis()], |row| row.get(0))?;
    Ok(QueueView {
        counts: counts_of(step, &queue)?,
        paused_at: queue.paused.map(Timestamp::from_millis),
        oldest_ready: oldest_ready(step, name, &queue)?,
        next_due: next_due(step, &queue)?.map(|in_time| step.now() + in_time),
        workers: workers.unsigned_abs(),
    })
}

/// The first few of each priority are asked: behind them stands nobody who waits longer.
fn oldest_ready(step: &Step<'_>, name: &QueueName, queue: &QueueRow) -> Result<Option<Timestamp>, Failure> {
    let mut oldest = None;
    for priority in 0..=limits::MAX_PRIORITY {
        let (first, end) = places_of(priority);
        // in: queue, places of the line, count; out: its first tasks
        let mut statement = step.sql(
            "SELECT key, body FROM taskq_tasks WHERE queue = ?1 AND state = 1 AND place >= ?2 AND place < ?3
             ORDER BY place LIMIT ?4",
        )?;
        let rows = statement.query_map([queue.number, first, end, ASKED], |row| Ok((row.get(0)?, row.get(1)?)))?;
        for row in rows {
            let (key, body): (Vec<u8>, Option<Vec<u8>>) = row?;
            let envelope = decode(name, &key, body.as_deref().unwrap_or_default(), None).ok();
            oldest = oldest.into_iter().chain(envelope.and_then(|envelope| envelope.due_since())).min();
        }
    }
    Ok(oldest)
}

/// The task that holds a unique key.
pub(super) fn unique_holder(step: &Step<'_>, name: &QueueName, unique: &str) -> Result<Option<TaskKey>, Failure> {
    let Some(queue) = QueueRow::find(step, name)? else { return Ok(None) };
    // in: queue, unique key, now; out: the task that holds it
    let key: Option<Vec<u8>> = step
        .sql("SELECT key FROM taskq_uniques WHERE queue = ?1 AND name = ?2 AND (until IS NULL OR until > ?3)")?
        .query_row(params![queue.number, unique, step.millis()], |row| row.get(0))
        .optional()?;
    key.map(|key| TaskKey::from_bytes(&key).map_err(unreadable)).transpose()
}

#[cfg(test)]
mod tests {
    use taskq_core::State;

    use super::*;

    #[test]
    fn every_shelf_has_a_number_that_reads_back() {
        for shelf in Shelf::ALL {
            assert_eq!(super::super::task_row::state_of(number_of(shelf.state())), shelf.state());
            assert_eq!(Shelf::of(shelf.state()), Some(shelf));
        }
        assert_eq!(Shelf::of(State::Succeeded), None);
    }
}
