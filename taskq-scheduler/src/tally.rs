//! What a scheduler did, in numbers.

use taskq_core::counter::Counter;

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
    /// Steps of entries whose ticks were late by more than their grace time, whatever became of these.
    pub misfired: u64,
    /// Writes that were refused since another one leads.
    pub fenced: u64,
    /// Broker calls that failed; they are repeated.
    pub broker_errors: u64,
}

/// The same, while it counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) elected: Counter,
    pub(crate) enqueued: Counter,
    pub(crate) not_enqueued: Counter,
    pub(crate) skipped: Counter,
    pub(crate) misfired: Counter,
    pub(crate) fenced: Counter,
    pub(crate) broker_errors: Counter,
}

impl Counters {
    pub(crate) fn tally(&self) -> Tally {
        Tally {
            elected: self.elected.get(),
            enqueued: self.enqueued.get(),
            not_enqueued: self.not_enqueued.get(),
            skipped: self.skipped.get(),
            misfired: self.misfired.get(),
            fenced: self.fenced.get(),
            broker_errors: self.broker_errors.get(),
        }
    }
}
