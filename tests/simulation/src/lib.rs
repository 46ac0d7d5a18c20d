//! What the simulated clients and workers do: a little of everything that a task can ask for.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use taskq::{
    ControlExt, Purge, QueueName,
    prelude::*,
    testing::{Cluster, ClusterBuilder},
};
use taskq_core::retry::scramble;

/// Tasks of one scenario, besides those with unique keys.
const TASKS: u64 = 40;

/// What the bodies share: a number for each execution, so that two executions have different results.
#[derive(Debug, Default)]
pub struct Executions(AtomicU64);

impl Executions {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// Takes a while; its result tells one execution from another.
#[task(queue = "work", retry = Retry::fixed(Duration::from_millis(400)).attempts(4))]
async fn work(ctx: &Context<Arc<Executions>>, millis: u64, failures: u32) -> TaskResult<u64> {
    let execution = ctx.app().next();
    ctx.progress(1, 2);
    ctx.sleep(Duration::from_millis(millis)).await;
    if ctx.attempt() <= failures {
        return Err(TaskError::from("not yet"));
    }
    Ok(execution)
}

/// Has no result, in a queue of its own.
#[task(queue = "mail", timeout = Duration::from_secs(3))]
async fn mail(ctx: &Context<Arc<Executions>>, millis: u64) {
    ctx.sleep(Duration::from_millis(millis)).await;
}

/// Heeds a request to stop.
#[task(queue = "work")]
async fn obedient(ctx: &Context<Arc<Executions>>, millis: u64) -> TaskResult<u64> {
    let end = ctx.deadline();
    for _ in 0..millis / 100 {
        ctx.sleep(Duration::from_millis(100)).await;
        if ctx.is_cancelled() {
            return Err(TaskError::cancelled());
        }
    }
    Ok(end.as_millis().unsigned_abs())
}

/// Three workers with few slots, which do not wait long for what runs when they end.
pub fn cluster(seed: u64) -> ClusterBuilder {
    let executions = Arc::new(Executions::default());
    Cluster::seeded(seed).workers(3, move |worker| {
        let worker = worker.app(Arc::clone(&executions)).drain(Duration::from_secs(2));
        worker.tasks(tasks![work, mail, obedient]).queue("work", 4).queue("mail", 2)
    })
}

/// Enqueues a little of everything, some of which is cancelled or waited for.
pub async fn scenario(cluster: &Cluster, seed: u64) {
    let client = cluster.client();
    let mut unique = Vec::new();
    for number in 0..TASKS {
        let dice = scramble(seed ^ number << 32);
        enqueue_one(&client, dice, number).await;
        if number % 4 == 0 {
            unique.push(enqueue_unique(&client, dice).await);
        }
        cluster.sleep(Duration::from_millis(dice >> 20 & 0x3ff)).await;
    }
    end(cluster, unique).await;
}

/// The same, and an operator who now and then takes tasks or dead letters away, all of them or a few.
pub async fn scenario_with_purges(cluster: &Cluster, seed: u64) {
    let (client, connection) = (cluster.client(), cluster.connection());
    let mut unique = Vec::new();
    for number in 0..TASKS {
        let dice = scramble(seed ^ number << 32);
        enqueue_one(&client, dice, number).await;
        if number % 4 == 0 {
            unique.push(enqueue_unique(&client, dice).await);
        }
        if number % 5 == 0 {
            let queue = if dice & 1 == 0 { "work" } else { "mail" };
            let queue = QueueName::new(queue).expect("a valid name");
            let what = if dice & 6 == 0 { Purge::DeadLetters } else { Purge::Waiting };
            // A lost answer leaves open what went; the history knows.
            drop(match dice & 8 {
                0 => connection.control().purge(&queue, what, 3).await.map(drop),
                _ => connection.control().purge_all(&queue, what, |_| {}).await.map(drop),
            });
        }
        cluster.sleep(Duration::from_millis(dice >> 20 & 0x3ff)).await;
    }
    end(cluster, unique).await;
}

/// The same, and an operator who now and then pauses a queue, resumes one, or does not wait until a task is due.
pub async fn scenario_with_pauses(cluster: &Cluster, seed: u64) {
    let (client, connection) = (cluster.client(), cluster.connection());
    let queues = ["work", "mail"].map(|name| QueueName::new(name).expect("a valid name"));
    let control = connection.control();
    let mut unique = Vec::new();
    for number in 0..TASKS {
        let dice = scramble(seed ^ number << 32);
        enqueue_one(&client, dice, number).await;
        let queue = &queues[usize::from(dice & 1 == 0)];
        // A lost answer leaves open whether it is paused; the history knows.
        match dice >> 4 & 7 {
            0 | 1 => drop(control.pause(queue).await),
            2 | 3 => drop(control.resume(queue).await),
            4 => {
                let hour = work::with(dice >> 8 & 0x1ff, 0).delay(Duration::from_secs(3_600));
                let later = client.enqueue(hour).await.expect("the deadline is longer than any fault");
                drop(control.run_now(later.id()).await);
            }
            5 => unique.push(enqueue_unique(&client, dice).await),
            _ => {}
        }
        cluster.sleep(Duration::from_millis(dice >> 20 & 0x3ff)).await;
    }
    cluster.heal();
    // A pause that its sender has given up may be on its way for so long.
    cluster.sleep(Duration::from_secs(10)).await;
    for queue in &queues {
        control.resume(queue).await.expect("the network is healed");
    }
    end(cluster, unique).await;
}

async fn end(cluster: &Cluster, unique: Vec<TaskHandle<work>>) {
    cluster.heal();
    cluster.until_idle().await;
    // The history learns how each ended, and whether its key is free now.
    for handle in unique {
        handle.snapshot().await.expect("the network is healed");
    }
    for key in [0, 1] {
        enqueue_unique(&cluster.client(), key).await;
    }
}

async fn enqueue_one(client: &Client, dice: u64, number: u64) {
    // From nothing to longer than a lease.
    let millis = if dice.is_multiple_of(5) { dice >> 8 & 0x1fff } else { dice >> 8 & 0x1ff };
    let failures = u32::try_from(dice >> 40 & 7).map_or(0, |eighth| eighth.saturating_sub(5));
    let expected = "the deadline is longer than any fault";
    match number % 8 {
        0 => {
            let handle = client.enqueue(work::with(millis, failures).priority(9)).await.expect(expected);
            // Whatever becomes of it: the history has what the client heard.
            drop(handle.wait(Duration::from_secs(3)).await);
        }
        1 => drop(client.enqueue(mail::with(millis)).await.expect(expected)),
        2 => {
            let delay = Duration::from_millis(dice >> 16 & 0xfff);
            drop(client.enqueue(work::with(millis, failures).delay(delay)).await.expect(expected));
        }
        3 => {
            let handle = client.enqueue(obedient::with(6_000)).await.expect(expected);
            if dice & 1 == 0 {
                client.connection().clock().sleep(Duration::from_millis(300)).await;
                handle.cancel().await.expect(expected);
            }
        }
        4 => {
            let expiring = work::with(millis, 0).expires_in(Duration::from_secs(2));
            drop(client.enqueue(expiring).await.expect(expected));
        }
        5 => {
            // The same id in several calls: one task.
            let own = work::with(millis, 0).id(format!("own-{}", number / 16));
            drop(client.enqueue(own).await.expect(expected));
        }
        6 => {
            let many = (0..6).map(|_| work::with(millis / 4, failures));
            drop(client.enqueue_all(many).await.expect(expected));
        }
        _ => drop(client.enqueue(work::with(millis, failures)).await.expect(expected)),
    }
}

/// Long ones that bear few crashes, so that some are buried and their unique keys have to come free.
async fn enqueue_unique(client: &Client, dice: u64) -> TaskHandle<work> {
    let millis = 1_000 + (dice >> 12 & 0xfff);
    let unique = Unique::key(format!("key-{}", dice & 1));
    let unique = match dice >> 2 & 7 {
        0 => unique.until_start(),
        1 => unique.for_duration(Duration::from_secs(2)),
        2 => unique.replace(),
        _ => unique,
    };
    let invocation = work::with(millis, 0).unique(unique).max_deliveries(1);
    client.enqueue(invocation).await.expect("the deadline is longer than any fault")
}
