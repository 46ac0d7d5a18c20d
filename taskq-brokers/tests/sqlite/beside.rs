//! Looks beside writers: whoever looks, however much and often, holds up nobody who writes, and the log stays short.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use taskq_core::{Invocation, Shelf, id::BatchId};
use tokio::task::JoinHandle;

use crate::{Place, queue};

/// Tasks that are looked at.
const TASKS: usize = 20_000;

/// Calls that write meanwhile, and tasks of each: some 200 MiB pass through the log.
const CALLS: usize = 1_000;
const TASKS_OF_A_CALL: usize = 20;

/// Longest that the log may get: 64 MB, when it waits for readers, and what is written while a checkpoint is under way.
const LOG: u64 = 100 * 1024 * 1024;

/// Far more than a commit takes that waits for nobody. Single ones may wait for a disk that others use too.
const COMMIT: Duration = Duration::from_millis(100);

/// Asks for counts and for the first pages of all shelves without a pause, as many operators would.
async fn look_on(place: &Place, ends: &Arc<AtomicBool>, looks: &Arc<AtomicU64>) -> JoinHandle<()> {
    let (connection, ends, looks) = (place.connect().await, Arc::clone(ends), Arc::clone(looks));
    tokio::spawn(async move {
        while !ends.load(Ordering::Relaxed) {
            connection.inspect().queue(&queue()).await.expect("looks");
            for shelf in Shelf::ALL {
                connection.inspect().tasks(&queue(), shelf, None, usize::MAX).await.expect("lists");
            }
            looks.fetch_add(1, Ordering::Relaxed);
        }
    })
}

async fn enqueue(connection: &taskq_core::Connection, count: usize, text: &str) {
    let envelopes: Vec<_> = (0..count)
        .map(|number| {
            let arguments = serde_json::json!({"number": number, "text": text});
            let invocation = Invocation::named("noop", &arguments).queue(queue().as_str());
            invocation.into_envelope().expect("valid")
        })
        .collect();
    connection.broker().enqueue(&queue(), BatchId::generate(), &envelopes).await.expect("enqueues");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn looks_without_a_pause_hold_up_no_commit_and_the_log_stays_short() {
    let place = Place::new();
    let writer = crate::connect(&format!("{}?synchronous=normal", place.url())).await;
    for _ in 0..TASKS / 200 {
        enqueue(&writer, 200, "").await;
    }
    let (ends, looks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let lookers = [look_on(&place, &ends, &looks).await, look_on(&place, &ends, &looks).await];
    let text = "x".repeat(9 * 1024);
    let (mut commits, mut longest_log) = (Vec::with_capacity(CALLS), 0);
    let log = place.folder.path().join("taskq.db-wal");
    for _ in 0..CALLS {
        let begun = Instant::now();
        enqueue(&writer, TASKS_OF_A_CALL, &text).await;
        commits.push(begun.elapsed());
        longest_log = longest_log.max(log.metadata().expect("is there").len());
    }
    ends.store(true, Ordering::Relaxed);
    for looker in lookers {
        looker.await.expect("went well");
    }
    commits.sort();
    let (median, longest) = (commits[CALLS / 2], commits[CALLS - 1]);
    let looks = looks.load(Ordering::Relaxed);
    println!("{looks} looks; a commit took {median:?}, at most {longest:?}; the log had {longest_log} bytes");
    assert!(looks > 10, "nobody looked");
    assert!(median < COMMIT, "a commit took {median:?}");
    assert!(longest_log < LOG, "the log has {longest_log} bytes");
}
