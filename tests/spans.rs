//! The span of an attempt, as whoever listens sees it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use taskq::{Worker, prelude::*};
use tracing::{
    Event, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};

/// Counts the spans of attempts that somebody still holds.
#[derive(Clone, Default)]
struct Held {
    next: Arc<AtomicU64>,
    attempts: Arc<Mutex<HashMap<u64, usize>>>,
}

impl Held {
    fn attempts(&self) -> usize {
        self.attempts.lock().expect("not poisoned").len()
    }
}

impl Subscriber for Held {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.target() == "taskq" && metadata.name() == "attempt"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        self.attempts.lock().expect("not poisoned").insert(id, 1);
        Id::from_u64(id)
    }

    fn clone_span(&self, id: &Id) -> Id {
        *self.attempts.lock().expect("not poisoned").get_mut(&id.into_u64()).expect("held") += 1;
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let mut attempts = self.attempts.lock().expect("not poisoned");
        let count = attempts.get_mut(&id.into_u64()).expect("held");
        *count -= 1;
        let is_closed = *count == 0;
        if is_closed {
            attempts.remove(&id.into_u64());
        }
        is_closed
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Computes for so long that the tasks behind it have to let others onto the thread.
#[task]
async fn computes() {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1) {
        std::hint::spin_loop();
    }
}

#[tokio::test]
async fn who_learns_of_the_end_of_an_attempt_finds_its_span_closed() {
    let held = Held::default();
    let _listens = tracing::subscriber::set_default(held.clone());
    let connection = taskq::connect("memory://").await.expect("opens");
    let handles = connection.client().enqueue_all((0..3).map(|_| computes::with())).await.expect("enqueues");
    let worker = Worker::builder(connection).queue("default", 8).start().await.expect("starts");
    for handle in handles {
        handle.wait(Duration::from_secs(60)).await.expect("succeeds");
    }
    assert_eq!(held.attempts(), 0, "spans of ended attempts are held");
    worker.drain();
    assert_eq!(worker.ended().await.succeeded, 3);
}
