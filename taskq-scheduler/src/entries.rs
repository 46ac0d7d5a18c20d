//! The entries of a broker, for programs that change them at run time.

use taskq_core::{
    Author, Connection, EntryId, EntryName, Error, ErrorKind, QueueName, Result, StoredEntry, Written, limits,
};

use crate::Entry;

/// Puts, pauses and removes entries at run time. Whichever scheduler leads notices within a second.
///
/// ```
/// # async fn example(connection: taskq_core::Connection) -> taskq_core::Result<()> {
/// use std::time::Duration;
/// use taskq_core::{EntryId, Invocation};
/// use taskq_scheduler::{Entries, Entry, every};
///
/// let entries = Entries::of(&connection);
/// let poll = Invocation::named("poll", &serde_json::json!({"shop": 7})).queue("shops");
/// let id: EntryId = entries.put(Entry::new("poll-7", every(Duration::from_secs(60))?, poll)).await?;
/// entries.pause(&id).await?;
/// entries.remove(&id).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Entries(Connection);

impl Entries {
    /// The entries of the broker of this connection.
    pub fn of(connection: &Connection) -> Self {
        Self(connection.clone())
    }

    /// Adds an entry, or replaces one that was put at run time before; it keeps its cursor and stays paused.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for an entry that is refused, or one of a program or configuration file.
    pub async fn put(&self, entry: Entry) -> Result<EntryId> {
        let (id, text) = entry.written(&self.0)?;
        let written = self.0.schedules().put(Author::RunTime, &id, &text).await?;
        own("put entry", &id, written).map(|()| id)
    }

    /// Forgets an entry that was put at run time. Tasks that it enqueued stay. An unknown one is no error.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for one of a program or configuration file: it would come back. Pause it.
    pub async fn remove(&self, id: &EntryId) -> Result<()> {
        own("remove entry", id, self.0.schedules().remove(Author::RunTime, id).await?)
    }

    /// Stops an entry, wherever it comes from, until it is resumed. False if there is none.
    pub async fn pause(&self, id: &EntryId) -> Result<bool> {
        self.0.schedules().pause(id).await
    }

    /// Lets a paused entry go on; what it would have fired meanwhile is not caught up with. False if there is none.
    pub async fn resume(&self, id: &EntryId) -> Result<bool> {
        self.0.schedules().resume(id).await
    }

    /// A page of a queue's entries by name, after the last name of the page before. An empty one is the end.
    pub async fn page(&self, queue: &QueueName, after: Option<&EntryName>) -> Result<Vec<StoredEntry>> {
        self.0.schedules().entries(queue, after, limits::MAX_PAGE).await
    }
}

fn own(operation: &'static str, id: &EntryId, written: Written) -> Result<()> {
    match written {
        // No token was shown that could be refused.
        Written::Applied | Written::Fenced => Ok(()),
        Written::Foreign(origin) => {
            let why = format!("it comes from {origin:?}; change it there, or pause it");
            Err(Error::new(ErrorKind::InvalidInput, operation, id).because(why))
        }
    }
}
