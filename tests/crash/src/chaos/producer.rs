//! The producer process: enqueues one task after another, and notes what it tried and what was acknowledged.

use std::{sync::Arc, time::Duration};

use taskq::{Durability, TaskHandle};
use taskq_crash_tests::{LONG, Seed};
use tokio::task::JoinSet;

use crate::{
    clock,
    history::{Event, Journal},
    options::{Manner, ProducerArguments},
    worker::{self, step},
};

/// The lengths of tasks, in milliseconds; one in fifty takes ten times as long.
const MILLIS: (u64, u64) = (5, 50);

/// Of ten tasks this many are delayed, by up to so many milliseconds.
const DELAYED: (u64, u64) = (2, 2_000);

/// How long a producer that is cut off tries.
const HASTE: Duration = Duration::from_secs(1);

/// The shortest time that results are kept.
const SHORT: Duration = Duration::from_secs(60);

pub(crate) async fn run(arguments: &ProducerArguments) -> Result<(), Box<dyn std::error::Error>> {
    let journal = Arc::new(Journal::open(&arguments.history)?);
    worker::note_errors(&journal);
    let manner = arguments.manner;
    let deadline = if manner.is_cut_off() { HASTE } else { LONG };
    let mut client = taskq::connect(&arguments.url).await?.client().with_deadline(deadline);
    if manner.is_replicated() {
        client = client.with_durability(Durability::Replicated(1));
    }
    let (mut seed, mut waits) = (Seed(arguments.seed), JoinSet::new());
    println!("ready");
    let begun = clock::now();
    let end = begun + Duration::from_secs_f64(arguments.seconds);
    for index in 0..arguments.count {
        let due = begun + Duration::from_secs_f64(arguments.seconds * index as f64 / arguments.count as f64);
        tokio::time::sleep(due.saturating_sub(clock::now())).await;
        if manner.is_cut_off() && clock::now() >= end {
            break;
        }
        let number = arguments.first + index;
        let millis = MILLIS.0 + seed.next(MILLIS.1 - MILLIS.0);
        let millis = if seed.next(50) == 0 { millis * 10 } else { millis };
        let delay = if seed.next(10) < DELAYED.0 { 1 + seed.next(DELAYED.1) } else { 0 };
        // It is not the tasks that end their workers here: none becomes a dead letter for having been there too often.
        let mut invocation = step::with(millis).max_deliveries(u8::MAX);
        if delay > 0 {
            invocation = invocation.delay(Duration::from_millis(delay));
        }
        if manner == Manner::Forgetful {
            invocation = invocation.result_ttl(SHORT);
        }
        journal.note(&Event::Tried { number, delay });
        match client.enqueue(invocation).await {
            Ok(handle) => {
                journal.note(&Event::Told { number, id: handle.id().to_string() });
                if manner == Manner::Waiting {
                    waits.spawn(wait(handle, Arc::clone(&journal)));
                }
            }
            Err(_) if manner.is_cut_off() => journal.note(&Event::GaveUp { number }),
            Err(error) => journal.note(&Event::Failed { number, error: error.to_string() }),
        }
    }
    while waits.join_next().await.is_some() {}
    println!("done");
    Ok(())
}

/// Waits for a result, and notes when it was in hand.
async fn wait(handle: TaskHandle<step>, journal: Arc<Journal>) {
    if handle.wait(LONG).await.is_ok() {
        journal.note(&Event::Waited { id: handle.id().to_string() });
    }
}
