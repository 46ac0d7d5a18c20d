//! Documents of programs: one row each, replaced only by whoever names its version.

use async_trait::async_trait;
use rusqlite::{OptionalExtension, Row, params};
use taskq_core::{
    Document, DocumentId, DocumentName, Documents, ErrorKind, Result, Saved, Version,
    clock::Timestamp,
    documents::{check_size, too_many},
    id::QueueName,
    limits,
};

use super::{broker::SqliteBroker, failure::Failure, queue_row::QueueRow, step::Step};

#[async_trait]
impl Documents for SqliteBroker {
    async fn read(&self, id: &DocumentId) -> Result<Option<Document>> {
        let wanted = id.clone();
        self.look("read document", id, move |step| read(step, &wanted)).await
    }

    async fn save(&self, id: &DocumentId, expected: Option<Version>, text: &str) -> Result<Saved> {
        check_size(id, text)?;
        let (wanted, text) = (id.clone(), text.to_owned());
        let saved = self.write("save document", id, move |step| save(step, &wanted, expected, &text)).await?;
        saved.ok_or_else(|| too_many(id))
    }

    async fn forget(&self, id: &DocumentId, expected: Version) -> Result<bool> {
        let wanted = id.clone();
        self.write("forget document", id, move |step| forget(step, &wanted, expected)).await
    }

    async fn list(&self, queue: &QueueName, after: Option<&DocumentName>, count: usize) -> Result<Vec<Document>> {
        let (name, after) = (queue.clone(), after.cloned());
        self.look("list documents of", queue, move |step| page(step, &name, after.as_ref(), count)).await
    }
}

// Reading ---------------------------------------------------------------------------------------------------

fn read(step: &Step<'_>, id: &DocumentId) -> Result<Option<Document>, Failure> {
    let Some(queue) = QueueRow::find(step, &id.queue)? else { return Ok(None) };
    // in: queue, name; out: the document
    let found = step
        .sql("SELECT name, version, written, text FROM taskq_documents WHERE queue = ?1 AND name = ?2")?
        .query_row(params![queue.number, id.name.as_str()], StoredRow::read)
        .optional()?;
    found.map(|row| row.document(&id.queue)).transpose()
}

fn page(
    step: &Step<'_>,
    name: &QueueName,
    after: Option<&DocumentName>,
    count: usize,
) -> Result<Vec<Document>, Failure> {
    let Some(queue) = QueueRow::find(step, name)? else { return Ok(Vec::new()) };
    let after = after.map_or("", DocumentName::as_str);
    // in: queue, last name of the page before, count; out: documents
    let mut statement = step.sql(
        "SELECT name, version, written, text FROM taskq_documents WHERE queue = ?1 AND name > ?2 ORDER BY name LIMIT ?3",
    )?;
    let rows =
        statement.query_map(params![queue.number, after, count.min(limits::MAX_PAGE) as i64], StoredRow::read)?;
    rows.map(|row| row?.document(name)).collect()
}

/// A document's columns.
struct StoredRow {
    name: String,
    version: i64,
    written: i64,
    text: String,
}

impl StoredRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { name: row.get(0)?, version: row.get(1)?, written: row.get(2)?, text: row.get(3)? })
    }

    fn document(self, queue: &QueueName) -> Result<Document, Failure> {
        let name =
            DocumentName::new(self.name).map_err(|error| Failure::new(ErrorKind::Internal, error.to_string()))?;
        Ok(Document {
            id: DocumentId { queue: queue.clone(), name },
            version: Version(self.version.unsigned_abs()),
            text: self.text,
            written_at: Timestamp::from_millis(self.written),
        })
    }
}

// Changing --------------------------------------------------------------------------------------------------

/// `none -> kept`, or `kept -> kept` at another version. None if the queue has as many as it may.
fn save(step: &Step<'_>, id: &DocumentId, expected: Option<Version>, text: &str) -> Result<Option<Saved>, Failure> {
    let mut queue = QueueRow::open(step, &id.queue)?;
    let present = version(step, &queue, &id.name)?;
    if present != expected {
        return Ok(Some(Saved::Changed(present)));
    }
    if present.is_none() && is_full(step, &queue)? {
        return Ok(None);
    }
    let next = queue.next_version();
    // in: queue, name, version, now, text
    step.sql(
        "INSERT INTO taskq_documents (queue, name, version, written, text) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (queue, name) DO UPDATE SET version = ?3, written = ?4, text = ?5",
    )?
    .execute(params![queue.number, id.name.as_str(), next.0 as i64, step.millis(), text])?;
    queue.store(step)?;
    Ok(Some(Saved::Applied(next)))
}

/// `kept -> none`.
fn forget(step: &Step<'_>, id: &DocumentId, expected: Version) -> Result<bool, Failure> {
    let Some(queue) = QueueRow::find(step, &id.queue)? else { return Ok(true) };
    match version(step, &queue, &id.name)? {
        None => return Ok(true),
        Some(present) if present != expected => return Ok(false),
        Some(_) => {}
    }
    // in: queue, name
    step.sql("DELETE FROM taskq_documents WHERE queue = ?1 AND name = ?2")?
        .execute(params![queue.number, id.name.as_str()])?;
    Ok(true)
}

/// At which version a document is, if there is one.
fn version(step: &Step<'_>, queue: &QueueRow, name: &DocumentName) -> Result<Option<Version>, Failure> {
    // in: queue, name; out: its version
    let found: Option<i64> = step
        .sql("SELECT version FROM taskq_documents WHERE queue = ?1 AND name = ?2")?
        .query_row(params![queue.number, name.as_str()], |row| row.get(0))
        .optional()?;
    Ok(found.map(|version| Version(version.unsigned_abs())))
}

fn is_full(step: &Step<'_>, queue: &QueueRow) -> Result<bool, Failure> {
    // in: queue; out: how many documents it has, the length of a range of an index
    let count: i64 = step
        .sql("SELECT count(*) FROM taskq_documents WHERE queue = ?1")?
        .query_row([queue.number], |row| row.get(0))?;
    Ok(count.unsigned_abs() >= limits::MAX_DOCUMENTS as u64)
}
