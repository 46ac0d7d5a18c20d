//! An entry of a broker, for people who look at it.

use std::time::Duration;

use taskq_core::{EntryId, EntryOrigin, Error, FireTime, Payload, StoredEntry, TaskName, Timestamp};

use crate::{Misfire, Overlap, Schedule, recipe::Recipe};

/// An entry as a broker keeps it, read.
#[derive(Debug)]
pub struct EntryView {
    stored: StoredEntry,
    recipe: Result<Recipe, Error>,
}

impl EntryView {
    pub(crate) fn new(stored: StoredEntry, recipe: Result<Recipe, Error>) -> Self {
        Self { stored, recipe }
    }

    pub(crate) fn into_recipe(self) -> Result<Recipe, Error> {
        self.recipe
    }

    /// Its name and queue.
    pub fn id(&self) -> &EntryId {
        &self.stored.id
    }

    /// Where it comes from.
    pub fn origin(&self) -> EntryOrigin {
        self.stored.origin
    }

    /// Whether it is stopped until it is resumed.
    pub fn is_paused(&self) -> bool {
        self.stored.paused
    }

    /// When it was added, by the broker's clock.
    pub fn created_at(&self) -> Timestamp {
        self.stored.created_at
    }

    /// The last tick for which a task was enqueued.
    pub fn last_fired(&self) -> Option<FireTime> {
        self.stored.last_fired
    }

    /// Why it cannot be read, if so: another key is needed, or a newer version wrote it. Such an entry fires nothing.
    pub fn error(&self) -> Option<&Error> {
        self.recipe.as_ref().err()
    }

    /// When it is due.
    pub fn schedule(&self) -> Option<&Schedule> {
        Some(&self.recipe.as_ref().ok()?.schedule)
    }

    /// Which task it enqueues.
    pub fn task(&self) -> Option<&TaskName> {
        Some(&self.recipe.as_ref().ok()?.template.task)
    }

    /// With which arguments. They may be secret.
    pub fn payload(&self) -> Option<&Payload> {
        Some(&self.recipe.as_ref().ok()?.template.payload)
    }

    /// What becomes of ticks that were missed.
    pub fn misfire(&self) -> Option<Misfire> {
        Some(self.recipe.as_ref().ok()?.misfire)
    }

    /// How late a tick may be and is not missed.
    pub fn grace(&self) -> Option<Duration> {
        Some(self.recipe.as_ref().ok()?.grace)
    }

    /// What becomes of a tick while the last run has not ended.
    pub fn overlap(&self) -> Option<Overlap> {
        Some(self.recipe.as_ref().ok()?.overlap)
    }

    /// The next fire times, at most `count`: the first may have passed already if nobody has led since. None of a paused
    /// entry.
    pub fn upcoming(&self, count: usize) -> Vec<Timestamp> {
        match self.schedule() {
            Some(schedule) if !self.stored.paused => schedule.upcoming(self.stored.cursor, count).collect(),
            _ => Vec::new(),
        }
    }
}
