//! The documents of one queue: the rules of [`Documents`](crate::Documents), in plain Rust.

use std::{collections::BTreeMap, ops::Bound};

use crate::{
    clock::Timestamp,
    documents::{Document, DocumentId, DocumentName, Saved, Version, too_many},
    error::Result,
    limits,
};

/// What a queue keeps for programs.
#[derive(Debug, Default)]
pub(super) struct MemoryDocuments {
    by_name: BTreeMap<DocumentName, Document>,
    /// How often a text was saved: the last version that was given to any document of the queue.
    saved: u64,
}

impl MemoryDocuments {
    pub(super) fn read(&self, name: &DocumentName) -> Option<Document> {
        self.by_name.get(name).cloned()
    }

    pub(super) fn save(
        &mut self,
        now: Timestamp,
        id: &DocumentId,
        expected: Option<Version>,
        text: &str,
    ) -> Result<Saved> {
        let present = self.version(&id.name);
        if present != expected {
            return Ok(Saved::Changed(present));
        }
        if present.is_none() && self.by_name.len() >= limits::MAX_DOCUMENTS {
            return Err(too_many(id));
        }
        self.saved += 1;
        let version = Version(self.saved);
        let document = Document { id: id.clone(), version, text: text.to_owned(), written_at: now };
        self.by_name.insert(id.name.clone(), document);
        Ok(Saved::Applied(version))
    }

    pub(super) fn forget(&mut self, name: &DocumentName, expected: Version) -> bool {
        let is_gone = self.version(name).is_none_or(|present| present == expected);
        if is_gone {
            self.by_name.remove(name);
        }
        is_gone
    }

    pub(super) fn page(&self, after: Option<&DocumentName>, count: usize) -> Vec<Document> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let documents = self.by_name.range::<DocumentName, _>((from, Bound::Unbounded));
        documents.take(count).map(|(_, document)| document.clone()).collect()
    }

    fn version(&self, name: &DocumentName) -> Option<Version> {
        self.by_name.get(name).map(|document| document.version)
    }
}
