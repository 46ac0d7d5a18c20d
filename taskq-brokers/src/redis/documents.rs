//! Documents of programs, in the tag of their queue.

use async_trait::async_trait;
use redis::Value;
use taskq_core::{
    Document, DocumentId, DocumentName, Documents, QueueName, Result, Saved, Timestamp, Version,
    documents::{check_size, too_many},
    limits,
};

use super::{
    broker::{RedisBroker, prefix_of},
    reply,
    script::Script,
};

#[async_trait]
impl Documents for RedisBroker {
    async fn read(&self, id: &DocumentId) -> Result<Option<Document>> {
        let mut get = redis::cmd("HGET");
        get.arg(format!("{}doc", prefix_of(&self.namespace, &id.queue))).arg(id.name.as_str());
        match self.link.command("read a document at", &get).await? {
            Value::Nil => Ok(None),
            record => document(id.clone(), record).map(Some),
        }
    }

    async fn save(&self, id: &DocumentId, expected: Option<Version>, text: &str) -> Result<Saved> {
        check_size(id, text)?;
        // Listed first: a document in a queue that nobody finds would never be forgotten.
        self.list_queue_once(&id.queue).await?;
        let answer = self.run("save a document at", Script::SaveDocument, &id.queue, |command| {
            command.arg(id.name.as_str()).arg(expected.map(digits).unwrap_or_default());
            command.arg(text).arg(limits::MAX_DOCUMENTS);
        });
        let fields: Vec<String> = reply::array(answer.await?)?.into_iter().map(reply::text).collect::<Result<_>>()?;
        match fields.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["a", made] => Ok(Saved::Applied(version(made)?)),
            ["c", ""] => Ok(Saved::Changed(None)),
            ["c", present] => Ok(Saved::Changed(Some(version(present)?))),
            ["f"] => Err(too_many(id)),
            _ => Err(reply::wrong("a, c or f")),
        }
    }

    async fn forget(&self, id: &DocumentId, expected: Version) -> Result<bool> {
        let answer = self.run("forget a document at", Script::ForgetDocument, &id.queue, |command| {
            command.arg(id.name.as_str()).arg(digits(expected));
        });
        Ok(reply::integer(&answer.await?)? == 1)
    }

    async fn list(&self, queue: &QueueName, after: Option<&DocumentName>, count: usize) -> Result<Vec<Document>> {
        let answer = self.run("list documents at", Script::Documents, queue, |command| {
            command.arg(after.map_or("", DocumentName::as_str)).arg(count.min(limits::MAX_PAGE));
        });
        let mut fields = reply::array(answer.await?)?.into_iter();
        let mut documents = Vec::new();
        while let (Some(name), Some(record)) = (fields.next(), fields.next()) {
            let name = DocumentName::new(reply::text(name)?)?;
            documents.push(document(DocumentId { queue: queue.clone(), name }, record)?);
        }
        Ok(documents)
    }
}

/// A version as records have it: text that scripts compare, for Lua's numbers end at 53 bits.
fn digits(version: Version) -> String {
    format!("{:016}", version.0)
}

fn version(digits: &str) -> Result<Version> {
    digits.parse().map(Version).map_err(|_| reply::wrong("a version"))
}

/// A document from its record: `save_document.lua` says what is where.
fn document(id: DocumentId, record: Value) -> Result<Document> {
    let record = reply::text(record)?;
    let malformed = || reply::wrong("the record of a document");
    let (head, text) = record.split_at_checked(30).ok_or_else(malformed)?;
    let (made, written) = head.split_at_checked(16).ok_or_else(malformed)?;
    Ok(Document {
        id,
        version: version(made)?,
        text: text.to_owned(),
        written_at: Timestamp::from_millis(written.parse().map_err(|_| malformed())?),
    })
}
