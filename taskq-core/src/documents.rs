//! The contract for documents: small texts that programs keep at the broker, each changed only by whoever has seen its
//! present version.
//!
//! # Nobody overwrites what they have not seen
//!
//! A program reads a document, computes the next text, and saves it with the version that it has read. If somebody else
//! saved in between, nothing changes, and the program reads again and computes anew:
//!
//! ```
//! use taskq_core::{Connection, DocumentId, Result, Saved};
//!
//! # async fn example(connection: &Connection, id: &DocumentId) -> Result<()> {
//! let documents = connection.documents();
//! loop {
//!     let found = documents.read(id).await?;
//!     let count: u64 = found.as_ref().and_then(|found| found.text.parse().ok()).unwrap_or(0);
//!     let expected = found.map(|found| found.version);
//!     if let Saved::Applied(_) = documents.save(id, expected, &(count + 1).to_string()).await? {
//!         return Ok(());
//!     }
//! }
//! # }
//! ```
//!
//! A version is given once in a queue and never comes back, also not after its document was forgotten and another one of
//! its name was made. So whoever was away for long and wakes up with an old version changes nothing.
//!
//! # A lost answer
//!
//! The answer of [`Documents::save`] can be lost, so the call is repeated. Then it finds the version that it has made
//! itself, and answers [`Saved::Changed`] with that. A caller cannot tell this from somebody else's text by the version, so
//! it reads again, as it does after every `Changed`. Where a second application would do harm, as in the counter above, the
//! text has to say what has been applied: the id of the attempt, say.

use std::fmt;

use async_trait::async_trait;

use crate::{
    clock::Timestamp,
    error::{Error, ErrorKind, Result},
    id::{QueueName, name_type},
    limits,
};

/// Keeps documents, each in a queue.
///
/// Every method is one atomic step of the queue. Documents are no tasks: a purge leaves them alone, and they are kept
/// until they are forgotten. A broker keeps their texts as they are and does not read them.
#[async_trait]
pub trait Documents: fmt::Debug + Send + Sync {
    /// The document, if there is one.
    async fn read(&self, id: &DocumentId) -> Result<Option<Document>>;

    /// Replaces the text of a document that is at `expected`, or makes one where there is none and none is expected.
    ///
    /// Repeating a call whose answer was lost answers [`Saved::Changed`] with the version that it made: read again.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] for a text over [`limits::MAX_DOCUMENT_TEXT`], and for a new document in a queue that has
    /// [`limits::MAX_DOCUMENTS`]. [`ErrorKind::Full`] if the broker has no room.
    async fn save(&self, id: &DocumentId, expected: Option<Version>, text: &str) -> Result<Saved>;

    /// Forgets a document that is at `expected`. True if there is none afterwards, so an unknown one is forgotten already,
    /// and repeating the call is harmless; false if it is at another version, and nothing changed.
    async fn forget(&self, id: &DocumentId, expected: Version) -> Result<bool>;

    /// Documents of a queue by name, at most `count`, after `after` (the last of the page before). An empty page is the
    /// end; a shorter one need not be, for brokers bound the bytes of a page.
    ///
    /// Nothing over [`limits::MAX_PAGE`] is answered.
    async fn list(&self, queue: &QueueName, after: Option<&DocumentName>, count: usize) -> Result<Vec<Document>>;
}

name_type!(
    /// The name of a document within its queue.
    DocumentName,
    "document name"
);

/// A document's name and the queue that it lives in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentId {
    /// The queue.
    pub queue: QueueName,
    /// The name within the queue.
    pub name: DocumentName,
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.queue, self.name)
    }
}

/// Which text of a document: each that is saved in a queue has a greater one than all before. They are not consecutive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A document as a broker keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its name and queue.
    pub id: DocumentId,
    /// What saving and forgetting it has to name.
    pub version: Version,
    /// The text, as it was saved.
    pub text: String,
    /// When it was saved, by the broker's clock.
    pub written_at: Timestamp,
}

/// Whether a text was saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// It was, and this is its version.
    Applied(Version),
    /// The document was at another version, namely this one, or there was none; nothing changed.
    Changed(Option<Version>),
}

/// For brokers: refuses a text that is too long to keep.
pub fn check_size(id: &DocumentId, text: &str) -> Result<()> {
    if text.len() <= limits::MAX_DOCUMENT_TEXT {
        return Ok(());
    }
    let why = format!("its text has {} bytes; the limit is {}", text.len(), limits::MAX_DOCUMENT_TEXT);
    Err(Error::new(ErrorKind::TooLarge, "save document", id).because(why))
}

/// For brokers: what a new document is told in a queue that has as many as it may.
pub fn too_many(id: &DocumentId) -> Error {
    let cure = format!("the queue has {} documents; forget some, or use another queue", limits::MAX_DOCUMENTS);
    Error::new(ErrorKind::TooLarge, "save document", id).because(cure)
}
