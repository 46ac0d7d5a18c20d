//! The entries of one queue: the rules of [`Schedules`](crate::Schedules), in plain Rust.

use std::{collections::BTreeMap, ops::Bound};

use crate::{
    broker::Accepted,
    clock::Timestamp,
    envelope::Envelope,
    id::QueueName,
    leader::FencingToken,
    schedules::{Author, EntryId, EntryName, EntryOrigin, FireTime, Fired, Mark, StoredEntry, Tick, Written},
};

/// What a queue keeps for schedulers.
#[derive(Debug, Default)]
pub(super) struct MemoryEntries {
    by_name: BTreeMap<EntryName, Kept>,
    /// The greatest token that a leader has shown here.
    seen: FencingToken,
    mark: Mark,
}

#[derive(Debug)]
struct Kept {
    origin: EntryOrigin,
    paused: bool,
    text: String,
    created_at: Timestamp,
    cursor: Timestamp,
    last_fired: Option<FireTime>,
}

impl MemoryEntries {
    /// Its mark, once there was an entry.
    pub(super) fn mark(&self) -> Option<Mark> {
        (self.mark != Mark::default()).then_some(self.mark)
    }

    pub(super) fn page(&self, queue: &QueueName, after: Option<&EntryName>, count: usize) -> Vec<StoredEntry> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let entries = self.by_name.range::<EntryName, _>((from, Bound::Unbounded)).take(count);
        let entry = |(name, kept): (&EntryName, &Kept)| StoredEntry {
            id: EntryId { queue: queue.clone(), name: name.clone() },
            origin: kept.origin,
            paused: kept.paused,
            text: kept.text.clone(),
            created_at: kept.created_at,
            cursor: kept.cursor,
            last_fired: kept.last_fired,
        };
        entries.map(entry).collect()
    }

    pub(super) fn put(&mut self, now: Timestamp, author: Author, name: &EntryName, text: &str) -> Written {
        if let Some(refusal) = self.refusal(author, name) {
            return refusal;
        }
        match self.by_name.get_mut(name) {
            Some(kept) if kept.text == text => return Written::Applied,
            Some(kept) => text.clone_into(&mut kept.text),
            None => {
                let (origin, text) = (author.origin(), text.to_owned());
                let kept = Kept { origin, paused: false, text, created_at: now, cursor: now, last_fired: None };
                self.by_name.insert(name.clone(), kept);
            }
        }
        self.changed();
        Written::Applied
    }

    pub(super) fn remove(&mut self, author: Author, name: &EntryName) -> Written {
        if let Some(refusal) = self.refusal(author, name) {
            return refusal;
        }
        if self.by_name.remove(name).is_some() {
            self.changed();
        }
        Written::Applied
    }

    pub(super) fn pause(&mut self, name: &EntryName) -> bool {
        let Some(kept) = self.by_name.get_mut(name) else { return false };
        if !std::mem::replace(&mut kept.paused, true) {
            self.changed();
        }
        true
    }

    pub(super) fn resume(&mut self, now: Timestamp, name: &EntryName) -> bool {
        let Some(kept) = self.by_name.get_mut(name) else { return false };
        if std::mem::replace(&mut kept.paused, false) {
            kept.cursor = kept.cursor.max(now);
            self.changed();
        }
        true
    }

    /// Moves cursors; `accept` enqueues.
    pub(super) fn fire(
        &mut self,
        now: Timestamp,
        token: FencingToken,
        ticks: &[Tick],
        mut accept: impl FnMut(&Envelope) -> Accepted,
    ) -> Vec<Fired> {
        if self.is_old(token) {
            return vec![Fired::Fenced; ticks.len()];
        }
        ticks.iter().map(|tick| self.fire_one(now, tick, &mut accept)).collect()
    }

    fn fire_one(&mut self, now: Timestamp, tick: &Tick, accept: &mut impl FnMut(&Envelope) -> Accepted) -> Fired {
        let Some(kept) = self.by_name.get_mut(&tick.name) else { return Fired::Unknown };
        if kept.cursor != tick.cursor || tick.fire_time.0 <= kept.cursor {
            return Fired::Moved(kept.cursor);
        }
        if tick.fire_time.0 > now {
            return Fired::Early;
        }
        if kept.paused {
            return Fired::Paused;
        }
        kept.cursor = tick.fire_time.0;
        if !tick.envelopes.is_empty() {
            kept.last_fired = Some(tick.fire_time);
        }
        Fired::Applied(tick.envelopes.iter().map(accept).collect())
    }

    fn refusal(&mut self, author: Author, name: &EntryName) -> Option<Written> {
        if author.token().is_some_and(|token| self.is_old(token)) {
            return Some(Written::Fenced);
        }
        let origin = self.by_name.get(name)?.origin;
        (origin != author.origin()).then_some(Written::Foreign(origin))
    }

    /// Whether a greater token was seen; keeps the greater one.
    fn is_old(&mut self, token: FencingToken) -> bool {
        let is_old = token < self.seen;
        self.seen = token.max(self.seen);
        is_old
    }

    fn changed(&mut self) {
        self.mark.0 += 1;
    }
}
