//! What happened: the rules of [`Events`](crate::Events), in plain Rust.

use std::collections::VecDeque;

use crate::{
    clock::Timestamp,
    events::{Cursor, Event, EventPage},
    limits,
};

/// The stream of a namespace.
#[derive(Debug, Default)]
pub(super) struct MemoryEvents {
    /// Each with the time at which it came.
    kept: VecDeque<(Timestamp, Cursor, Event)>,
}

impl MemoryEvents {
    pub(super) fn publish(&mut self, now: Timestamp, events: &[Event]) {
        if self.is_over(now) {
            self.kept.clear();
        }
        for event in events {
            let place = match self.kept.back() {
                Some((_, last, _)) => Cursor { number: last.number + 1, ..*last },
                None => Cursor { begun_at: now, number: 1 },
            };
            self.kept.push_back((now, place, event.clone()));
        }
        // Twice as many as came, so that old ones cannot pile up.
        let is_old = |(at, ..): &&(Timestamp, Cursor, Event)| *at + limits::EVENT_TTL <= now;
        let old = self.kept.iter().take(2 * events.len()).take_while(is_old).count();
        let surplus = self.kept.len().saturating_sub(limits::MAX_EVENTS);
        self.kept.drain(..old.max(surplus));
    }

    pub(super) fn read(&self, now: Timestamp, after: Option<Cursor>, count: usize) -> EventPage {
        let Some(last) = self.last(now) else { return EventPage::default() };
        let from = after.filter(|after| *after <= last);
        let wanted = self.kept.iter().filter(|(_, place, _)| from.is_none_or(|from| *place > from));
        EventPage::new(after, wanted.take(count).map(|(_, place, event)| (*place, event.clone())).collect())
    }

    pub(super) fn last(&self, now: Timestamp) -> Option<Cursor> {
        self.kept.back().filter(|_| !self.is_over(now)).map(|(_, place, _)| *place)
    }

    /// Whether all of it is forgotten: then the next event begins a stream of its own.
    fn is_over(&self, now: Timestamp) -> bool {
        self.kept.back().is_none_or(|(at, ..)| *at + limits::EVENT_TTL <= now)
    }
}
