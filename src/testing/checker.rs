//! Decides whether a history keeps what taskq promises, from the history alone: it knows the rules, not the broker.

mod leases;
mod operators;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use taskq_core::{
    Accepted, Envelope, Payload, QueueName, Snapshot, State, TaskId, TaskKey, Timestamp, UniqueUntil,
    broker::{Claimed, Ending, Settled, Settlement},
    id::{BatchId, ClaimNumber, DeliveryToken, Owner},
    invocation::{Expiry, Start},
    limits,
};

use super::{
    history::{Event, Happened, ProcessNumber, Trouble},
    promise::{Promise, Violation},
};

/// Messages of a heartbeat that may get lost within a lease before the lease may lapse.
const LOST_BEATS_BORNE: usize = 1;

/// What was counted on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Tasks that were accepted.
    pub tasks: u64,
    /// Bodies that began.
    pub executions: u64,
    /// Writes that were refused, as their sender was no longer the holder.
    pub stale_refused: u64,
    /// Leases that lapsed.
    pub leases_lapsed: u64,
}

/// Reads a history from its beginning.
#[derive(Debug, Default)]
pub(super) struct Checker {
    tasks: BTreeMap<TaskId, Task>,
    leases: BTreeMap<(QueueName, Owner), Lease>,
    overtaken: BTreeMap<(QueueName, Owner), ClaimNumber>,
    batches: BTreeMap<[u8; 16], Vec<TaskId>>,
    unique: BTreeMap<(QueueName, String), TaskKey>,
    paused: BTreeSet<QueueName>,
    troubles: BTreeMap<ProcessNumber, Vec<(Duration, Duration, Trouble)>>,
    started: BTreeSet<(TaskId, DeliveryToken)>,
    checked: Checked,
    violations: Vec<Violation>,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    process: ProcessNumber,
    /// How long each renewal lasts.
    length: Duration,
    renewed: Duration,
    until: Timestamp,
    left: bool,
}

#[derive(Debug)]
struct Task {
    envelope: Envelope,
    place: Place,
    accepted_at: Duration,
    expires: Option<Timestamp>,
    /// The newest token under which it was handed out.
    token: DeliveryToken,
    deliveries: u8,
    attempts: u32,
    cancel_asked: bool,
    /// A purge may have ended it: a step that leaves some does not say which it took.
    may_be_purged: bool,
    /// A purge of dead letters may have forgotten it.
    may_be_dropped: bool,
    result: Option<Payload>,
    first_claim: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq)]
enum Place {
    Waiting {
        due: Timestamp,
    },
    Held {
        owner: Owner,
        token: DeliveryToken,
    },
    /// Its holder's lease has lapsed, and a sweep has taken it back or ended it.
    TakenBack,
    Ended {
        state: State,
        at: Timestamp,
        token: Option<DeliveryToken>,
    },
}

/// The moment that is being looked at.
#[derive(Clone, Copy)]
struct Moment {
    at: Duration,
    now: Timestamp,
}

impl Checker {
    pub(super) fn read(&mut self, happened: &Happened) {
        let moment = Moment { at: happened.at, now: happened.now };
        match &happened.event {
            Event::Enqueued { batch, tasks } => self.enqueued(moment, *batch, tasks),
            Event::Joined { owner, queue, lease, joined: true } => {
                self.join(moment, happened.process, *owner, queue, *lease);
            }
            Event::Joined { joined: false, .. } => {}
            Event::Beaten { owner, queue, alive } => self.beaten(moment, happened.process, *owner, queue, *alive),
            Event::Claimed { owner, queue, claimed } => {
                if !self.is_alive(moment, *owner, queue) {
                    self.violated(moment, Promise::StaleRefused, format!("{owner} claimed without a living lease"));
                }
                if self.paused.contains(queue) {
                    let text = format!("{} of the paused {queue} went to {owner}", claimed.len());
                    self.violated(moment, Promise::PauseHonoured, text);
                }
                claimed.iter().for_each(|claimed| self.claimed(moment, *owner, claimed));
            }
            Event::ClaimRefused { owner, queue, number } => {
                let is_overtaken = self.overtaken.get(&(queue.clone(), *owner)).is_some_and(|last| number <= last);
                if self.is_alive(moment, *owner, queue) && !is_overtaken {
                    self.violated(
                        moment,
                        Promise::HolderAccepted,
                        format!("a claim of the living {owner} was refused"),
                    );
                }
            }
            Event::Looked { owner, queue, last } => {
                let overtaken = self.overtaken.entry((queue.clone(), *owner)).or_insert(*last);
                *overtaken = *last.max(overtaken);
            }
            Event::Settled { owner, settlement, settled } => self.settled(moment, *owner, settlement, *settled),
            Event::Reported { owner, id, token, settled } => self.reported(moment, *owner, id, *token, *settled),
            Event::Left { owner, queue } => self.left(moment, *owner, queue),
            Event::Cancelled { id, answer } => self.cancelled(moment, id, *answer),
            Event::Replayed { id } => self.replayed(moment, id),
            Event::RanNow { id } => self.ran_now(moment, id),
            Event::Dropped { id } => {
                self.tasks.remove(id);
            }
            Event::Paused { queue } => drop(self.paused.insert(queue.clone())),
            Event::Resumed { queue } => drop(self.paused.remove(queue)),
            Event::Purged { queue, what, answer } => self.purged(moment, queue, *what, *answer),
            Event::Seen { id, snapshot } => self.seen(moment, id, snapshot.as_ref()),
            Event::Told { batch } => {
                if !self.batches.contains_key(batch.as_bytes()) {
                    let text = "a client heard that a batch was accepted which was not".to_owned();
                    self.violated(moment, Promise::NothingLost, text);
                }
            }
            Event::Started { id, token } => self.started(moment, id, *token),
            Event::Troubled { what, lasting } => {
                let until = moment.at.saturating_add(*lasting);
                self.troubles.entry(happened.process).or_default().push((moment.at, until, *what));
            }
        }
    }

    /// The end of the history: everything was healed, had time to end, and was looked up once more.
    pub(super) fn finish(mut self, at: Duration, now: Timestamp) -> (Checked, Vec<Violation>) {
        let moment = Moment { at, now };
        let lost: Vec<String> = self
            .tasks
            .iter()
            .filter(|(id, task)| match &task.place {
                Place::Ended { .. } => false,
                _ if (task.may_be_purged || task.may_be_dropped) && id.key.is_untracked() => false,
                Place::Waiting { due } => *due <= now,
                Place::Held { .. } | Place::TakenBack => true,
            })
            .map(|(id, task)| {
                format!("{id} was accepted at {:?} and has not ended: {:?}", task.accepted_at, task.place)
            })
            .collect();
        lost.into_iter().for_each(|text| self.violated(moment, Promise::NothingLost, text));
        (self.checked, self.violations)
    }

    /// How long a task waited for its first hand-out.
    pub(super) fn time_to_first_claim(&self, id: &TaskId) -> Option<Duration> {
        let task = self.tasks.get(id)?;
        task.first_claim.map(|at| at.saturating_sub(task.accepted_at))
    }

    fn violated(&mut self, moment: Moment, promise: Promise, text: String) {
        self.violations.push(Violation { at: moment.at, promise, text });
    }

    // Accepting --------------------------------------------------------------------------------------------

    fn enqueued(&mut self, moment: Moment, batch: BatchId, tasks: &[(Envelope, Accepted)]) {
        let is_known = self.batches.contains_key(batch.as_bytes());
        for (envelope, accepted) in tasks {
            match accepted {
                Accepted::Created => self.accept(moment, envelope),
                Accepted::Replaced(holder) => {
                    let replaced = TaskId::new(envelope.id.queue.clone(), holder.clone());
                    if !self.may_be_waiting(moment, &replaced) {
                        let text = format!("{} replaced {replaced}, which did not wait", envelope.id);
                        self.violated(moment, Promise::UniqueKeyHeldOnce, text);
                    }
                    self.end(moment, &replaced, State::Cancelled, None);
                    self.accept(moment, envelope);
                }
                Accepted::Duplicate => {
                    let is_reason = is_known || self.tasks.contains_key(&envelope.id);
                    if !is_reason {
                        let text = format!("{} was refused as known, and was not", envelope.id);
                        self.violated(moment, Promise::AcceptedOnce, text);
                    }
                }
                Accepted::Held(holder) => self.held(moment, envelope, holder),
            }
        }
        self.batches
            .entry(*batch.as_bytes())
            .or_insert_with(|| tasks.iter().map(|(task, _)| task.id.clone()).collect());
    }

    fn accept(&mut self, moment: Moment, envelope: &Envelope) {
        let id = &envelope.id;
        if self.tasks.get(id).is_some_and(|task| !task.is_forgotten(moment)) {
            self.violated(moment, Promise::AcceptedOnce, format!("{id} was accepted twice"));
            return;
        }
        if let Some(unique) = &envelope.unique {
            let key = (id.queue.clone(), unique.key.clone());
            if let Some(holder) = self.unique.get(&key).cloned()
                && self.surely_holds(moment, &id.queue, &holder)
            {
                let text = format!("{id} was accepted while {holder} holds its unique key \"{}\"", unique.key);
                self.violated(moment, Promise::UniqueKeyHeldOnce, text);
            }
            self.unique.insert(key, id.key.clone());
        }
        let expires = envelope.expiry.map(|expiry| match expiry {
            Expiry::After(duration) => moment.now + duration,
            Expiry::At(time) => time,
        });
        let due = match envelope.start {
            Start::Now => moment.now,
            Start::After(delay) => moment.now + delay,
            Start::At(time) => time,
        };
        let task = Task {
            envelope: envelope.clone(),
            place: Place::Waiting { due },
            accepted_at: moment.at,
            expires,
            token: DeliveryToken(0),
            deliveries: 0,
            attempts: envelope.attempts,
            cancel_asked: false,
            may_be_purged: false,
            may_be_dropped: false,
            result: None,
            first_claim: None,
        };
        self.checked.tasks += 1;
        self.tasks.insert(id.clone(), task);
    }

    /// A task was refused because of its unique key.
    fn held(&mut self, moment: Moment, envelope: &Envelope, holder: &TaskKey) {
        let Some(unique) = &envelope.unique else {
            let text = format!("{} has no unique key and was refused for one", envelope.id);
            return self.violated(moment, Promise::UniqueKeyHeldOnce, text);
        };
        let id = TaskId::new(envelope.id.queue.clone(), holder.clone());
        let may_hold = self.tasks.get(&id).is_some_and(|task| match (&task.place, &task.envelope.unique) {
            (_, Some(held)) if held.key != unique.key => false,
            (_, Some(held)) if matches!(held.until, UniqueUntil::After(_)) => true,
            // When a task has expired is noticed later.
            (Place::Ended { state, .. }, _) => *state == State::Expired,
            (Place::Held { .. } | Place::TakenBack, Some(held)) => held.until == UniqueUntil::End,
            (Place::Waiting { .. }, Some(_)) => true,
            (_, None) => false,
        });
        if !may_hold {
            let text = format!(
                "{} was refused as {id} holds its unique key \"{}\", which it does not",
                envelope.id, unique.key
            );
            self.violated(moment, Promise::UniqueKeyHeldOnce, text);
        }
    }

    /// Whether a task holds its unique key beyond doubt: expiry and lapsed leases are noticed later than they happen.
    fn surely_holds(&self, moment: Moment, queue: &QueueName, holder: &TaskKey) -> bool {
        let id = TaskId::new(queue.clone(), holder.clone());
        let Some(task) = self.tasks.get(&id).filter(|task| task.expires.is_none() && !task.may_be_purged) else {
            return false;
        };
        let Some(unique) = &task.envelope.unique else { return false };
        match (&task.place, unique.until) {
            (_, UniqueUntil::After(_)) => false,
            (Place::Waiting { .. }, _) => task.token == DeliveryToken(0),
            (Place::Held { owner, .. }, UniqueUntil::End) => self.is_alive(moment, *owner, queue),
            _ => false,
        }
    }

    // Handing out ------------------------------------------------------------------------------------------

    fn claimed(&mut self, moment: Moment, owner: Owner, claimed: &Claimed) {
        let Claimed { token, deliveries, envelope } = claimed;
        let id = &envelope.id;
        let mut broken = Vec::new();
        let holder_lives = match self.tasks.get(id).map(|task| &task.place) {
            Some(Place::Held { owner: holder, .. }) => self.is_alive(moment, *holder, &id.queue),
            _ => false,
        };
        let Some(task) = self.tasks.get_mut(id) else {
            return self.violated(moment, Promise::NoPhantom, format!("{id} was handed out and never accepted"));
        };
        match &task.place {
            Place::Waiting { due } if *due > moment.now => {
                broken.push((Promise::NeverEarly, format!("{id} was handed out {:?} early", due.since(moment.now))));
            }
            Place::Waiting { .. } => {}
            Place::Held { owner: holder, .. } if holder_lives => {
                broken.push((Promise::HandedOutOnce, format!("{id} was handed out to {owner} while {holder} held it")));
            }
            Place::Held { .. } | Place::TakenBack if task.cancel_asked => {
                broken.push((Promise::CancelHonoured, format!("{id} was cancelled and handed out again")));
            }
            Place::Held { .. } | Place::TakenBack if task.deliveries >= task.envelope.max_deliveries => {
                let text = format!("{id} was handed out again after {} deliveries", task.deliveries);
                broken.push((Promise::HandedOutOnce, text));
            }
            Place::Held { .. } | Place::TakenBack => {}
            Place::Ended { state, .. } => {
                let promise = if *state == State::Cancelled { Promise::CancelHonoured } else { Promise::EndsOnce };
                broken.push((promise, format!("{id} is {state:?} and was handed out")));
            }
        }
        if task.expires.is_some_and(|expires| expires <= moment.now) {
            broken.push((Promise::NeverEarly, format!("{id} was handed out after it had expired")));
        }
        if *token <= task.token {
            let text = format!("{id} was handed out under token {}, after {}", token.0, task.token.0);
            broken.push((Promise::HandedOutOnce, text));
        }
        task.deliveries = task.deliveries.saturating_add(1);
        if *deliveries != task.deliveries {
            let text = format!("{id} was delivered for the {}th time and counted as {deliveries}", task.deliveries);
            broken.push((Promise::HandedOutOnce, text));
        }
        if envelope.attempts != task.attempts {
            let text = format!("{id} has {} failed attempts and had {}", envelope.attempts, task.attempts);
            broken.push((Promise::AttemptsCounted, text));
            task.attempts = envelope.attempts;
        }
        task.token = *token;
        (task.may_be_purged, task.may_be_dropped) = (false, false);
        task.place = Place::Held { owner, token: *token };
        task.first_claim.get_or_insert(moment.at);
        broken.into_iter().for_each(|(promise, text)| self.violated(moment, promise, text));
    }

    fn started(&mut self, moment: Moment, id: &TaskId, token: DeliveryToken) {
        self.checked.executions += 1;
        if self.tasks.get(id).is_none_or(|task| task.token < token) {
            self.violated(moment, Promise::NoPhantom, format!("{id} runs under token {}, never handed out", token.0));
        }
        if !self.started.insert((id.clone(), token)) {
            self.violated(moment, Promise::HandedOutOnce, format!("{id} runs twice under token {}", token.0));
        }
    }

    // Ending -----------------------------------------------------------------------------------------------

    fn is_holder(&self, moment: Moment, owner: Owner, id: &TaskId, token: DeliveryToken) -> bool {
        let place = self.tasks.get(id).map(|task| &task.place);
        place == Some(&Place::Held { owner, token }) && self.is_alive(moment, owner, &id.queue)
    }

    fn settled(&mut self, moment: Moment, owner: Owner, settlement: &Settlement, settled: Settled) {
        let Settlement { token, envelope, ending } = settlement;
        let id = &envelope.id;
        let is_repeated = self.tasks.get(id).is_some_and(|task| match task.place {
            Place::Ended { token: by, .. } => by == Some(*token),
            _ => false,
        });
        match (self.is_holder(moment, owner, id, *token), settled) {
            (true, Settled::Applied) => self.apply(moment, id, *token, envelope, ending),
            (true, Settled::Fenced) => {
                self.violated(moment, Promise::HolderAccepted, format!("{owner} holds {id} and was refused"));
            }
            (false, Settled::Fenced) => self.checked.stale_refused += 1,
            (false, Settled::Applied) if is_repeated => {}
            (false, Settled::Applied) => {
                let text = format!("{owner} ended {id} under token {} and did not hold it", token.0);
                self.violated(moment, Promise::StaleRefused, text);
            }
        }
    }

    fn apply(&mut self, moment: Moment, id: &TaskId, token: DeliveryToken, envelope: &Envelope, ending: &Ending) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        task.deliveries = 0;
        let spent = envelope.attempts.saturating_sub(task.attempts);
        let may_spend = match ending {
            Ending::Retry(_) | Ending::Dead(_) => 1,
            Ending::Succeeded(_) | Ending::Cancelled | Ending::Released => 0,
        };
        let cancel_asked = task.cancel_asked;
        match ending {
            Ending::Succeeded(result) => {
                task.result = task.envelope.stores_result.then(|| result.clone());
                self.end(moment, id, State::Succeeded, Some(token));
            }
            Ending::Dead(_) => self.end(moment, id, State::Dead, Some(token)),
            Ending::Cancelled => self.end(moment, id, State::Cancelled, Some(token)),
            Ending::Retry(_) | Ending::Released if cancel_asked => self.end(moment, id, State::Cancelled, Some(token)),
            Ending::Retry(delay) => {
                task.attempts = envelope.attempts;
                task.place = Place::Waiting { due: moment.now + *delay };
            }
            Ending::Released => task.place = Place::Waiting { due: moment.now },
        }
        if spent > may_spend {
            self.violated(moment, Promise::AttemptsCounted, format!("{id} spent {spent} attempts in one"));
        }
    }

    fn reported(&mut self, moment: Moment, owner: Owner, id: &TaskId, token: DeliveryToken, settled: Settled) {
        match (self.is_holder(moment, owner, id, token), settled) {
            (true, Settled::Applied) => {}
            (false, Settled::Fenced) => self.checked.stale_refused += 1,
            (true, Settled::Fenced) => {
                let text = format!("{owner} holds {id} and its report was refused");
                self.violated(moment, Promise::HolderAccepted, text);
            }
            (false, Settled::Applied) => {
                let text = format!("{owner} reported on {id} and did not hold it");
                self.violated(moment, Promise::StaleRefused, text);
            }
        }
    }

    fn end(&mut self, moment: Moment, id: &TaskId, state: State, token: Option<DeliveryToken>) {
        if let Some(task) = self.tasks.get_mut(id) {
            task.place = Place::Ended { state, at: moment.now, token };
        }
    }

    /// Whether it waits, or may have been taken back from a lapsed owner.
    fn may_be_waiting(&self, moment: Moment, id: &TaskId) -> bool {
        self.tasks.get(id).is_some_and(|task| match &task.place {
            Place::Waiting { .. } => true,
            Place::Held { owner, .. } => !self.is_alive(moment, *owner, &id.queue),
            Place::TakenBack => true,
            Place::Ended { .. } => false,
        })
    }

    // Looking ----------------------------------------------------------------------------------------------

    fn seen(&mut self, moment: Moment, id: &TaskId, snapshot: Option<&Snapshot>) {
        let Some(task) = self.tasks.get(id) else { return };
        let Some(snapshot) = snapshot else {
            if task.may_be_dropped {
                self.tasks.remove(id);
            } else if !task.is_forgotten(moment) && !id.key.is_untracked() {
                self.violated(moment, Promise::NothingLost, format!("{id} was accepted and is not known"));
            }
            return;
        };
        let holder_lapsed = match &task.place {
            Place::Held { owner, .. } => !self.is_alive(moment, *owner, &id.queue),
            Place::TakenBack => true,
            Place::Waiting { .. } | Place::Ended { .. } => false,
        };
        let is_right = match (&task.place, snapshot.state) {
            (_, State::Untracked) => id.key.is_untracked(),
            (Place::Ended { state: State::Succeeded, .. }, State::Succeeded) => task.result == snapshot.result,
            (Place::Ended { state, .. }, seen) => *state == seen,
            // What a sweep did to the tasks of a lapsed owner is learned from looking.
            (Place::Held { .. }, State::Running) => true,
            (Place::Held { .. } | Place::TakenBack, State::Dead) => {
                holder_lapsed && task.deliveries >= task.envelope.max_deliveries
            }
            (Place::Held { .. } | Place::TakenBack, State::Cancelled) => {
                holder_lapsed && (task.cancel_asked || task.may_be_purged)
            }
            (Place::Waiting { .. }, State::Cancelled) => task.may_be_purged,
            (Place::Held { .. } | Place::TakenBack, State::Ready) => holder_lapsed,
            (Place::Held { .. } | Place::TakenBack | Place::Waiting { .. }, State::Expired) => {
                task.expires.is_some_and(|expires| expires <= moment.now)
            }
            (Place::Waiting { .. }, State::Ready | State::Scheduled | State::Retrying) => true,
            _ => false,
        };
        if !is_right {
            let place = task.place.clone();
            let promise = if matches!(place, Place::Ended { .. }) { Promise::EndsOnce } else { Promise::NothingLost };
            let text = format!("{id} was seen as {:?} (result {:?}); it is {place:?}", snapshot.state, snapshot.result);
            return self.violated(moment, promise, text);
        }
        let learned = matches!(snapshot.state, State::Dead | State::Cancelled | State::Expired);
        if learned && !matches!(task.place, Place::Ended { .. }) {
            self.end(moment, id, snapshot.state, None);
        }
    }
}

impl Task {
    /// Whether its end may be forgotten by now.
    fn is_forgotten(&self, moment: Moment) -> bool {
        let kept = |state: State| match state {
            State::Dead => limits::DEAD_LETTER_TTL,
            _ => self.envelope.result_ttl,
        };
        match self.place {
            Place::Ended { state, at, .. } => moment.now >= at + kept(state),
            Place::Waiting { .. } | Place::Held { .. } | Place::TakenBack => false,
        }
    }

    fn is_held_by(&self, owner: Owner) -> bool {
        matches!(self.place, Place::Held { owner: holder, .. } if holder == owner)
    }
}
