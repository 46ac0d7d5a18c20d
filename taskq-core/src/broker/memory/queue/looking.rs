//! What is to be seen of a queue. Looking changes nothing.

use std::{cmp::Reverse, time::Duration};

use crate::{
    broker::Snapshot,
    clock::Timestamp,
    envelope::Envelope,
    id::{TaskId, TaskKey},
    inspect::{Counts, PageToken, QueueView, Shelf, TaskPage, TaskView},
    limits,
    state::State,
};

use super::{Dead, Live, MemoryQueue, Place, untracked};

impl MemoryQueue {
    pub(in super::super) fn find(&self, now: Timestamp, key: &TaskKey) -> Option<Snapshot> {
        if let Some(live) = self.live.get(key) {
            return Some(live.snapshot(now)).filter(|snapshot| is_kept(key, snapshot.state));
        }
        if let Some(ended) = self.ended.get(key) {
            return Some(Snapshot {
                attempts: ended.attempts,
                result: ended.result.clone(),
                ended_at: Some(ended.at),
                ..Snapshot::new(ended.state)
            });
        }
        self.dead_entry(key).map(|((died, _), dead)| Snapshot {
            attempts: dead.envelope.attempts,
            reason: Some(dead.reason),
            last_error: Some(dead.envelope.last_words(dead.reason)),
            ended_at: Some(*died),
            ..Snapshot::new(State::Dead)
        })
    }

    pub(super) fn dead_entry(&self, key: &TaskKey) -> Option<(&(Timestamp, TaskKey), &Dead)> {
        self.dead.iter().find(|((_, dead_key), _)| dead_key == key)
    }

    pub(in super::super) fn live(&self) -> impl Iterator<Item = &Envelope> {
        self.live.values().map(|live| &live.envelope)
    }

    pub(in super::super) fn has_work(&self, now: Timestamp) -> bool {
        self.paused_at.is_none() && (!self.ready.is_empty() || self.due.first().is_some_and(|(at, _)| *at <= now))
    }

    pub(in super::super) fn next_due(&self, now: Timestamp) -> Option<Duration> {
        self.due.first().filter(|_| self.paused_at.is_none()).map(|(at, _)| at.since(now))
    }

    pub(in super::super) fn counts(&self) -> Counts {
        let mut counts = Counts { dead: self.dead.len() as u64, ..Counts::default() };
        for live in self.live.values() {
            match live.place {
                Place::Due { retrying: false, .. } => counts.scheduled += 1,
                Place::Due { retrying: true, .. } => counts.retrying += 1,
                Place::Ready { .. } => counts.ready += 1,
                Place::Running { .. } => counts.running += 1,
            }
        }
        counts
    }

    pub(in super::super) fn view(&self, now: Timestamp) -> QueueView {
        let heads = self.ready.values().filter_map(|key| self.live.get(key)?.envelope.due_since());
        QueueView {
            counts: self.counts(),
            paused_at: self.paused_at,
            oldest_ready: heads.min(),
            next_due: self.due.first().map(|(at, _)| *at),
            workers: self.leases.values().filter(|lease| lease.expires > now).count() as u64,
        }
    }

    /// A page begins after so many of its shelf: nothing here is so large that counting them would matter.
    pub(in super::super) fn tasks(
        &self,
        now: Timestamp,
        shelf: Shelf,
        after: Option<&PageToken>,
        count: usize,
    ) -> TaskPage {
        if shelf == Shelf::Dead {
            return self.dead_page(after.and_then(PageToken::key).as_ref(), count);
        }
        let skipped: usize = after.and_then(|token| token.0.parse().ok()).unwrap_or(0);
        let keys = self.keys_on(shelf);
        let behind = keys.iter().copied().skip(skipped);
        let page = shortened(behind.take(count), |key| self.live.get(*key).map_or(0, |live| bytes_of(&live.envelope)));
        let next = (skipped + page.len() < keys.len()).then(|| token(skipped + page.len()));
        TaskPage { tasks: page.into_iter().filter_map(|key| self.live_view(now, key)).collect(), next }
    }

    /// Behind a letter that is gone pages begin anew.
    fn dead_page(&self, after: Option<&TaskKey>, count: usize) -> TaskPage {
        let start = after.and_then(|after| self.dead.keys().position(|(_, key)| key == after)).map_or(0, |at| at + 1);
        let page = shortened(self.dead.iter().skip(start).take(count), |(_, dead)| bytes_of(&dead.envelope));
        let tasks: Vec<TaskView> =
            page.into_iter().map(|((died_at, key), dead)| self.letter(*died_at, key, dead)).collect();
        let more = start + tasks.len() < self.dead.len();
        TaskPage { next: tasks.last().filter(|_| more).map(|last| PageToken::behind(&last.id.key)), tasks }
    }

    fn keys_on(&self, shelf: Shelf) -> Vec<&TaskKey> {
        let due = |wanted: bool| {
            let is_wanted = move |live: &Live| matches!(live.place, Place::Due { retrying, .. } if retrying == wanted);
            self.due.iter().map(|(_, key)| key).filter(move |key| self.live.get(*key).is_some_and(is_wanted)).collect()
        };
        match shelf {
            Shelf::Ready => self.ready.values().collect(),
            Shelf::Scheduled => due(false),
            Shelf::Retrying => due(true),
            Shelf::Running => {
                let running = self.live.iter().filter(|(_, live)| matches!(live.place, Place::Running { .. }));
                running.map(|(key, _)| key).collect()
            }
            Shelf::Dead => self.dead.keys().map(|(_, key)| key).collect(),
        }
    }

    fn live_view(&self, now: Timestamp, key: &TaskKey) -> Option<TaskView> {
        let live = self.live.get(key)?;
        Some(TaskView {
            id: TaskId::new(self.name.clone(), key.clone()),
            snapshot: live.snapshot(now),
            envelope: Some(live.envelope.clone()),
            deliveries: live.deliveries,
            ahead: None,
        })
    }

    pub(in super::super) fn task(&self, now: Timestamp, key: &TaskKey) -> Option<TaskView> {
        if let Some(((died_at, _), dead)) = self.dead_entry(key) {
            return Some(self.letter(*died_at, key, dead));
        }
        let snapshot = self.find(now, key).or_else(|| untracked(key))?;
        let kept_whole = Shelf::of(snapshot.state).is_some();
        Some(match self.live_view(now, key).filter(|_| kept_whole) {
            Some(view) => TaskView { ahead: self.ahead(key), ..view },
            None => TaskView::of_what_ended(TaskId::new(self.name.clone(), key.clone()), snapshot),
        })
    }

    fn ahead(&self, key: &TaskKey) -> Option<u64> {
        let live = self.live.get(key)?;
        let Place::Ready { position } = live.place else { return None };
        let priority = Reverse(live.envelope.priority);
        Some(self.ready.range((priority, i64::MIN)..(priority, position)).count() as u64)
    }

    pub(in super::super) fn unique_holder(&self, now: Timestamp, unique: &str) -> Option<TaskKey> {
        let holder = self.unique.get(unique).filter(|holder| holder.until.is_none_or(|until| until > now));
        holder.map(|holder| holder.key.clone())
    }

    fn letter(&self, died_at: Timestamp, key: &TaskKey, dead: &Dead) -> TaskView {
        let id = TaskId::new(self.name.clone(), key.clone());
        TaskView::of_dead(id, Some(dead.envelope.clone()), dead.reason, died_at)
    }
}

fn token(skipped: usize) -> PageToken {
    PageToken(skipped.to_string())
}

impl Live {
    fn snapshot(&self, now: Timestamp) -> Snapshot {
        let expired = self.expires.is_some_and(|expires| expires <= now);
        let base = Snapshot { attempts: self.envelope.attempts, ..Snapshot::new(State::Ready) };
        match &self.place {
            Place::Running { owner, progress, .. } => {
                Snapshot { state: State::Running, owner: Some(*owner), progress: progress.clone(), ..base }
            }
            _ if expired => Snapshot { state: State::Expired, ended_at: self.expires, ..base },
            Place::Ready { .. } => base,
            Place::Due { at, retrying } => Snapshot {
                state: if *retrying { State::Retrying } else { State::Scheduled },
                due: Some(*at),
                last_error: self.envelope.last_error().map(str::to_owned),
                ..base
            },
        }
    }
}

/// As many as a page has room for.
fn shortened<V>(found: impl Iterator<Item = V>, bytes: impl Fn(&V) -> usize) -> Vec<V> {
    let (mut page, mut taken) = (Vec::new(), 0);
    for one in found {
        taken += bytes(&one);
        page.push(one);
        if taken >= limits::PAGE_BYTES {
            break;
        }
    }
    page
}

/// Bytes of an envelope as a broker would keep it.
fn bytes_of(envelope: &Envelope) -> usize {
    envelope.encode().len()
}

/// Of an untracked task only these states are kept.
fn is_kept(key: &TaskKey, state: State) -> bool {
    !key.is_untracked() || matches!(state, State::Scheduled | State::Retrying | State::Running | State::Dead)
}
