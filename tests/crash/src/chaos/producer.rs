//! The producer process: enqueues one task after another, and notes what it tried and what was acknowledged.

use std::time::Duration;

use taskq_crash_tests::{LONG, Seed};

use crate::{
    clock,
    history::{Event, Journal},
    options::ProducerArguments,
    worker::step,
};

/// The lengths of tasks, in milliseconds; one in fifty takes ten times as long.
const MILLIS: (u64, u64) = (5, 50);

pub(crate) async fn run(arguments: &ProducerArguments) -> Result<(), Box<dyn std::error::Error>> {
    let journal = Journal::open(&arguments.history)?;
    let client = taskq::connect(&arguments.url).await?.client().with_deadline(LONG);
    let mut seed = Seed(arguments.seed);
    println!("ready");
    let begun = clock::now();
    for index in 0..arguments.count {
        let due = begun + Duration::from_secs_f64(arguments.seconds * index as f64 / arguments.count as f64);
        tokio::time::sleep(due.saturating_sub(clock::now())).await;
        let number = arguments.first + index;
        let millis = MILLIS.0 + seed.next(MILLIS.1 - MILLIS.0);
        let millis = if seed.next(50) == 0 { millis * 10 } else { millis };
        journal.note(&Event::Tried { number });
        // It is not the tasks that end their workers here: none becomes a dead letter for having been there too often.
        match client.enqueue(step::with(millis).max_deliveries(u8::MAX)).await {
            Ok(handle) => journal.note(&Event::Told { number, id: handle.id().to_string() }),
            Err(error) => journal.note(&Event::Failed { number, error: error.to_string() }),
        }
    }
    println!("done");
    Ok(())
}
