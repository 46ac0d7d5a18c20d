//! The rules of one queue: every transition of `state.rs`, in plain Rust, one method a step.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use crate::{
    broker::{Accepted, BeatAnswer, ClaimAnswer, Claimed, Ending, Settled, Settlement, Snapshot, SweepAnswer},
    bug::{Bug, Planted},
    clock::Timestamp,
    codec::Payload,
    context::Progress,
    envelope::Envelope,
    error::{Error, ErrorKind, Result},
    id::{BatchId, ClaimNumber, DeliveryToken, Owner, QueueName, TaskKey},
    invocation::{Expiry, OnConflict, Start, UniqueKey, UniqueUntil},
    leader::FencingToken,
    limits,
    schedules::{Fired, Tick},
    state::{DeadReason, State},
};

use super::{documents::MemoryDocuments, entries::MemoryEntries, logs::MemoryLogs};

mod looking;
mod operating;

/// How long the ids of enqueue calls are remembered: far longer than any call is repeated.
const BATCH_MEMORY: Duration = Duration::from_secs(3_600);

/// One queue: what waits, what runs, what ended.
#[derive(Debug)]
pub(super) struct MemoryQueue {
    name: QueueName,
    planted: Planted,
    live: BTreeMap<TaskKey, Live>,
    /// Ready tasks in the order to hand them out: priority 9 first, then the smallest place.
    ready: BTreeMap<(Reverse<u8>, i64), TaskKey>,
    due: BTreeSet<(Timestamp, TaskKey)>,
    ended: HashMap<TaskKey, Ended>,
    ended_by_age: BTreeSet<(Timestamp, TaskKey)>,
    dead: BTreeMap<(Timestamp, TaskKey), Dead>,
    unique: HashMap<String, UniqueHolder>,
    leases: BTreeMap<Owner, Lease>,
    /// Up to which number the claims of an owner are over, where it has asked what it holds.
    overtaken: BTreeMap<Owner, ClaimNumber>,
    batches: HashMap<BatchId, Timestamp>,
    pub(super) entries: MemoryEntries,
    pub(super) documents: MemoryDocuments,
    /// Since when nothing of it is handed out, if it is paused.
    paused_at: Option<Timestamp>,
    pub(super) logs: MemoryLogs,
    last_token: u64,
    front: i64,
    back: i64,
}

/// A task that has not ended.
#[derive(Debug)]
struct Live {
    envelope: Envelope,
    place: Place,
    deliveries: u8,
    expires: Option<Timestamp>,
    cancel_requested: bool,
}

#[derive(Debug)]
enum Place {
    Due { at: Timestamp, retrying: bool },
    Ready { position: i64 },
    Running { owner: Owner, token: DeliveryToken, progress: Option<Progress> },
}

/// A worker's right to what it holds.
#[derive(Clone, Copy, Debug)]
struct Lease {
    expires: Timestamp,
    /// How long each renewal lasts.
    length: Duration,
}

/// What is kept of a task that ended, until `forget_at`.
#[derive(Debug)]
struct Ended {
    state: State,
    attempts: u32,
    result: Option<Payload>,
    at: Timestamp,
    token: Option<DeliveryToken>,
}

#[derive(Debug)]
struct Dead {
    envelope: Envelope,
    reason: DeadReason,
}

#[derive(Debug)]
struct UniqueHolder {
    key: TaskKey,
    /// Until when, for keys that are held for a time; `None` for those that their task frees.
    until: Option<Timestamp>,
}

/// What is known of a key that no broker keeps: nothing, or that it is untracked.
pub(super) fn untracked(key: &TaskKey) -> Option<Snapshot> {
    key.is_untracked().then(|| Snapshot::new(State::Untracked))
}

impl MemoryQueue {
    pub(super) fn new(name: QueueName, planted: Planted) -> Self {
        Self {
            name,
            planted,
            live: BTreeMap::new(),
            ready: BTreeMap::new(),
            due: BTreeSet::new(),
            ended: HashMap::new(),
            ended_by_age: BTreeSet::new(),
            dead: BTreeMap::new(),
            unique: HashMap::new(),
            leases: BTreeMap::new(),
            overtaken: BTreeMap::new(),
            batches: HashMap::new(),
            entries: MemoryEntries::default(),
            documents: MemoryDocuments::default(),
            paused_at: None,
            logs: MemoryLogs::default(),
            last_token: 0,
            front: 0,
            back: 0,
        }
    }

    // Entering ---------------------------------------------------------------------------------------------

    pub(super) fn enqueue(&mut self, now: Timestamp, batch: BatchId, envelopes: &[Envelope]) -> Vec<Accepted> {
        self.batches.retain(|_, forget_at| *forget_at > now);
        if self.batches.insert(batch, now + BATCH_MEMORY).is_some() {
            return vec![Accepted::Duplicate; envelopes.len()];
        }
        envelopes.iter().map(|envelope| self.accept(now, envelope)).collect()
    }

    /// Accepts what ticks bring, each together with the move of its cursor.
    pub(super) fn fire(&mut self, now: Timestamp, token: FencingToken, ticks: &[Tick]) -> Vec<Fired> {
        let mut entries = std::mem::take(&mut self.entries);
        let fired = entries.fire(now, token, ticks, |envelope| self.accept(now, envelope));
        self.entries = entries;
        fired
    }

    fn accept(&mut self, now: Timestamp, envelope: &Envelope) -> Accepted {
        if envelope.own_id && self.knows(&envelope.id.key) {
            return Accepted::Duplicate;
        }
        let replaced = match &envelope.unique {
            Some(unique) => match self.take_unique(now, unique, &envelope.id.key) {
                Ok(replaced) => replaced,
                Err(holder) => return Accepted::Held(holder),
            },
            None => None,
        };
        self.insert(now, envelope);
        replaced.map_or(Accepted::Created, Accepted::Replaced)
    }

    fn knows(&self, key: &TaskKey) -> bool {
        self.live.contains_key(key) || self.ended.contains_key(key) || self.dead_entry(key).is_some()
    }

    /// Takes a unique key for `key`; says whom it replaced, or who keeps holding it.
    fn take_unique(&mut self, now: Timestamp, unique: &UniqueKey, key: &TaskKey) -> Result<Option<TaskKey>, TaskKey> {
        let holder = self.unique.get(&unique.key).filter(|holder| holder.until.is_none_or(|until| until > now));
        let mut replaced = None;
        if let Some(UniqueHolder { key: holder, .. }) = holder {
            let holder = holder.clone();
            let waits = self.live.get(&holder).is_some_and(|live| !matches!(live.place, Place::Running { .. }));
            if unique.on_conflict == OnConflict::Skip || !waits {
                return Err(holder);
            }
            self.end_waiting(now, &holder, State::Cancelled);
            replaced = Some(holder);
        }
        let until = match unique.until {
            UniqueUntil::After(duration) => Some(now + duration),
            UniqueUntil::Start | UniqueUntil::End => None,
        };
        self.unique.insert(unique.key.clone(), UniqueHolder { key: key.clone(), until });
        Ok(replaced)
    }

    fn insert(&mut self, now: Timestamp, envelope: &Envelope) {
        let key = envelope.id.key.clone();
        let expires = envelope.expiry.map(|expiry| match expiry {
            Expiry::After(duration) => now + duration,
            Expiry::At(time) => time,
        });
        let start = match envelope.start {
            Start::Now => now,
            Start::After(delay) => now + delay,
            Start::At(time) => time,
        };
        let envelope = Envelope { enqueued_at: Some(now), expiry: None, start: Start::Now, ..envelope.clone() };
        let place = Place::Due { at: start, retrying: false };
        self.live.insert(key.clone(), Live { envelope, place, deliveries: 0, expires, cancel_requested: false });
        if start > now {
            self.due.insert((start, key));
        } else {
            self.make_ready_last(&key);
        }
    }

    fn make_ready_last(&mut self, key: &TaskKey) {
        self.back += 1;
        self.make_ready(key, self.back);
    }

    fn make_ready_first(&mut self, key: &TaskKey) {
        self.front -= 1;
        self.make_ready(key, self.front);
    }

    fn make_ready(&mut self, key: &TaskKey, position: i64) {
        if let Some(live) = self.live.get_mut(key) {
            live.place = Place::Ready { position };
            self.ready.insert((Reverse(live.envelope.priority), position), key.clone());
        }
    }

    /// Moves due tasks to the ready ones; says how many.
    fn promote(&mut self, now: Timestamp, limit: usize) -> usize {
        let mut promoted = 0;
        while promoted < limit && self.due.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, key)) = self.due.pop_first() {
                if !(self.planted.is(Bug::DueTaskLost) && self.last_token.is_multiple_of(3)) {
                    self.make_ready_last(&key);
                }
                promoted += 1;
            }
        }
        promoted
    }

    // Working ----------------------------------------------------------------------------------------------

    pub(super) fn join(&mut self, now: Timestamp, owner: Owner, length: Duration) -> Result<()> {
        if self.leases.contains_key(&owner) && !self.is_alive(now, owner) {
            // Before the sweep its tasks still carry this owner: begun again, the term would hold them again.
            let text = format!("the term {} of this worker lapsed; join with the next one", owner.term);
            return Err(Error::new(ErrorKind::Fenced, "join", &self.name).because(text));
        }
        self.leases.insert(owner, Lease { expires: now + length, length });
        Ok(())
    }

    fn is_alive(&self, now: Timestamp, owner: Owner) -> bool {
        self.leases.get(&owner).is_some_and(|lease| lease.expires > now)
    }

    fn forget_lease(&mut self, owner: Owner) {
        self.leases.remove(&owner);
        self.overtaken.remove(&owner);
    }

    pub(super) fn beat(&mut self, now: Timestamp, owner: Owner) -> BeatAnswer {
        let alive = self.is_alive(now, owner);
        if let Some(lease) = self.leases.get_mut(&owner).filter(|_| alive) {
            lease.expires = now + lease.length;
        }
        let cancelled = self.held_by(owner).filter(|(_, live)| live.cancel_requested).map(|(key, _)| key.clone());
        BeatAnswer {
            alive,
            cancelled: cancelled.collect(),
            ready: !self.ready.is_empty() && self.paused_at.is_none(),
            sweep_in: self.next_sweep(now, owner),
        }
    }

    fn next_sweep(&self, now: Timestamp, owner: Owner) -> Option<Duration> {
        let other_leases = self.leases.iter().filter(|(other, _)| **other != owner).map(|(_, lease)| lease.expires);
        let dead = self.dead.keys().next().map(|(died, _)| *died + limits::DEAD_LETTER_TTL);
        let candidates = other_leases
            .chain(self.due.first().map(|(at, _)| *at))
            .chain(self.ended_by_age.first().map(|(at, _)| *at))
            .chain(dead);
        candidates.min().map(|at| at.since(now))
    }

    fn check_alive(&self, operation: &'static str, now: Timestamp, owner: Owner) -> Result<()> {
        match self.is_alive(now, owner) {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Fenced, operation, &self.name).because("the worker's lease has lapsed")),
        }
    }

    pub(super) fn claim(
        &mut self,
        now: Timestamp,
        owner: Owner,
        count: usize,
        number: ClaimNumber,
    ) -> Result<ClaimAnswer> {
        self.check_alive("claim from", now, owner)?;
        let is_overtaken = self.overtaken.get(&owner).is_some_and(|last| number <= *last);
        if is_overtaken && !self.planted.is(Bug::LateClaimAccepted) {
            let text = "the worker has given this claim up";
            return Err(Error::new(ErrorKind::Fenced, "claim from", &self.name).because(text));
        }
        if self.paused_at.is_some() && !self.planted.is(Bug::PauseForgotten) {
            // Whoever waits hears of the end of the pause; no due time could tell it more.
            return Ok(ClaimAnswer::default());
        }
        self.promote(now, limits::CLAIM_BATCH);
        self.last_token += 1;
        let token = DeliveryToken(self.last_token);
        let mut claimed = Vec::new();
        while claimed.len() < count {
            let Some((place, key)) = self.ready.pop_first() else {
                break;
            };
            if self.planted.is(Bug::ClaimNotAtomic) && self.last_token.is_multiple_of(5) && claimed.is_empty() {
                self.ready.insert(place, key.clone());
            }
            if self.live.get(&key).is_some_and(|live| live.expires.is_some_and(|expires| expires <= now)) {
                self.end_waiting(now, &key, State::Expired);
                continue;
            }
            claimed.extend(self.hand_out(&key, owner, token));
        }
        Ok(ClaimAnswer { claimed, next_due: self.due.first().map(|(at, _)| at.since(now)) })
    }

    fn hand_out(&mut self, key: &TaskKey, owner: Owner, token: DeliveryToken) -> Option<Claimed> {
        let live = self.live.get_mut(key)?;
        if !self.planted.is(Bug::ClaimNotCounted) {
            live.deliveries = live.deliveries.saturating_add(1);
        }
        live.place = Place::Running { owner, token, progress: None };
        let claimed = Claimed { token, deliveries: live.deliveries, envelope: Arc::new(live.envelope.clone()) };
        self.free_unique(&claimed.envelope, UniqueUntil::Start);
        Some(claimed)
    }

    pub(super) fn held(&mut self, now: Timestamp, owner: Owner, last: ClaimNumber) -> Result<Vec<Claimed>> {
        self.check_alive("list what is held in", now, owner)?;
        let overtaken = self.overtaken.entry(owner).or_insert(last);
        *overtaken = last.max(*overtaken);
        let claimed = |live: &Live| match &live.place {
            Place::Running { token, .. } => {
                Some(Claimed { token: *token, deliveries: live.deliveries, envelope: Arc::new(live.envelope.clone()) })
            }
            Place::Due { .. } | Place::Ready { .. } => None,
        };
        Ok(self.held_by(owner).filter_map(|(_, live)| claimed(live)).collect())
    }

    fn held_by(&self, owner: Owner) -> impl Iterator<Item = (&TaskKey, &Live)> {
        let is_held =
            move |live: &Live| matches!(&live.place, Place::Running { owner: holder, .. } if *holder == owner);
        self.live.iter().filter(move |(_, live)| is_held(live))
    }

    /// Whether this write comes from the present holder of the task, with a living lease.
    fn holds(&self, now: Timestamp, owner: Owner, key: &TaskKey, token: DeliveryToken) -> bool {
        let Some(Live { place: Place::Running { owner: holder, token: present, .. }, .. }) = self.live.get(key) else {
            return false;
        };
        let is_holder = *holder == owner && self.is_alive(now, owner);
        (is_holder || self.planted.is(Bug::OwnerNotChecked))
            && (*present == token || self.planted.is(Bug::TokenNotChecked))
    }

    pub(super) fn settle(&mut self, now: Timestamp, owner: Owner, settlement: &Settlement) -> Settled {
        let Settlement { token, envelope, ending } = settlement;
        let key = &envelope.id.key;
        if self.planted.is(Bug::ResultBeforeCheck)
            && let (Ending::Succeeded(result), Some(ended)) = (ending, self.ended.get_mut(key))
        {
            ended.result = Some(result.clone());
        }
        if !self.holds(now, owner, key, *token) {
            // The same write again, after its answer was lost, is no stale write.
            let applied = self.ended.get(key).is_some_and(|ended| ended.token == Some(*token));
            return if applied { Settled::Applied } else { Settled::Fenced };
        }
        match ending {
            // What somebody cancelled is not handed out again.
            Ending::Retry(_) | Ending::Released if self.is_cancel_requested(key) => {
                self.end(now, envelope, State::Cancelled, None, Some(*token));
            }
            Ending::Succeeded(result) => {
                let result = envelope.stores_result.then(|| result.clone());
                self.end(now, envelope, State::Succeeded, result, Some(*token));
            }
            Ending::Cancelled => self.end(now, envelope, State::Cancelled, None, Some(*token)),
            Ending::Dead(reason) => self.bury(now, envelope, *reason),
            Ending::Retry(delay) => self.put_back(envelope, |queue| {
                let at = now + *delay;
                queue.due.insert((at, key.clone()));
                Place::Due { at, retrying: true }
            }),
            Ending::Released => {
                self.put_back(envelope, |_| Place::Ready { position: 0 });
                self.make_ready_first(key);
            }
        }
        Settled::Applied
    }

    fn is_cancel_requested(&self, key: &TaskKey) -> bool {
        self.live.get(key).is_some_and(|live| live.cancel_requested)
    }

    fn put_back(&mut self, envelope: &Envelope, place: impl FnOnce(&mut Self) -> Place) {
        let place = place(self);
        if let Some(live) = self.live.get_mut(&envelope.id.key) {
            live.envelope = envelope.clone();
            live.deliveries = 0;
            live.place = place;
        }
    }

    pub(super) fn report(
        &mut self,
        now: Timestamp,
        owner: Owner,
        key: &TaskKey,
        token: DeliveryToken,
        report: &Progress,
    ) -> Settled {
        if !self.holds(now, owner, key, token) {
            return Settled::Fenced;
        }
        if let Some(Live { place: Place::Running { progress, .. }, .. }) = self.live.get_mut(key) {
            *progress = Some(report.clone());
        }
        Settled::Applied
    }

    pub(super) fn leave(&mut self, now: Timestamp, owner: Owner) {
        if !self.is_alive(now, owner) {
            // A sweep gives back what a lapsed owner held, and counts its deliveries.
            return;
        }
        self.forget_lease(owner);
        for key in self.keys_held_by(owner) {
            if let Some(live) = self.live.get_mut(&key) {
                live.deliveries = 0;
                live.envelope.attempts += u32::from(self.planted.is(Bug::ReleaseSpendsAttempt));
            }
            self.hand_back(now, &key);
        }
    }

    // Ending -----------------------------------------------------------------------------------------------

    fn end(
        &mut self,
        now: Timestamp,
        envelope: &Envelope,
        state: State,
        result: Option<Payload>,
        token: Option<DeliveryToken>,
    ) {
        let key = envelope.id.key.clone();
        self.live.remove(&key);
        self.free_unique(envelope, UniqueUntil::End);
        if envelope.is_tracked() {
            self.ended_by_age.insert((now + envelope.result_ttl, key.clone()));
            self.ended.insert(key, Ended { state, attempts: envelope.attempts, result, at: now, token });
        }
    }

    /// Ends a task that no worker holds.
    fn end_waiting(&mut self, now: Timestamp, key: &TaskKey, state: State) {
        let Some(live) = self.live.remove(key) else {
            return;
        };
        match live.place {
            Place::Due { at, .. } => {
                self.due.remove(&(at, key.clone()));
            }
            Place::Ready { position } => {
                self.ready.remove(&(Reverse(live.envelope.priority), position));
            }
            Place::Running { .. } => {}
        }
        self.end(now, &live.envelope, state, None, None);
    }

    fn bury(&mut self, now: Timestamp, envelope: &Envelope, reason: DeadReason) {
        self.live.remove(&envelope.id.key);
        if !(self.planted.is(Bug::UniqueKeyKept) && reason == DeadReason::Crashed) {
            self.free_unique(envelope, UniqueUntil::End);
        }
        self.dead.insert((now, envelope.id.key.clone()), Dead { envelope: envelope.clone(), reason });
    }

    /// Frees the envelope's unique key if it is held until `when` (or the task never came to that point) by this task.
    fn free_unique(&mut self, envelope: &Envelope, when: UniqueUntil) {
        let Some(unique) = &envelope.unique else {
            return;
        };
        let due = match unique.until {
            UniqueUntil::Start => true,
            UniqueUntil::End => when == UniqueUntil::End,
            UniqueUntil::After(_) => false,
        };
        if due && self.unique.get(&unique.key).is_some_and(|holder| holder.key == envelope.id.key) {
            self.unique.remove(&unique.key);
        }
    }

    // Sweeping ---------------------------------------------------------------------------------------------

    pub(super) fn sweep(&mut self, now: Timestamp, limit: usize) -> SweepAnswer {
        let mut answer = SweepAnswer { due: self.promote(now, limit), ..SweepAnswer::default() };
        let early = if self.planted.is(Bug::SweepTakesLiving) { limits::LEASE / 2 } else { Duration::ZERO };
        let lapsed: Vec<Owner> =
            self.leases.iter().filter(|(_, lease)| lease.expires <= now + early).map(|(owner, _)| *owner).collect();
        for owner in lapsed {
            let held = self.keys_held_by(owner);
            let left = limit.saturating_sub(answer.reclaimed + answer.buried);
            for key in held.iter().take(left) {
                match self.hand_back(now, key) {
                    State::Ready => answer.reclaimed += 1,
                    _ => answer.buried += 1,
                }
            }
            if held.len() <= left {
                self.forget_lease(owner);
            }
            answer.more |= held.len() > left;
        }
        answer.pruned = self.prune(now, limit);
        self.logs.forget(now);
        answer.more |= answer.due == limit || answer.pruned == limit;
        answer
    }

    /// Oldest first, so that the order of reclaimed tasks is the order in which they were handed out.
    fn keys_held_by(&self, owner: Owner) -> Vec<TaskKey> {
        let mut keys: Vec<_> = self.held_by(owner).map(|(key, _)| key.clone()).collect();
        keys.sort_unstable_by(|a, b| b.cmp(a));
        keys
    }

    /// Takes a task from a worker that will not end it; says where it went.
    fn hand_back(&mut self, now: Timestamp, key: &TaskKey) -> State {
        let Some(live) = self.live.get(key) else {
            return State::Untracked;
        };
        let envelope = live.envelope.clone();
        if live.cancel_requested && !self.planted.is(Bug::CancelForgotten) {
            self.end(now, &envelope, State::Cancelled, None, None);
            State::Cancelled
        } else if live.deliveries >= envelope.max_deliveries {
            self.bury(now, &envelope, DeadReason::Crashed);
            State::Dead
        } else {
            self.make_ready_first(key);
            State::Ready
        }
    }

    fn prune(&mut self, now: Timestamp, limit: usize) -> usize {
        let mut pruned = 0;
        while pruned < limit && self.ended_by_age.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, key)) = self.ended_by_age.pop_first() {
                self.ended.remove(&key);
                pruned += 1;
            }
        }
        let too_old = |(died, _): &(Timestamp, TaskKey)| *died + limits::DEAD_LETTER_TTL <= now;
        while pruned < limit && self.dead.keys().next().is_some_and(too_old) {
            self.dead.pop_first();
            pruned += 1;
        }
        pruned
    }
}
