//! Reads what the file holds, in bounded pages and exact counts. Reading holds nobody up.

use async_trait::async_trait;
use rusqlite::{OptionalExtension, params};
use taskq_core::{
    Counts, DeadLetter, Finding, Inspect, PageToken, QueueView, Shelf, TaskPage, TaskView,
    clock::Timestamp,
    error::{ErrorKind, Result},
    id::{QueueName, TaskId, TaskKey},
    limits,
    state::DeadReason,
};

use super::{
    broker::SqliteBroker, claim::decode, examine::examine, failure::Failure, queue_row::QueueRow, shelves, step::Step,
};

#[async_trait]
impl Inspect for SqliteBroker {
    async fn queues(&self) -> Result<Vec<QueueName>> {
        self.look("list queues of", self.namespace(), queues).await
    }

    async fn counts(&self, queue: &QueueName) -> Result<Counts> {
        let name = queue.clone();
        self.look("count tasks of", queue, move |step| counts(step, &name)).await
    }

    async fn queue(&self, queue: &QueueName) -> Result<QueueView> {
        let name = queue.clone();
        self.look("look at", queue, move |step| shelves::queue(step, &name)).await
    }

    async fn tasks(
        &self,
        queue: &QueueName,
        shelf: Shelf,
        after: Option<&PageToken>,
        count: usize,
    ) -> Result<TaskPage> {
        let (name, after) = (queue.clone(), after.cloned());
        self.look("list tasks of", queue, move |step| shelves::tasks(step, &name, shelf, after.as_ref(), count)).await
    }

    async fn task(&self, id: &TaskId) -> Result<Option<TaskView>> {
        let wanted = id.clone();
        self.look("look at", id, move |step| shelves::task(step, &wanted)).await
    }

    async fn unique_holder(&self, queue: &QueueName, unique: &str) -> Result<Option<TaskKey>> {
        let (name, unique) = (queue.clone(), unique.to_owned());
        self.look("look for unique key in", queue, move |step| shelves::unique_holder(step, &name, &unique)).await
    }

    async fn examine(&self) -> Result<Vec<Finding>> {
        let (path, synchronous) = self.place();
        self.look("examine", self.namespace(), move |step| examine(step, &path, synchronous)).await
    }

    async fn dead_letters(&self, queue: &QueueName, after: Option<&TaskKey>, count: usize) -> Result<Vec<DeadLetter>> {
        let (name, after, count) = (queue.clone(), after.cloned(), count.min(limits::MAX_PAGE));
        self.look("list dead letters of", queue, move |step| dead_letters(step, &name, after.as_ref(), count)).await
    }
}

fn queues(step: &Step<'_>) -> Result<Vec<QueueName>, Failure> {
    // in: namespace; out: names
    let mut statement = step.sql("SELECT name FROM taskq_queues WHERE namespace = ?1 ORDER BY name")?;
    let names = statement.query_map([step.namespace().as_str()], |row| row.get::<_, String>(0))?;
    let names: Vec<String> = names.collect::<Result<_, _>>()?;
    Ok(names.iter().filter_map(|name| QueueName::new(name).ok()).collect())
}

fn counts(step: &Step<'_>, name: &QueueName) -> Result<Counts, Failure> {
    match QueueRow::find(step, name)? {
        Some(queue) => counts_of(step, &queue),
        None => Ok(Counts::default()),
    }
}

/// Each count is the length of a range of an index.
pub(super) fn counts_of(step: &Step<'_>, queue: &QueueRow) -> Result<Counts, Failure> {
    let count = |statement: &'static str| -> Result<u64, Failure> {
        let count: i64 = step.sql(statement)?.query_row([queue.number], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    };
    Ok(Counts {
        ready: count("SELECT count(*) FROM taskq_tasks WHERE queue = ?1 AND state = 1")?,
        scheduled: count("SELECT count(*) FROM taskq_tasks WHERE queue = ?1 AND due IS NOT NULL AND state = 0")?,
        retrying: count("SELECT count(*) FROM taskq_tasks WHERE queue = ?1 AND due IS NOT NULL AND state = 3")?,
        running: count(
            "SELECT count(*) FROM taskq_leases l JOIN taskq_tasks t ON t.lease = l.lease WHERE l.queue = ?1",
        )?,
        dead: count("SELECT count(*) FROM taskq_tasks WHERE queue = ?1 AND state = 5")?,
    })
}

/// Oldest first; two of the same moment stand in the order of their acceptance.
pub(super) fn dead_letters(
    step: &Step<'_>,
    name: &QueueName,
    after: Option<&TaskKey>,
    count: usize,
) -> Result<Vec<DeadLetter>, Failure> {
    let Some(queue) = QueueRow::find(step, name)? else { return Ok(Vec::new()) };
    let (ended, task) = match after {
        Some(after) => page_end(step, &queue, after)?,
        None => (i64::MIN, i64::MIN),
    };
    // in: queue, end of the page before, count; out: dead letters
    let mut statement = step.sql(
        "SELECT key, ended, reason, expires, body FROM taskq_tasks WHERE queue = ?1 AND state = 5
         AND (ended, task) > (?2, ?3) ORDER BY ended, task LIMIT ?4",
    )?;
    let count = count as i64;
    let rows = statement.query_map(params![queue.number, ended, task, count], |row| {
        Ok(Row { key: row.get(0)?, ended: row.get(1)?, reason: row.get(2)?, expires: row.get(3)?, body: row.get(4)? })
    })?;
    rows.map(|row| letter(name, row?)).collect()
}

/// A dead letter's columns, undecoded.
struct Row {
    key: Vec<u8>,
    ended: i64,
    reason: Option<String>,
    expires: Option<i64>,
    body: Option<Vec<u8>>,
}

fn letter(name: &QueueName, row: Row) -> Result<DeadLetter, Failure> {
    Ok(DeadLetter {
        envelope: decode(name, &row.key, row.body.as_deref().unwrap_or_default(), row.expires).ok(),
        id: TaskId::new(name.clone(), TaskKey::from_bytes(&row.key).map_err(unreadable)?),
        reason: DeadReason::from_name(row.reason.as_deref().unwrap_or_default()),
        died_at: Timestamp::from_millis(row.ended),
    })
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

/// A key that does not read.
pub(super) fn unreadable(error: taskq_core::Error) -> Failure {
    Failure::new(ErrorKind::Internal, error.to_string())
}
