//! The way to a broker, which counts looks and can be cut off. Every look asks once who leads.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use taskq_core::{
    Author, CandidateId, Connection, Document, DocumentId, DocumentName, Documents, EntryId, EntryName, Error,
    ErrorKind, FencingToken, Fired, Incumbent, Leader, Mark, QueueName, Renewal, Result, Saved, Schedules, Standing,
    StoredEntry, Tick, Version, Written,
};

#[derive(Debug)]
pub(crate) struct Way {
    to: Connection,
    looks: AtomicU64,
    is_cut: AtomicBool,
}

impl Way {
    /// The same connection, by a way of which the other half is kept.
    pub(crate) fn to(connection: &Connection) -> (Connection, Arc<Self>) {
        let way = Arc::new(Self { to: connection.clone(), looks: AtomicU64::new(0), is_cut: AtomicBool::new(false) });
        (connection.through(connection.clock().clone(), Arc::clone(&way)), way)
    }

    pub(crate) fn looks(&self) -> u64 {
        self.looks.load(Ordering::SeqCst)
    }

    pub(crate) fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::SeqCst);
    }
}

#[async_trait]
impl Leader for Way {
    async fn stand(&self, candidate: CandidateId, term: Duration) -> Result<Standing> {
        self.to.leader().stand(candidate, term).await
    }

    async fn renew(&self, candidate: CandidateId, token: FencingToken, term: Duration) -> Result<Renewal> {
        self.to.leader().renew(candidate, token, term).await
    }

    async fn resign(&self, candidate: CandidateId, token: FencingToken) -> Result<()> {
        self.to.leader().resign(candidate, token).await
    }

    async fn vacated(&self, bound: Duration) -> Result<()> {
        self.to.leader().vacated(bound).await
    }

    async fn incumbent(&self) -> Result<Option<Incumbent>> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        match self.is_cut.load(Ordering::SeqCst) {
            true => Err(Error::new(ErrorKind::Unavailable, "ask", "memory://").because("connection refused")),
            false => self.to.leader().incumbent().await,
        }
    }
}

#[async_trait]
impl Schedules for Way {
    async fn marks(&self) -> Result<Vec<(QueueName, Mark)>> {
        self.to.schedules().marks().await
    }

    async fn entries(&self, queue: &QueueName, after: Option<&EntryName>, count: usize) -> Result<Vec<StoredEntry>> {
        self.to.schedules().entries(queue, after, count).await
    }

    async fn put(&self, author: Author, id: &EntryId, text: &str) -> Result<Written> {
        self.to.schedules().put(author, id, text).await
    }

    async fn remove(&self, author: Author, id: &EntryId) -> Result<Written> {
        self.to.schedules().remove(author, id).await
    }

    async fn pause(&self, id: &EntryId) -> Result<bool> {
        self.to.schedules().pause(id).await
    }

    async fn resume(&self, id: &EntryId) -> Result<bool> {
        self.to.schedules().resume(id).await
    }

    async fn fire(&self, token: FencingToken, queue: &QueueName, ticks: &[Tick]) -> Result<Vec<Fired>> {
        self.to.schedules().fire(token, queue, ticks).await
    }
}

#[async_trait]
impl Documents for Way {
    async fn read(&self, id: &DocumentId) -> Result<Option<Document>> {
        self.to.documents().read(id).await
    }

    async fn save(&self, id: &DocumentId, expected: Option<Version>, text: &str) -> Result<Saved> {
        self.to.documents().save(id, expected, text).await
    }

    async fn forget(&self, id: &DocumentId, expected: Version) -> Result<bool> {
        self.to.documents().forget(id, expected).await
    }

    async fn list(&self, queue: &QueueName, after: Option<&DocumentName>, count: usize) -> Result<Vec<Document>> {
        self.to.documents().list(queue, after, count).await
    }
}
