//! Settles ended attempts: many in one call, a lone one at once.

use std::{collections::HashMap, sync::Arc};

use futures_util::{StreamExt, stream::FuturesUnordered};
use taskq_core::{
    Error, QueueName,
    broker::{Settled, Settlement},
    id::Owner,
    limits,
};
use tokio::sync::mpsc;

use crate::{attempts::DeliveryId, worker::Shared};

/// Settle calls that are under way at once: one is being answered while the next is filled.
const IN_FLIGHT: usize = 2;

/// An attempt that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) queue: QueueName,
    pub(crate) owner: Owner,
    pub(crate) settlement: Settlement,
}

type Batches = HashMap<(QueueName, Owner), Vec<Settlement>>;

/// The loop: takes whatever has ended, settles it by queue; ends when every sender is gone and all is settled.
pub(crate) async fn run(shared: Arc<Shared>, mut finished: mpsc::Receiver<Finished>) {
    let mut under_way = FuturesUnordered::new();
    let mut buffer = Vec::with_capacity(limits::SETTLE_BATCH);
    let mut open = true;
    while open || !under_way.is_empty() {
        tokio::select! {
            received = finished.recv_many(&mut buffer, limits::SETTLE_BATCH), if open && under_way.len() < IN_FLIGHT => {
                open = received > 0;
                for ((queue, owner), batch) in by_queue(&mut buffer) {
                    under_way.push(settle(&shared, queue, owner, batch));
                }
            }
            Some(()) = under_way.next(), if !under_way.is_empty() => {}
        }
    }
}

fn by_queue(buffer: &mut Vec<Finished>) -> Batches {
    let mut batches = Batches::new();
    for Finished { queue, owner, settlement } in buffer.drain(..) {
        batches.entry((queue, owner)).or_default().push(settlement);
    }
    batches
}

/// Settles one batch, repeating it for as long as the broker is away; only an answer ends an attempt.
async fn settle(shared: &Shared, queue: QueueName, owner: Owner, batch: Vec<Settlement>) {
    let mut backoff = shared.backoff();
    let mut repeated = false;
    loop {
        match shared.broker.settle(owner, &queue, &batch).await {
            Ok(settled) => {
                count(shared, &settled, repeated);
                break;
            }
            Err(error) if error.is_transient() => {
                repeated = true;
                shared.broker_trouble("settle", &error);
                if !backoff.pause_unless_aborted(shared).await {
                    break;
                }
            }
            Err(error) => {
                give_up(shared, &batch, &error);
                break;
            }
        }
    }
    let deliveries: Vec<_> = batch.iter().map(|settlement| delivery(&queue, settlement)).collect();
    shared.attempts.end(deliveries.iter());
}

fn delivery(queue: &QueueName, settlement: &Settlement) -> DeliveryId {
    DeliveryId { queue: queue.clone(), key: settlement.envelope.id.key.clone(), token: settlement.token }
}

fn count(shared: &Shared, settled: &[Settled], repeated: bool) {
    let fenced = settled.iter().filter(|settled| **settled == Settled::Fenced).count() as u64;
    match repeated {
        // It may have been applied the first time, when its answer was lost.
        true => shared.counters.unclear.add(fenced),
        false => shared.counters.fenced.add(fenced),
    }
}

/// A refusal that repeating will not mend. The tasks stay claimed, so that the lease brings them back.
fn give_up(shared: &Shared, batch: &[Settlement], error: &Error) {
    shared.counters.broker_errors.add(1);
    tracing::error!(%error, attempts = batch.len(), "the broker refuses to settle; the tasks will be handed out again");
}
