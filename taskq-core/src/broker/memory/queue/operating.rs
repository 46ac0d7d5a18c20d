//! What people change: they cancel, purge and pause, run now, replay and drop.

use crate::{
    broker::CancelAnswer,
    clock::Timestamp,
    control::{Purge, PurgeAnswer},
    id::TaskKey,
    state::State,
};

use super::{Live, MemoryQueue, Place};

impl MemoryQueue {
    pub(in super::super) fn cancel(&mut self, now: Timestamp, key: &TaskKey) -> CancelAnswer {
        let known = self.knows(key);
        match self.live.get_mut(key) {
            Some(live) if matches!(live.place, Place::Running { .. }) => {
                live.cancel_requested = true;
                CancelAnswer::Requested
            }
            Some(_) => match self.end_unstarted(now, key) {
                State::Expired => CancelAnswer::AlreadyEnded,
                _ => CancelAnswer::Cancelled,
            },
            None if known => CancelAnswer::AlreadyEnded,
            None => CancelAnswer::NotFound,
        }
    }

    /// Ends a task that waits because it is no longer wanted; one whose time was over before is expired.
    fn end_unstarted(&mut self, now: Timestamp, key: &TaskKey) -> State {
        let is_expired = self.live.get(key).and_then(|live| live.expires).is_some_and(|expires| expires <= now);
        let state = if is_expired { State::Expired } else { State::Cancelled };
        self.end_waiting(now, key, state);
        state
    }

    pub(in super::super) fn purge(&mut self, now: Timestamp, what: Purge, limit: usize) -> PurgeAnswer {
        match what {
            Purge::Waiting => self.purge_waiting(now, limit),
            Purge::DeadLetters => self.purge_dead(limit),
        }
    }

    fn purge_waiting(&mut self, now: Timestamp, limit: usize) -> PurgeAnswer {
        let waiting = self.ready.values().chain(self.due.iter().map(|(_, key)| key));
        let keys: Vec<TaskKey> = waiting.take(limit).cloned().collect();
        for key in &keys {
            self.end_unstarted(now, key);
        }
        PurgeAnswer { purged: keys.len(), more: !self.ready.is_empty() || !self.due.is_empty() }
    }

    fn purge_dead(&mut self, limit: usize) -> PurgeAnswer {
        let mut purged = 0;
        while purged < limit && self.dead.pop_first().is_some() {
            purged += 1;
        }
        PurgeAnswer { purged, more: !self.dead.is_empty() }
    }

    pub(in super::super) fn run_now(&mut self, key: &TaskKey) -> bool {
        let Some(Place::Due { at, .. }) = self.live.get(key).map(|live| &live.place) else {
            return false;
        };
        self.due.remove(&(*at, key.clone()));
        self.make_ready_last(key);
        true
    }

    pub(in super::super) fn pause(&mut self, now: Timestamp) -> bool {
        let changes = self.paused_at.is_none();
        self.paused_at = self.paused_at.or(Some(now));
        changes
    }

    pub(in super::super) fn resume(&mut self) -> bool {
        self.paused_at.take().is_some()
    }

    pub(in super::super) fn replay(&mut self, now: Timestamp, key: &TaskKey) -> bool {
        let Some(place) = self.dead_entry(key).map(|(place, _)| place.clone()) else {
            return false;
        };
        let Some(dead) = self.dead.remove(&place) else {
            return false;
        };
        let mut envelope = dead.envelope;
        envelope.begin_again(now);
        let place = Place::Ready { position: 0 };
        let live = Live { envelope, place, deliveries: 0, expires: None, cancel_requested: false };
        self.live.insert(key.clone(), live);
        self.make_ready_last(key);
        true
    }

    pub(in super::super) fn drop_dead(&mut self, key: &TaskKey) -> bool {
        match self.dead_entry(key).map(|(place, _)| place.clone()) {
            Some(place) => self.dead.remove(&place).is_some(),
            None => false,
        }
    }
}
