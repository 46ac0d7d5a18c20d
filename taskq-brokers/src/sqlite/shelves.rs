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
};

/// How many ready tasks of each priority are asked since when they wait.
const ASKED: i64 = 2;

/// What [`read_columns`] wants, then key, deliveries, task, place and cancel.
macro_rules! columns_of_a_view {
    () => {
        "SELECT t.state, t.attempts, t.due, t.expires, t.ended, t.progress, t.reason, l.owner, t.body, t.key, t.deliveries,
         t.task, t.place, t.cancel "
    };
}

/// The same of tasks with whoever holds them.
macro_rules! view_columns {
    () => {
        concat!(columns_of_a_view!(), "FROM taskq_tasks t LEFT JOIN taskq_leases l ON l.lease = t.lease ")
    };
}

/// In: queue, first place of a line, a task's; out: how many stand before it, the length of a range of an index.
pub(super) const AHEAD: &str =
    "SELECT count(*) FROM taskq_tasks WHERE queue = ?1 AND state = 1 AND place >= ?2 AND place < ?3";

/// In: queue, places of a line, count; out: its first tasks.
pub(super) const FIRST_OF_A_LINE: &str = "SELECT key, body FROM taskq_tasks WHERE queue = ?1 AND state = 1 AND place >= ?2 AND place < ?3 ORDER BY place LIMIT ?4";

/// In: queue, boot, now; out: how many leases live.
pub(super) const LIVING_LEASES: &str =
    "SELECT count(*) FROM taskq_leases WHERE queue = ?1 AND boot = ?2 AND expires > ?3 AND expires <= ?3 + length";

/// A task's columns, undecoded.
struct ViewRow {
    columns: Columns,
    key: Vec<u8>,
    deliveries: u8,
    task: i64,
    place: i64,
    cancel: i64,
}

impl ViewRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            columns: read_columns(row)?,
            key: row.get(9)?,
            deliveries: row.get(10)?,
            task: row.get(11)?,
            place: row.get(12)?,
            cancel: row.get(13)?,
        })
    }

    fn view(self, step: &Step<'_>, name: &QueueName) -> Result<TaskView, Failure> {
        let id = TaskId::new(name.clone(), TaskKey::from_bytes(&self.key).map_err(unreadable)?);
        let body = self.columns.body.as_deref().filter(|_| Shelf::of(self.columns.state).is_some());
        let envelope = body.and_then(|body| decode(name, &self.key, body, self.columns.expires).ok());
        let snapshot = seen(step, self.columns, envelope.as_ref()).snapshot;
        Ok(TaskView { id, snapshot, envelope, deliveries: self.deliveries, ahead: None })
    }

    /// Bytes of what a page tells of it.
    fn bytes(&self) -> usize {
        self.columns.body.as_ref().map_or(0, Vec::len) + self.columns.progress.as_ref().map_or(0, String::len)
    }

    /// Where the page after this row begins.
    fn token(&self, shelf: Shelf) -> Option<PageToken> {
        let (due, owner) = (self.columns.due.unwrap_or_default(), self.columns.owner.as_deref().unwrap_or_default());
        match shelf {
            Shelf::Ready => Some(PageToken(self.place.to_string())),
            Shelf::Scheduled | Shelf::Retrying => Some(PageToken(format!("{due}.{}", self.task))),
            Shelf::Running => Some(PageToken(format!("{}.{}.{owner}", self.cancel, self.task))),
            Shelf::Dead => TaskKey::from_bytes(&self.key).ok().map(|key| PageToken::behind(&key)),
        }
    }
}

/// The rows of a shelf behind one of them, in their order: a range of an index, so that no more rows are read than are asked
/// for. In: queue, count, then what [`begin`] says of the last one.
pub(super) fn page_of(shelf: Shelf) -> &'static str {
    match shelf {
        Shelf::Ready => {
            concat!(view_columns!(), "WHERE t.queue = ?1 AND t.state = 1 AND t.place > ?3 ORDER BY t.place LIMIT ?2")
        }
        Shelf::Scheduled => concat!(
            view_columns!(),
            "WHERE t.queue = ?1 AND t.state = 0 AND t.due IS NOT NULL AND (t.due, t.task) > (?3, ?4)
             ORDER BY t.due, t.task LIMIT ?2"
        ),
        Shelf::Retrying => concat!(
            view_columns!(),
            "WHERE t.queue = ?1 AND t.state = 3 AND t.due IS NOT NULL AND (t.due, t.task) > (?3, ?4)
             ORDER BY t.due, t.task LIMIT ?2"
        ),
        // Worker by worker. Of the first one what the pages before had is walked over, which is no more than it holds.
        Shelf::Running => concat!(
            columns_of_a_view!(),
            "FROM taskq_leases l CROSS JOIN taskq_tasks t ON t.lease = l.lease WHERE l.queue = ?1 AND l.owner >= ?5
             AND (l.owner > ?5 OR (t.cancel, t.task) > (?3, ?4)) ORDER BY l.owner, t.cancel, t.task LIMIT ?2"
        ),
        Shelf::Dead => concat!(
            view_columns!(),
            "WHERE t.queue = ?1 AND t.state = 5 AND (t.ended, t.task) > (?3, ?4) ORDER BY t.ended, t.task LIMIT ?2"
        ),
    }
}

/// Where a page begins: two numbers that the order of its shelf compares, and whose tasks were told last.
type Begin = (i64, i64, String);

fn begin(step: &Step<'_>, queue: &QueueRow, shelf: Shelf, after: Option<&PageToken>) -> Result<Begin, Failure> {
    let numbers = match shelf {
        Shelf::Ready | Shelf::Scheduled | Shelf::Retrying => after.and_then(numbers),
        Shelf::Running => return Ok(after.and_then(numbers_and_owner).unwrap_or((i64::MIN, i64::MIN, String::new()))),
        Shelf::Dead => after.and_then(PageToken::key).map(|after| page_end(step, queue, &after)).transpose()?,
    };
    let (first, second) = numbers.unwrap_or((i64::MIN, i64::MIN));
    Ok((first, second, String::new()))
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
    let (first, second, owner) = begin(step, &queue, shelf, after)?;
    let mut statement = step.sql(page_of(shelf))?;
    // One more than asked for tells whether another page follows.
    let most = count as i64 + 1;
    let mut rows = match shelf {
        Shelf::Ready => statement.query(params![queue.number, most, first])?,
        Shelf::Running => statement.query(params![queue.number, most, first, second, owner])?,
        Shelf::Scheduled | Shelf::Retrying | Shelf::Dead => {
            statement.query(params![queue.number, most, first, second])?
        }
    };
    let (mut page, mut last, mut bytes) = (TaskPage::default(), None, 0);
    while let Some(row) = rows.next()? {
        if page.tasks.len() == count || bytes >= limits::PAGE_BYTES {
            page.next = last;
            break;
        }
        let row = ViewRow::read(row)?;
        bytes += row.bytes();
        last = row.token(shelf);
        page.tasks.push(row.view(step, name)?);
    }
    Ok(page)
}

/// The numbers of a token; one that is none begins at the beginning.
fn numbers(token: &PageToken) -> Option<(i64, i64)> {
    let (first, second) = token.0.split_once('.').unwrap_or((&token.0, "0"));
    Some((first.parse().ok()?, second.parse().ok()?))
}

/// The same before the name of an owner, which may have dots.
fn numbers_and_owner(token: &PageToken) -> Option<Begin> {
    let mut parts = token.0.splitn(3, '.');
    let (first, second, owner) = (parts.next()?, parts.next()?, parts.next()?);
    Some((first.parse().ok()?, second.parse().ok()?, owner.to_owned()))
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
    let ahead: i64 = step.sql(AHEAD)?.query_row([queue.number, first, end], |row| row.get(0))?;
    Ok(ahead.unsigned_abs())
}

/// What people want to know of a queue first.
pub(super) fn queue(step: &Step<'_>, name: &QueueName) -> Result<QueueView, Failure> {
    let Some(queue) = QueueRow::find(step, name)? else { return Ok(QueueView::default()) };
    let workers: i64 = step
        .sql(LIVING_LEASES)?
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
        let mut statement = step.sql(FIRST_OF_A_LINE)?;
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
    use taskq_test_support::TempFolder;

    use super::*;
    use crate::sqlite::{
        address::Address, busy::Turns, claim::EARLIEST_DUE, file, fleet::MEMBERS, inspect::count_of, layout::Layout,
        sweep, task_row::number_of,
    };

    /// How SQLite goes about a statement, a line a step.
    fn plan(database: &rusqlite::Connection, statement: &str) -> Vec<String> {
        let mut explained = database.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).expect("a statement");
        // What the parameters are makes no difference to it.
        explained.raw_query().mapped(|row| row.get(3)).collect::<rusqlite::Result<_>>().expect("explained")
    }

    #[test]
    fn each_page_has_the_state_of_its_shelf() {
        for shelf in Shelf::ALL.into_iter().filter(|shelf| *shelf != Shelf::Running) {
            let state = format!("state = {}", number_of(shelf.state()));
            assert!(page_of(shelf).contains(&state) && count_of(shelf).contains(&state), "{shelf}");
        }
    }

    #[test]
    fn no_look_walks_over_a_table_or_sorts_what_it_found() {
        let folder = TempFolder::new();
        let address = Address::parse(&format!("sqlite://{}", folder.file("x.db").display())).expect("valid");
        let database = file::open_to_write(&address, Layout::present(), &mut Turns::new(1)).expect("opens the file");
        let of_shelves = Shelf::ALL.into_iter().flat_map(|shelf| [page_of(shelf), count_of(shelf)]);
        let others = [AHEAD, FIRST_OF_A_LINE, LIVING_LEASES, MEMBERS, EARLIEST_DUE, sweep::DUE, sweep::EARLIEST_OLD];
        for statement in of_shelves.chain(others) {
            let plan = plan(&database, statement);
            // Tables are named in full, or `t` and `l`; what is scanned beside these are the few rows of a subquery.
            let walks = |line: &String| ["SCAN t", "SCAN l"].iter().any(|scan| line.starts_with(scan));
            let sorts = |line: &String| line.contains("TEMP B-TREE");
            assert!(!plan.iter().any(|line| walks(line) || sorts(line)), "{statement}: {plan:#?}");
        }
        for shelf in Shelf::ALL {
            let plan = plan(&database, count_of(shelf));
            assert!(plan.iter().all(|line| line.contains("USING COVERING INDEX")), "{shelf}: {plan:#?}");
        }
    }
}
