//! What a scheduler did, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a scheduler did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often it was elected.
    pub elected: u64,
    /// Tasks that its ticks enqueued.
    pub enqueued: u64,
    /// Tasks of its ticks that were known already, or whose unique key was held.
    pub not_enqueued: u64,
    /// Steps that skipped all of their ticks: missed ones, or because the last run had not ended.
    pub skipped: u64,
    /// Writes that were refused since another one leads.
    pub fenced: u64,
    /// Broker calls that failed; they are repeated.
    pub broker_errors: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The same, while it counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) elected: Counter,
    pub(crate) enqueued: Counter,
    pub(crate) not_enqueued: Counter,
    pub(crate) skipped: Counter,
    pub(crate) fenced: Counter,
    pub(crate) broker_errors: Counter,
}

impl Counters {
    pub(crate) fn tally(&self) -> Tally {
        Tally {
            elected: self.elected.read(),
            enqueued: self.enqueued.read(),
            not_enqueued: self.not_enqueued.read(),
            skipped: self.skipped.read(),
            fenced: self.fenced.read(),
            broker_errors: self.broker_errors.read(),
        }
    }
}
