//! The entries of a broker, for programs that change them at run time.

use taskq_core::{
    AnyTask, Author, Connection, EntryId, EntryName, Error, ErrorKind, FireTime, QueueName, Result, StoredEntry,
    TaskHandle, TaskId, TaskKey, Timestamp, Written, limits, propagator,
};
use tracing::Instrument;

use crate::{Entry, recipe::Recipe, view::EntryView};

/// Puts, pauses, triggers and removes entries at run time, and looks at them. Whichever scheduler leads notices within a second.
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

    /// Every entry, by queue and name.
    pub async fn all(&self) -> Result<Vec<EntryView>> {
        let mut queues: Vec<_> = self.0.schedules().marks().await?.into_iter().map(|(queue, _)| queue).collect();
        queues.sort();
        let mut all = Vec::new();
        for queue in queues {
            let mut last = None;
            loop {
                let page = self.page(&queue, last.as_ref()).await?;
                let Some(entry) = page.last() else { break };
                last = Some(entry.id().name.clone());
                all.extend(page);
            }
        }
        Ok(all)
    }

    /// A page of a queue's entries by name, after the last name of the page before. An empty one is the end.
    pub async fn page(&self, queue: &QueueName, after: Option<&EntryName>) -> Result<Vec<EntryView>> {
        let page = self.0.schedules().entries(queue, after, limits::MAX_PAGE).await?;
        Ok(page.into_iter().map(|stored| self.view(stored)).collect())
    }

    /// One entry.
    pub async fn find(&self, id: &EntryId) -> Result<Option<EntryView>> {
        let mut after = None;
        loop {
            let page = self.0.schedules().entries(&id.queue, after.as_ref(), limits::MAX_PAGE).await?;
            let Some(last) = page.last().map(|stored| stored.id.name.clone()) else { return Ok(None) };
            if last < id.name {
                after = Some(last);
                continue;
            }
            return Ok(page.into_iter().find(|stored| stored.id == *id).map(|stored| self.view(stored)));
        }
    }

    /// Enqueues the task of an entry now, whatever its schedule says, and whether or not it is paused or its last run has
    /// ended. The ticks to come stay as they are.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if there is no such entry; as [`Client::enqueue`](taskq_core::Client::enqueue).
    pub async fn trigger(&self, id: &EntryId) -> Result<TaskHandle<AnyTask>> {
        let recipe = self.recipe("trigger entry", id).await?;
        let key = TaskKey::own(format!("{}+{}", id.name, TaskKey::generate()))?;
        let span = propagator::tick(&self.0, &id.queue, id);
        let envelope = recipe.now(&self.0, TaskId::new(id.queue.clone(), key), &span)?;
        self.0.client().enqueue_envelope(envelope, self.0.durability()).instrument(span).await
    }

    /// Enqueues a task for each fire time of an entry that is later than `after` and not later than `until`, both of them
    /// past: for what was not scheduled then, or ran and was wrong. They start at once, in their order, without jitter.
    ///
    /// Each has the id of its tick. So a tick whose task is still known, as it ran a short time ago or was backfilled
    /// before, is not run again: its handle says that it was not created.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if there is no such entry, the range is not past, or it has more than
    /// [`limits::MAX_CATCH_UP`] fire times; as [`Client::enqueue`](taskq_core::Client::enqueue). What was enqueued before
    /// the error stays, and the same call again goes on.
    pub async fn backfill(&self, id: &EntryId, after: Timestamp, until: Timestamp) -> Result<Vec<TaskHandle<AnyTask>>> {
        let refused = |cure: String| Error::new(ErrorKind::InvalidInput, "backfill entry", id).because(cure);
        if until > self.0.broker().now().await? || after >= until {
            return Err(refused("give it a range in the past, the earlier end first".to_owned()));
        }
        let recipe = self.recipe("backfill entry", id).await?;
        let most = limits::MAX_CATCH_UP as usize;
        let fire_times: Vec<_> = recipe.schedule.between(after, until, most + 1).collect();
        if let Some(first_too_many) = fire_times.get(most) {
            let first_too_many = jiff::Timestamp::from_millisecond(first_too_many.as_millis());
            let end = first_too_many.map(|end| end.to_string()).unwrap_or_default();
            return Err(refused(format!("over {most} fire times; end the range before {end}, and go on from there")));
        }
        let client = self.0.client();
        let mut handles = Vec::with_capacity(fire_times.len());
        for fire_time in fire_times {
            let span = propagator::tick(&self.0, &id.queue, id);
            let id = TaskId::new(id.queue.clone(), id.name.tick_key(FireTime(fire_time)));
            let envelope = recipe.now(&self.0, id, &span)?;
            handles.push(client.enqueue_envelope(envelope, self.0.durability()).instrument(span).await?);
        }
        Ok(handles)
    }

    async fn recipe(&self, operation: &'static str, id: &EntryId) -> Result<Recipe> {
        match self.find(id).await? {
            Some(view) => view.into_recipe(),
            None => Err(Error::new(ErrorKind::InvalidInput, operation, id).because("there is no such entry")),
        }
    }

    fn view(&self, stored: StoredEntry) -> EntryView {
        let recipe = Recipe::read(&self.0, &stored);
        EntryView::new(stored, recipe)
    }
}

fn own(operation: &'static str, id: &EntryId, written: Written) -> Result<()> {
    match written {
        // No token was shown that could be refused.
        Written::Applied | Written::Fenced => Ok(()),
        Written::Foreign(origin) => {
            let why = format!("it comes from {origin}; change it there, or pause it");
            Err(Error::new(ErrorKind::InvalidInput, operation, id).because(why))
        }
    }
}
