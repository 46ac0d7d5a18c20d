//! Settles ended attempts: many in one call, a lone one at once.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use taskq_core::{
    Error, ErrorKind, Event, What,
    broker::{Settled, Settlement},
    bug::Bug,
    limits,
};
use tokio::sync::mpsc;

use crate::{attempts::DeliveryId, batch::Batch, meter::Note, runner::Over, worker::Shared};

/// Settle calls that are under way at once: one is being answered while the next is filled.
const IN_FLIGHT: usize = 2;

/// Attempts of one claim that have ended.
pub(crate) struct Finished {
    pub(crate) batch: Arc<Batch>,
    pub(crate) attempts: Attempts,
}

/// What is settled, and, each in the same place, what it counts as.
#[derive(Default)]
pub(crate) struct Attempts {
    pub(crate) settlements: Vec<Settlement>,
    notes: Vec<Note>,
    /// How long each ran; empty where nobody is told.
    pub(crate) runs: Vec<Duration>,
}

impl Extend<Over> for Attempts {
    fn extend<I: IntoIterator<Item = Over>>(&mut self, attempts: I) {
        for Over { settlement, note } in attempts {
            self.settlements.push(settlement);
            self.notes.push(note);
        }
    }
}

impl Attempts {
    fn append(&mut self, other: &mut Self) {
        self.settlements.append(&mut other.settlements);
        self.notes.append(&mut other.notes);
        self.runs.append(&mut other.runs);
    }

    /// The first of them, at most `count`; `None` if there are none.
    fn take(&mut self, count: usize) -> Option<Self> {
        let len = self.settlements.len();
        match len <= count {
            true if len == 0 => None,
            true => Some(std::mem::take(self)),
            false => {
                let settlements = self.settlements.drain(..count).collect();
                let runs = self.runs.drain(..count.min(self.runs.len())).collect();
                Some(Self { settlements, notes: self.notes.drain(..count).collect(), runs })
            }
        }
    }
}

/// The loop: takes whatever has ended, settles it by queue; ends when every sender is gone and all is settled.
pub(crate) async fn run(shared: Arc<Shared>, mut finished: mpsc::Receiver<Finished>) {
    let mut under_way = FuturesUnordered::new();
    let mut buffer = Vec::new();
    let mut open = true;
    while open || !under_way.is_empty() {
        tokio::select! {
            biased;
            received = finished.recv_many(&mut buffer, limits::SETTLE_BATCH), if open && under_way.len() < IN_FLIGHT => {
                open = received > 0;
                for Finished { batch, mut attempts } in by_owner(&mut buffer) {
                    while let Some(part) = attempts.take(limits::SETTLE_BATCH) {
                        under_way.push(settle(&shared, Arc::clone(&batch), part));
                    }
                }
            }
            Some(()) = under_way.next(), if !under_way.is_empty() => {}
        }
    }
}

/// Puts together what one owner has to settle in one queue.
fn by_owner(buffer: &mut Vec<Finished>) -> Vec<Finished> {
    let mut owners: Vec<Finished> = Vec::new();
    for mut finished in buffer.drain(..) {
        let is_same = |other: &&mut Finished| {
            other.batch.owner == finished.batch.owner && other.batch.queue == finished.batch.queue
        };
        match owners.iter_mut().find(is_same) {
            Some(other) => other.attempts.append(&mut finished.attempts),
            None => owners.push(finished),
        }
    }
    owners
}

/// Settles attempts, repeating it for as long as the broker is away; only an answer ends an attempt.
async fn settle(shared: &Shared, batch: Arc<Batch>, Attempts { settlements, notes, runs }: Attempts) {
    let Batch { queue, owner, .. } = &*batch;
    let mut backoff = shared.backoff();
    let mut repeated = false;
    loop {
        let sent = shared.clock.monotonic();
        match shared.broker.settle(*owner, queue, &settlements).await {
            Ok(settled) => {
                batch.meter.settles.record(shared.clock.monotonic().saturating_sub(sent), settlements.len());
                count(&batch, &settled, &notes, repeated);
                tell(shared, &batch, &settlements, &settled, &notes, &runs);
                break;
            }
            // A right that was taken away can come back; the task has nothing to do with it.
            Err(error) if error.is_transient() || error.kind() == ErrorKind::Refused => {
                repeated = true;
                shared.broker_trouble("settle", &error);
                if shared.planted.is(Bug::SettlementNotRepeated) || !backoff.pause_unless_aborted(shared).await {
                    break;
                }
            }
            Err(error) => {
                give_up(shared, &batch, &settlements, &error);
                break;
            }
        }
    }
    shared.attempts.end(queue, settlements.iter().map(delivery));
}

fn delivery(settlement: &Settlement) -> DeliveryId {
    DeliveryId { key: settlement.envelope.id.key.clone(), token: settlement.token }
}

fn count(batch: &Batch, settled: &[Settled], notes: &[Note], repeated: bool) {
    let (counters, meter) = (&batch.shared.counters, &batch.meter);
    let applied = settled.iter().zip(notes).filter(|(settled, _)| **settled == Settled::Applied);
    meter.settled(applied.map(|(_, note)| note));
    let fenced = settled.iter().filter(|settled| **settled == Settled::Fenced).count() as u64;
    if fenced == 0 {
        return;
    }
    let (of_worker, of_queue) = match repeated {
        // It may have been applied the first time, when its answer was lost.
        true => (&counters.unclear, &meter.unclear),
        false => (&counters.fenced, &meter.fenced),
    };
    of_worker.add(fenced);
    of_queue.add(fenced);
}

/// Tells which attempts the broker has ended, if anybody is to know.
fn tell(
    shared: &Shared,
    batch: &Batch,
    settlements: &[Settlement],
    settled: &[Settled],
    notes: &[Note],
    runs: &[Duration],
) {
    let Some(outlet) = shared.outlet() else { return };
    let (now, worker) = (shared.clock.now(), batch.owner.worker);
    let applied = |settled: &Settled| *settled == Settled::Applied;
    let event = |settlement: &Settlement, note: &Note, took: Duration| {
        let envelope = &settlement.envelope;
        let has_failed = note.counted.is_failure();
        // Of this attempt, and not of one before it.
        let error = envelope.last_error().filter(|_| has_failed).map(str::to_owned);
        // What has failed is counted already.
        let attempt = if has_failed { envelope.attempts } else { envelope.attempts + 1 };
        let (id, task, outcome) = (envelope.id.clone(), envelope.task.clone(), note.counted.told());
        Event::new(now, What::Settled { id, task, worker, attempt, outcome, took, error })
    };
    let attempts = settlements.iter().zip(settled).zip(notes).zip(runs);
    let ended = attempts.filter(|(((_, settled), _), _)| applied(settled));
    let events = ended.map(|(((settlement, _), note), took)| event(settlement, note, *took));
    outlet.tell_of_tasks(settled.iter().filter(|settled| applied(settled)).count(), events);
}

/// An error that repeating will not mend. The next term begins, so that the lease of this one lapses and brings the tasks
/// back: they count as hand-outs that never ended, and cannot go round for ever.
fn give_up(shared: &Shared, batch: &Batch, settlements: &[Settlement], error: &Error) {
    shared.counters.broker_errors.add(1);
    let attempts = settlements.len();
    tracing::error!(%error, attempts, "the broker cannot settle this; the tasks will be handed out again");
    shared.lease_lost(&batch.queue, batch.owner);
}
