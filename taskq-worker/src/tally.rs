//! What a worker did, counted.

use taskq_core::counter::Counter;

/// Counts since the worker was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Tasks handed out to this worker.
    pub claimed: u64,
    /// Attempts that succeeded.
    pub succeeded: u64,
    /// Attempts that failed and are followed by another.
    pub retried: u64,
    /// Attempts after which the task became a dead letter.
    pub dead: u64,
    /// Attempts that ended because their task was cancelled.
    pub cancelled: u64,
    /// Tasks put off without spending an attempt: snoozed, or of a name this worker does not know.
    pub put_off: u64,
    /// Bodies that panicked.
    pub panicked: u64,
    /// Attempts that took longer than their timeout.
    pub timed_out: u64,
    /// Stale writes of this worker that the broker refused.
    pub fenced: u64,
    /// Settlements repeated after a lost answer and then refused: applied the first time, or stale.
    pub unclear: u64,
    /// Leases that this worker lost.
    pub leases_lost: u64,
    /// Broker calls that failed and were repeated.
    pub broker_errors: u64,
    /// Log lines that were dropped: too many at once, or the broker did not take them.
    pub log_lines_lost: u64,
    /// Threads whose plain body ignored its timeout or cancellation and runs on, without a slot.
    pub stuck_threads: u64,
}

/// The counters behind a [`Tally`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) claimed: Counter,
    pub(crate) succeeded: Counter,
    pub(crate) retried: Counter,
    pub(crate) dead: Counter,
    pub(crate) cancelled: Counter,
    pub(crate) put_off: Counter,
    pub(crate) panicked: Counter,
    pub(crate) timed_out: Counter,
    pub(crate) fenced: Counter,
    pub(crate) unclear: Counter,
    pub(crate) leases_lost: Counter,
    pub(crate) broker_errors: Counter,
    pub(crate) log_lines_lost: Counter,
}

impl Counters {
    pub(crate) fn tally(&self, stuck_threads: u64) -> Tally {
        Tally {
            claimed: self.claimed.get(),
            succeeded: self.succeeded.get(),
            retried: self.retried.get(),
            dead: self.dead.get(),
            cancelled: self.cancelled.get(),
            put_off: self.put_off.get(),
            panicked: self.panicked.get(),
            timed_out: self.timed_out.get(),
            fenced: self.fenced.get(),
            unclear: self.unclear.get(),
            leases_lost: self.leases_lost.get(),
            broker_errors: self.broker_errors.get(),
            log_lines_lost: self.log_lines_lost.get(),
            stuck_threads,
        }
    }
}
