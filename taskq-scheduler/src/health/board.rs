//! [`Board`]: every check of a broker and how its target is, for people who look at it and add checks at run time.

use std::{collections::BTreeMap, time::Duration};

use taskq_core::{
    Connection, DocumentName, EntryId, EntryName, EntryOrigin, Error, Invocation, QueueName, Result, Retry, Timestamp,
    limits,
};

use super::{
    check::Check,
    monitor::{LookArgs, LookTask, QUEUE, document_id},
    record::{Health, Record},
};
use crate::{Entries, Entry, EntryView, Misfire, Overlap, every};

/// The checks of a broker.
#[derive(Clone, Debug)]
pub struct Board(Connection);

/// A check, and how its target is.
#[derive(Debug)]
pub struct BoardRow {
    /// Its name.
    pub name: EntryName,
    /// Where it comes from.
    pub origin: EntryOrigin,
    /// Whether it is stopped until it is resumed.
    pub is_paused: bool,
    /// Time between two looks, if that can be read.
    pub every: Option<String>,
    /// How the target is now.
    pub health: Health,
    /// What is known of it; nothing if nobody has looked yet.
    pub record: Option<Record>,
}

impl Check {
    /// The entry by which a check of the configuration becomes a task at every interval.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](taskq_core::ErrorKind::InvalidInput) for a name that a check cannot have.
    pub fn entry(&self, name: &str) -> Result<Entry> {
        self.entry_of(LookArgs { check: name.to_owned(), added: None })
    }

    fn entry_of(&self, args: LookArgs) -> Result<Entry> {
        if args.check.len() > limits::MAX_ALERT_NAME {
            let cure = format!("use at most {} bytes", limits::MAX_ALERT_NAME);
            return Err(Error::invalid("health check", format!("\"{}\"", args.check.escape_debug()), cure));
        }
        let (name, schedule) = (args.check.clone(), every(self.every)?);
        // A worker that does not know it fails, and another one may not. It is tried until the next look is due: then it
        // expires.
        let look = Invocation::<LookTask>::new(&args)
            .retry(Retry::exponential().base(Duration::from_millis(500)).cap(Duration::from_secs(60)).attempts(1_000))
            .timeout(self.timeout + limits::LOOK_MARGIN)
            .expires_in(self.every)
            .result_ttl(limits::LOOK_RESULT_TTL);
        let grace = self.every.min(limits::DEFAULT_GRACE);
        Ok(Entry::new(name, schedule, look).misfire(Misfire::Skip).grace(grace).overlap(Overlap::Skip))
    }
}

impl Board {
    /// The checks of the broker of this connection.
    pub fn of(connection: &Connection) -> Self {
        Self(connection.clone())
    }

    /// Every check by name, with how its target is by the broker's present time.
    ///
    /// # Errors
    /// If the broker cannot be asked.
    pub async fn rows(&self) -> Result<Vec<BoardRow>> {
        let now = self.0.broker().now().await?;
        let mut records = self.records().await?;
        let entries = self.entries().await?;
        let row = |view: EntryView| {
            let record = records.remove(view.id().name.as_str());
            BoardRow {
                name: view.id().name.clone(),
                origin: view.origin(),
                is_paused: view.is_paused(),
                every: view.schedule().map(ToString::to_string),
                health: record.as_ref().map_or(Health::Unknown, |record| record.health_at(now)),
                record,
            }
        };
        Ok(entries.into_iter().map(row).collect())
    }

    /// The broker's present time.
    ///
    /// # Errors
    /// If the broker cannot be asked.
    pub async fn now(&self) -> Result<Timestamp> {
        self.0.broker().now().await
    }

    async fn entries(&self) -> Result<Vec<EntryView>> {
        let entries = Entries::of(&self.0);
        let (queue, mut all, mut after) = (QueueName::new(QUEUE)?, Vec::new(), None);
        loop {
            let page = entries.page(&queue, after.as_ref()).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id().name.clone());
            all.extend(page.into_iter().filter(is_look));
        }
        Ok(all)
    }

    async fn records(&self) -> Result<BTreeMap<String, Record>> {
        let (queue, mut all) = (QueueName::new(QUEUE)?, BTreeMap::new());
        let mut after: Option<DocumentName> = None;
        loop {
            let page = self.0.documents().list(&queue, after.as_ref(), limits::MAX_PAGE).await?;
            let Some(last) = page.last() else { return Ok(all) };
            after = Some(last.id.name.clone());
            for document in page {
                match Record::read(&document.text) {
                    Ok(record) => drop(all.insert(document.id.name.to_string(), record)),
                    Err(error) => tracing::error!(check = %document.id.name, %error, "its health cannot be read"),
                }
            }
        }
    }

    /// Adds a check at run time, or replaces one that was added so. Workers look only where their own configuration allows
    /// it: `security.check_targets`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](taskq_core::ErrorKind::InvalidInput) for a name that cannot be, or one of a check of the configuration.
    pub async fn put(&self, name: &str, check: &Check) -> Result<EntryId> {
        let args = LookArgs { check: name.to_owned(), added: Some(Box::new(check.clone())) };
        Entries::of(&self.0).put(check.entry_of(args)?).await
    }

    /// Removes a check that was added at run time, and what is known of its target.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](taskq_core::ErrorKind::InvalidInput) for one of the configuration: take it out of there.
    pub async fn remove(&self, name: &str) -> Result<()> {
        let id = EntryId { queue: QueueName::new(QUEUE)?, name: EntryName::new(name)? };
        Entries::of(&self.0).remove(&id).await?;
        self.forget(name).await
    }

    /// Forgets what is known of targets that no check looks at any more; says of how many.
    ///
    /// # Errors
    /// If the broker cannot be asked.
    pub async fn tidy(&self) -> Result<usize> {
        let known: std::collections::BTreeSet<_> =
            self.entries().await?.into_iter().map(|view| view.id().name.to_string()).collect();
        let gone: Vec<_> = self.records().await?.into_keys().filter(|name| !known.contains(name)).collect();
        for name in &gone {
            self.forget(name).await?;
        }
        Ok(gone.len())
    }

    async fn forget(&self, name: &str) -> Result<()> {
        let (documents, id) = (self.0.documents(), document_id(name)?);
        // A look that is under way may write once more; whoever looks at the board next time tidies up.
        match documents.read(&id).await? {
            Some(found) => documents.forget(&id, found.version).await.map(drop),
            None => Ok(()),
        }
    }
}

/// Other entries may use the queue too.
fn is_look(view: &EntryView) -> bool {
    use taskq_core::Task;
    view.task().is_none_or(|task| task.as_str() == LookTask::NAME)
}

impl BoardRow {
    /// Since when it is so, if somebody has looked.
    pub fn since(&self) -> Option<Timestamp> {
        self.record.as_ref().map(|record| record.since)
    }
}
