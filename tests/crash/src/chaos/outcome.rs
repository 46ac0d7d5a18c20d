//! What a campaign found, as a row of a table or as JSON.

use std::time::Duration;

use serde::Serialize;

use crate::{check::Verdict, fleet::Tallies};

/// One nemesis on one broker.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) nemesis: String,
    pub(crate) broker: String,
    pub(crate) seed: u64,
    pub(crate) tasks: u64,
    /// Faults that were made.
    pub(crate) kills: u64,
    pub(crate) lost: usize,
    pub(crate) repeated: u64,
    pub(crate) duplicates_unexplained: usize,
    pub(crate) stale_accepted: usize,
    pub(crate) stale_refused: u64,
    pub(crate) phantoms: usize,
    /// Enqueues that gave up within their deadline.
    pub(crate) errors: usize,
    /// Attempts that were spent.
    pub(crate) attempts_spent: u64,
    pub(crate) recovery_p99_ms: Option<u64>,
    pub(crate) recoveries: usize,
    /// The longest time from a heal until a task that was enqueued then had run, where nobody could work before.
    pub(crate) back_ms: Option<u64>,
    pub(crate) seconds: u64,
    pub(crate) ok: bool,
}

impl Outcome {
    /// Judges: nothing lost, nothing stale, nothing unexplained, no error and no attempt spent.
    pub(crate) fn judged(mut self, verdict: &Verdict, tallies: Tallies) -> Self {
        self.lost = verdict.lost.len();
        self.repeated = verdict.repeated;
        self.duplicates_unexplained = verdict.unexplained.len();
        self.stale_accepted = verdict.stale.len();
        self.stale_refused = tallies.fenced;
        self.phantoms = verdict.phantoms.len();
        self.attempts_spent = tallies.retried + tallies.dead;
        self.recovery_p99_ms = percentile(&verdict.recoveries, 0.99);
        self.recoveries = verdict.recoveries.len();
        let broken = [self.lost, self.duplicates_unexplained, self.stale_accepted, self.phantoms, self.errors];
        self.ok = broken.iter().all(|count| *count == 0) && self.attempts_spent == 0;
        self
    }
}

fn percentile(durations: &[Duration], part: f64) -> Option<u64> {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    let last = sorted.len().checked_sub(1)?;
    let index = (last as f64 * part).ceil() as usize;
    u64::try_from(sorted[index].as_millis()).ok()
}

/// A table for people.
pub(crate) fn print(outcomes: &[Outcome]) {
    println!(
        "{:<14} {:<7} {:>5} {:>7} {:>6} {:>5} {:>9} {:>12} {:>7} {:>8} {:>7} {:>9} {:>8}  ok",
        "nemesis",
        "broker",
        "seed",
        "tasks",
        "faults",
        "lost",
        "ran again",
        "unexplained",
        "stale",
        "refused",
        "errors",
        "rerun p99",
        "back"
    );
    for outcome in outcomes {
        let [rerun, back] = [outcome.recovery_p99_ms, outcome.back_ms]
            .map(|millis| millis.map_or_else(|| "-".to_owned(), |millis| format!("{millis} ms")));
        println!(
            "{:<14} {:<7} {:>5} {:>7} {:>6} {:>5} {:>9} {:>12} {:>7} {:>8} {:>7} {:>9} {:>8}  {}",
            outcome.nemesis,
            outcome.broker,
            outcome.seed,
            outcome.tasks,
            outcome.kills,
            outcome.lost,
            outcome.repeated,
            outcome.duplicates_unexplained,
            outcome.stale_accepted,
            outcome.stale_refused,
            outcome.errors,
            rerun,
            back,
            if outcome.ok { "ok" } else { "BROKEN" }
        );
    }
}
