//! `bench`: what this broker takes and gives, from here.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use taskq_core::{
    BoxError, Connection, ControlExt, Invocation, Payload, Purge, QueueName, WorkerId,
    broker::{Ending, Settlement},
    id::{ClaimNumber, Owner},
    limits,
};

use super::{
    Done,
    output::{Field, say, say_table},
};
use crate::words::{length, rate};

/// Where it measures. Queues stay listed, so it is always the same.
const QUEUE: &str = "taskq-bench";

/// Lone tasks that are measured one by one.
const ALONE: u32 = 200;

/// So long the ends of its tasks are kept: nobody asks for them.
const KEPT: Duration = Duration::from_secs(60);

#[derive(Args, Debug)]
pub struct BenchArgs {
    /// How many tasks
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=5_000_000))]
    tasks: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was measured.
struct Measured {
    enqueue: Duration,
    drain: Duration,
    /// How long each lone enqueue took, until it was acknowledged.
    alone: Vec<Duration>,
}

/// Measures in a queue of its own, which is empty afterwards.
pub(super) async fn run(connection: &Connection, args: BenchArgs) -> Result<Done, BoxError> {
    let queue = QueueName::new(QUEUE)?;
    let counts = connection.inspect().counts(&queue).await?;
    if counts.ready + counts.running > 0 {
        return Err(format!("somebody else measures here: the queue {QUEUE} is not empty; purge it, or wait").into());
    }
    let measured = measure(connection, &queue, args.tasks).await;
    // However it ended, nothing of it stays.
    connection.control().purge_all(&queue, Purge::Waiting, |_| {}).await?;
    let Measured { enqueue, drain, mut alone } = measured?;
    alone.sort();
    let quantile = |share: f64| alone[((alone.len() - 1) as f64 * share) as usize];
    let per_second = |time: Duration| f64::from(args.tasks) / time.as_secs_f64();
    if args.json {
        say(json!({
            "broker": connection.address(), "tasks": args.tasks, "enqueue_per_second": per_second(enqueue),
            "drain_per_second": per_second(drain), "enqueue_p50_ms": quantile(0.5).as_secs_f64() * 1e3,
            "enqueue_p99_ms": quantile(0.99).as_secs_f64() * 1e3,
        }));
        return Ok(Done::Well);
    }
    let row = |what: &str, found: String| [Field::text(what), Field::text(found)];
    say_table(
        ["MEASURED", "FOUND"],
        [
            row("enqueued in bulk", format!("{} tasks a second", rate(per_second(enqueue)))),
            row("claimed and settled, one worker", format!("{} tasks a second", rate(per_second(drain)))),
            row("one task enqueued, median", length(quantile(0.5))),
            row("one task enqueued, 99 of 100", length(quantile(0.99))),
        ],
    );
    Ok(Done::Well)
}

async fn measure(connection: &Connection, queue: &QueueName, tasks: u32) -> Result<Measured, BoxError> {
    let clock = connection.clock();
    let begun = clock.monotonic();
    let invocation =
        |number: u32| Invocation::named("noop", &json!({"n": number})).queue(queue.as_str()).result_ttl(KEPT);
    connection.client().enqueue_all((0..tasks).map(invocation)).await?;
    let enqueue = clock.monotonic() - begun;
    let begun = clock.monotonic();
    drain(connection, queue, tasks).await?;
    let drained = clock.monotonic() - begun;
    let mut alone = Vec::with_capacity(ALONE as usize);
    for number in 0..ALONE {
        let sent = clock.monotonic();
        connection.client().enqueue(invocation(number)).await?;
        alone.push(clock.monotonic() - sent);
    }
    drain(connection, queue, ALONE).await?;
    Ok(Measured { enqueue, drain: drained, alone })
}

/// What a worker does at the broker, and nothing else.
async fn drain(connection: &Connection, queue: &QueueName, tasks: u32) -> Result<(), BoxError> {
    let broker = connection.broker();
    let owner = Owner { worker: WorkerId::generate(), term: 0 };
    broker.join(owner, queue, limits::MAX_LEASE).await?;
    let (mut done, mut number) = (0, 0);
    while done < tasks {
        number += 1;
        let claimed = broker.claim(owner, queue, limits::CLAIM_BATCH, ClaimNumber(number)).await?.claimed;
        done += claimed.len() as u32;
        let settlements: Vec<Settlement> = claimed
            .into_iter()
            .map(|claimed| {
                Ok(Settlement {
                    token: claimed.token,
                    envelope: claimed.envelope,
                    ending: Ending::Succeeded(Payload::encode("encode", &(), 10)?),
                })
            })
            .collect::<taskq_core::Result<_>>()?;
        for settlements in settlements.chunks(limits::SETTLE_BATCH) {
            broker.settle(owner, queue, settlements).await?;
        }
    }
    broker.leave(owner, queue).await?;
    Ok(())
}
