//! Entries of schedulers and their cursors. What a tick enqueues is accepted in the step that moves the cursor.

use async_trait::async_trait;
use rusqlite::{OptionalExtension, Row, params};
use taskq_core::{
    Author, EntryId, EntryName, EntryOrigin, ErrorKind, FencingToken, FireTime, Fired, Mark, Result, Schedules,
    StoredEntry, Tick, Written,
    clock::Timestamp,
    id::QueueName,
    limits,
    schedules::{check_text, check_ticks},
};

use super::{
    broker::SqliteBroker,
    enqueue::{self, Arrival},
    failure::Failure,
    queue_row::QueueRow,
    step::Step,
};

#[async_trait]
impl Schedules for SqliteBroker {
    async fn marks(&self) -> Result<Vec<(QueueName, Mark)>> {
        self.look("list the entries of", self.namespace(), marks).await
    }

    async fn entries(&self, queue: &QueueName, after: Option<&EntryName>, count: usize) -> Result<Vec<StoredEntry>> {
        let (name, after) = (queue.clone(), after.cloned());
        self.look("list entries of", queue, move |step| page(step, &name, after.as_ref(), count)).await
    }

    async fn put(&self, author: Author, id: &EntryId, text: &str) -> Result<Written> {
        check_text(id, text)?;
        let (wanted, text) = (id.clone(), text.to_owned());
        self.write("put entry", id, move |step| put(step, author, &wanted, &text)).await
    }

    async fn remove(&self, author: Author, id: &EntryId) -> Result<Written> {
        let wanted = id.clone();
        self.write("remove entry", id, move |step| remove(step, author, &wanted)).await
    }

    async fn pause(&self, id: &EntryId) -> Result<bool> {
        let wanted = id.clone();
        self.write("pause entry", id, move |step| pause(step, &wanted)).await
    }

    async fn resume(&self, id: &EntryId) -> Result<bool> {
        let wanted = id.clone();
        self.write("resume entry", id, move |step| resume(step, &wanted)).await
    }

    async fn fire(&self, token: FencingToken, queue: &QueueName, ticks: &[Tick]) -> Result<Vec<Fired>> {
        check_ticks(queue, ticks)?;
        let now = self.clock().now();
        let moves: Vec<_> = ticks.iter().map(|tick| Move::new(tick, now)).collect();
        let name = queue.clone();
        self.write("fire in", queue, move |step| fire(step, token, &name, &moves)).await
    }
}

/// A tick taken apart before the writer is bothered.
#[derive(Debug)]
struct Move {
    name: EntryName,
    cursor: Timestamp,
    fire_time: FireTime,
    is_due: bool,
    arrivals: Vec<Arrival>,
}

impl Move {
    fn new(tick: &Tick, now: Timestamp) -> Self {
        let arrivals = tick.envelopes.iter().map(|envelope| Arrival::new(envelope, now)).collect();
        let is_due = tick.fire_time.0 <= now;
        Self { name: tick.name.clone(), cursor: tick.cursor, fire_time: tick.fire_time, is_due, arrivals }
    }
}

// Reading ---------------------------------------------------------------------------------------------------

fn marks(step: &Step<'_>) -> Result<Vec<(QueueName, Mark)>, Failure> {
    // in: namespace; out: queues that had entries, with their marks
    let mut statement = step.sql("SELECT name, mark FROM taskq_queues WHERE namespace = ?1 AND mark > 0")?;
    let rows = statement
        .query_map([step.namespace().as_str()], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
    rows.map(|row| {
        let (name, mark) = row?;
        Ok((QueueName::new(name).map_err(unreadable)?, Mark(mark.unsigned_abs())))
    })
    .collect()
}

fn page(
    step: &Step<'_>,
    name: &QueueName,
    after: Option<&EntryName>,
    count: usize,
) -> Result<Vec<StoredEntry>, Failure> {
    let Some(queue) = QueueRow::find(step, name)? else { return Ok(Vec::new()) };
    let after = after.map_or("", EntryName::as_str);
    // in: queue, last name of the page before, count; out: entries
    let mut statement = step.sql(
        "SELECT name, origin, paused, text, created, cursor, fired FROM taskq_entries WHERE queue = ?1 AND name > ?2
         ORDER BY name LIMIT ?3",
    )?;
    let rows =
        statement.query_map(params![queue.number, after, count.min(limits::MAX_PAGE) as i64], StoredRow::read)?;
    rows.map(|row| row?.entry(name)).collect()
}

/// An entry's columns.
struct StoredRow {
    name: String,
    origin: i64,
    paused: bool,
    text: String,
    created: i64,
    cursor: i64,
    fired: Option<i64>,
}

impl StoredRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            name: row.get(0)?,
            origin: row.get(1)?,
            paused: row.get(2)?,
            text: row.get(3)?,
            created: row.get(4)?,
            cursor: row.get(5)?,
            fired: row.get(6)?,
        })
    }

    fn entry(self, queue: &QueueName) -> Result<StoredEntry, Failure> {
        let name = EntryName::new(self.name).map_err(unreadable)?;
        Ok(StoredEntry {
            id: EntryId { queue: queue.clone(), name },
            origin: origin_of(self.origin)?,
            paused: self.paused,
            text: self.text,
            created_at: Timestamp::from_millis(self.created),
            cursor: Timestamp::from_millis(self.cursor),
            last_fired: self.fired.map(|millis| FireTime(Timestamp::from_millis(millis))),
        })
    }
}

fn number_of(origin: EntryOrigin) -> i64 {
    match origin {
        EntryOrigin::Code => 0,
        EntryOrigin::File => 1,
        EntryOrigin::RunTime => 2,
    }
}

fn origin_of(number: i64) -> Result<EntryOrigin, Failure> {
    match number {
        0 => Ok(EntryOrigin::Code),
        1 => Ok(EntryOrigin::File),
        2 => Ok(EntryOrigin::RunTime),
        _ => Err(Failure::new(
            ErrorKind::Internal,
            "an entry in the file comes from where this program knows nothing of",
        )),
    }
}

fn unreadable(error: taskq_core::Error) -> Failure {
    Failure::new(ErrorKind::Internal, error.to_string())
}

// Changing --------------------------------------------------------------------------------------------------

fn put(step: &Step<'_>, author: Author, id: &EntryId, text: &str) -> Result<Written, Failure> {
    let queue = QueueRow::open(step, &id.queue)?;
    if let Some(refusal) = refusal(step, &queue, author, &id.name)? {
        return Ok(refusal);
    }
    // in: queue, name, origin, text, now; adds the entry, or replaces its text if that is another one
    let changed = step
        .sql(
            "INSERT INTO taskq_entries (queue, name, origin, text, created, cursor) VALUES (?1, ?2, ?3, ?4, ?5, ?5)
             ON CONFLICT (queue, name) DO UPDATE SET text = ?4 WHERE text <> ?4",
        )?
        .execute(params![queue.number, id.name.as_str(), number_of(author.origin()), text, step.millis()])?;
    mark_changes(step, &queue, changed)?;
    Ok(Written::Applied)
}

fn remove(step: &Step<'_>, author: Author, id: &EntryId) -> Result<Written, Failure> {
    let queue = QueueRow::open(step, &id.queue)?;
    if let Some(refusal) = refusal(step, &queue, author, &id.name)? {
        return Ok(refusal);
    }
    // in: queue, name
    let removed = step
        .sql("DELETE FROM taskq_entries WHERE queue = ?1 AND name = ?2")?
        .execute(params![queue.number, id.name.as_str()])?;
    mark_changes(step, &queue, removed)?;
    Ok(Written::Applied)
}

fn pause(step: &Step<'_>, id: &EntryId) -> Result<bool, Failure> {
    let Some(queue) = QueueRow::find(step, &id.queue)? else { return Ok(false) };
    // in: queue, name
    let paused = step
        .sql("UPDATE taskq_entries SET paused = 1 WHERE queue = ?1 AND name = ?2 AND paused = 0")?
        .execute(params![queue.number, id.name.as_str()])?;
    mark_changes(step, &queue, paused)?;
    Ok(origin(step, &queue, &id.name)?.is_some())
}

fn resume(step: &Step<'_>, id: &EntryId) -> Result<bool, Failure> {
    let Some(queue) = QueueRow::find(step, &id.queue)? else { return Ok(false) };
    // in: queue, name, now; what would have fired meanwhile is skipped
    let resumed = step
        .sql(
            "UPDATE taskq_entries SET paused = 0, cursor = max(cursor, ?3)
             WHERE queue = ?1 AND name = ?2 AND paused = 1",
        )?
        .execute(params![queue.number, id.name.as_str(), step.millis()])?;
    mark_changes(step, &queue, resumed)?;
    Ok(origin(step, &queue, &id.name)?.is_some())
}

fn fire(step: &Step<'_>, token: FencingToken, name: &QueueName, moves: &[Move]) -> Result<Vec<Fired>, Failure> {
    let mut queue = QueueRow::open(step, name)?;
    if is_old(step, &queue, token)? {
        return Ok(vec![Fired::Fenced; moves.len()]);
    }
    let fired = moves.iter().map(|tick| fire_one(step, &mut queue, name, tick)).collect();
    queue.store(step)?;
    fired
}

fn fire_one(step: &Step<'_>, queue: &mut QueueRow, name: &QueueName, tick: &Move) -> Result<Fired, Failure> {
    // in: queue, name; out: the cursor, and whether the entry is paused
    let found: Option<(i64, bool)> = step
        .sql("SELECT cursor, paused FROM taskq_entries WHERE queue = ?1 AND name = ?2")?
        .query_row(params![queue.number, tick.name.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let fire_time = tick.fire_time.0.as_millis();
    match found {
        None => return Ok(Fired::Unknown),
        Some((cursor, _)) if cursor != tick.cursor.as_millis() || fire_time <= cursor => {
            return Ok(Fired::Moved(Timestamp::from_millis(cursor)));
        }
        Some(_) if !tick.is_due => return Ok(Fired::Early),
        Some((_, true)) => return Ok(Fired::Paused),
        Some((_, false)) => {}
    }
    // in: queue, name, fire time, whether anything is enqueued
    step.sql(
        "UPDATE taskq_entries SET cursor = ?3, fired = CASE WHEN ?4 THEN ?3 ELSE fired END WHERE queue = ?1 AND name = ?2",
    )?
    .execute(params![queue.number, tick.name.as_str(), fire_time, !tick.arrivals.is_empty()])?;
    let accepted = tick.arrivals.iter().map(|arrival| enqueue::accept(step, queue, name, arrival));
    Ok(Fired::Applied(accepted.collect::<Result<_, _>>()?))
}

// Who may ---------------------------------------------------------------------------------------------------

fn refusal(step: &Step<'_>, queue: &QueueRow, author: Author, name: &EntryName) -> Result<Option<Written>, Failure> {
    if let Some(token) = author.token()
        && is_old(step, queue, token)?
    {
        return Ok(Some(Written::Fenced));
    }
    let foreign = origin(step, queue, name)?.filter(|origin| *origin != author.origin());
    Ok(foreign.map(Written::Foreign))
}

/// Where an entry comes from, if there is such an entry.
fn origin(step: &Step<'_>, queue: &QueueRow, name: &EntryName) -> Result<Option<EntryOrigin>, Failure> {
    // in: queue, name
    let found = step
        .sql("SELECT origin FROM taskq_entries WHERE queue = ?1 AND name = ?2")?
        .query_row(params![queue.number, name.as_str()], |row| row.get(0))
        .optional()?;
    found.map(origin_of).transpose()
}

/// Whether the queue has seen a greater token; keeps the greater one.
fn is_old(step: &Step<'_>, queue: &QueueRow, token: FencingToken) -> Result<bool, Failure> {
    let token = i64::try_from(token.0).unwrap_or(i64::MAX);
    // in: queue, token; out: the greatest token seen before
    let seen: i64 =
        step.sql("SELECT fence FROM taskq_queues WHERE queue = ?1")?.query_row([queue.number], |row| row.get(0))?;
    if token > seen {
        // in: queue, token
        step.sql("UPDATE taskq_queues SET fence = ?2 WHERE queue = ?1")?.execute([queue.number, token])?;
    }
    Ok(token < seen)
}

fn mark_changes(step: &Step<'_>, queue: &QueueRow, changed: usize) -> Result<(), Failure> {
    if changed > 0 {
        // in: queue
        step.sql("UPDATE taskq_queues SET mark = mark + 1 WHERE queue = ?1")?.execute([queue.number])?;
    }
    Ok(())
}
