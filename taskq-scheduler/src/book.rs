//! The entries that a leader knows, in the order in which they are due. It knows no broker: who reads them fills it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use taskq_core::{Connection, EntryId, EntryOrigin, FireTime, Mark, QueueName, StoredEntry, Timestamp};

use crate::recipe::Recipe;

/// Every entry, and when to look at which.
#[derive(Default)]
pub(crate) struct Book {
    entries: BTreeMap<EntryId, Planned>,
    agenda: BTreeSet<(Timestamp, EntryId)>,
    marks: BTreeMap<QueueName, Mark>,
}

/// An entry as its leader knows it.
#[derive(Clone)]
pub(crate) struct Planned {
    pub(crate) recipe: Arc<Recipe>,
    pub(crate) origin: EntryOrigin,
    pub(crate) text: Arc<str>,
    pub(crate) cursor: Timestamp,
    pub(crate) last_fired: Option<FireTime>,
    /// Whether ticks wait for the end of the last run.
    pub(crate) is_waiting: bool,
    is_paused: bool,
    /// Where it stands in the agenda.
    at: Option<Timestamp>,
}

impl Book {
    /// The entry as it was read, if it could be read.
    pub(crate) fn get(&self, id: &EntryId) -> Option<&Planned> {
        self.entries.get(id)
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = (&EntryId, &Planned)> {
        self.entries.iter()
    }

    /// Whether the entries of a queue are known as of this mark.
    pub(crate) fn is_known(&self, queue: &QueueName, mark: Mark) -> bool {
        self.marks.get(queue) == Some(&mark)
    }

    /// The next reading of the queue is to happen, whatever its mark.
    pub(crate) fn doubt(&mut self, queue: &QueueName) {
        self.marks.remove(queue);
    }

    /// Takes a queue's entries in place of those it had, as of a mark that was asked for before they were read.
    pub(crate) fn read(&mut self, connection: &Connection, queue: &QueueName, mark: Mark, entries: Vec<StoredEntry>) {
        let before = self.take(queue);
        for entry in entries {
            let known = before.get(&entry.id);
            let recipe = match known.filter(|known| *known.text == *entry.text) {
                Some(known) => Arc::clone(&known.recipe),
                None => match Recipe::read(connection, &entry) {
                    Ok(recipe) => Arc::new(recipe),
                    Err(error) => {
                        tracing::error!(entry = %entry.id, %error, "an entry cannot be read; it fires nothing");
                        continue;
                    }
                },
            };
            let planned = Planned {
                recipe,
                origin: entry.origin,
                text: entry.text.into(),
                cursor: entry.cursor,
                last_fired: entry.last_fired,
                is_waiting: known.is_some_and(|known| known.is_waiting),
                is_paused: entry.paused,
                at: None,
            };
            self.entries.insert(entry.id.clone(), planned);
            self.plan(&entry.id);
        }
        self.marks.insert(queue.clone(), mark);
    }

    fn take(&mut self, queue: &QueueName) -> BTreeMap<EntryId, Planned> {
        let (of_queue, others) = std::mem::take(&mut self.entries).into_iter().partition(|(id, _)| id.queue == *queue);
        self.entries = others;
        self.agenda.retain(|(_, id)| id.queue != *queue);
        of_queue
    }

    /// When to look at the next entry.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.agenda.first().map(|(at, _)| *at)
    }

    /// The entries to look at now, the earliest first, at most `count`. They leave the agenda until they are planned again.
    pub(crate) fn take_due(&mut self, now: Timestamp, count: usize) -> Vec<EntryId> {
        let mut due = Vec::new();
        while due.len() < count && self.next_at().is_some_and(|at| at <= now) {
            let Some((_, id)) = self.agenda.pop_first() else { break };
            if let Some(planned) = self.entries.get_mut(&id) {
                planned.at = None;
            }
            due.push(id);
        }
        due
    }

    /// Puts an entry into the agenda at its next fire time.
    pub(crate) fn plan(&mut self, id: &EntryId) {
        let next = self.entries.get(id).filter(|planned| !planned.is_paused);
        let next = next.and_then(|planned| planned.recipe.schedule.next_after(planned.cursor));
        self.put(id, next);
    }

    /// Puts an entry whose ticks wait into the agenda at another time.
    pub(crate) fn wait_until(&mut self, id: &EntryId, at: Timestamp) {
        if let Some(planned) = self.entries.get_mut(id) {
            planned.is_waiting = true;
        }
        self.put(id, Some(at));
    }

    /// Puts an entry that is in trouble into the agenda at another time.
    pub(crate) fn put_off(&mut self, id: &EntryId, at: Timestamp) {
        self.put(id, Some(at));
    }

    /// The cursor is here.
    pub(crate) fn moved(&mut self, id: &EntryId, cursor: Timestamp, fired: Option<FireTime>) {
        if let Some(planned) = self.entries.get_mut(id) {
            planned.cursor = cursor;
            planned.last_fired = fired.or(planned.last_fired);
            planned.is_waiting = false;
        }
        self.plan(id);
    }

    fn put(&mut self, id: &EntryId, at: Option<Timestamp>) {
        let Some(planned) = self.entries.get_mut(id) else { return };
        if let Some(before) = std::mem::replace(&mut planned.at, at) {
            self.agenda.remove(&(before, id.clone()));
        }
        if let Some(at) = at {
            self.agenda.insert((at, id.clone()));
        }
    }
}
