//! What a campaign found, as a row of a table or as JSON.

use std::time::Duration;

use serde::Serialize;

use crate::{check::Verdict, fleet::Tallies, nemesis::Nemesis, soak::Wear};

/// A server's loss has to be told this soon after it is back.
const REPORT_WITHIN_MS: u64 = 1_000;

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
    /// Tasks that began before their time.
    pub(crate) early: usize,
    /// Enqueues that gave up within their deadline.
    pub(crate) errors: usize,
    /// Attempts that were spent and should not have been.
    pub(crate) attempts_spent: u64,
    /// Leases that workers lost.
    pub(crate) leases_lost: u64,
    /// Bodies that were meant to fail, hang or crash, and ended otherwise than they should.
    pub(crate) misbehaved: usize,
    pub(crate) recovery_p99_ms: Option<u64>,
    pub(crate) recoveries: usize,
    /// The longest time from a heal until a task that was enqueued then had run, where nobody could work before.
    pub(crate) back_ms: Option<u64>,
    /// The longest time without an acknowledged enqueue, where the primary was lost.
    pub(crate) write_gap_ms: Option<u64>,
    /// Results that producers waited for, those that never came, and how long after the end they came.
    pub(crate) waits: Option<usize>,
    pub(crate) waits_hung: Option<usize>,
    pub(crate) wait_p99_ms: Option<u64>,
    /// From the return of a server that had lost something until a process told so, at most.
    pub(crate) loss_reported_ms: Option<u64>,
    /// Ticks of entries: planned, run, run twice; and from the end of a leader until another one led.
    pub(crate) ticks_expected: u64,
    pub(crate) ticks: u64,
    pub(crate) doubled: u64,
    pub(crate) takeover_p99_ms: Option<u64>,
    /// Failovers by sentinels without a fault of ours: the machine stood still. They lose as a partition does.
    pub(crate) failovers_unasked: usize,
    /// The greatest error of a worker's wall clock, in seconds.
    pub(crate) clock_off_s: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) wear: Option<Wear>,
    pub(crate) seconds: u64,
    pub(crate) ok: bool,
}

impl Outcome {
    /// Judges: nothing lost, nothing stale, nothing unexplained, nothing early, no error, no attempt spent, and what the
    /// nemesis asks for itself.
    pub(crate) fn judged(mut self, nemesis: Nemesis, verdict: &Verdict, tallies: Tallies) -> Self {
        self.lost = verdict.lost.len();
        self.repeated = verdict.repeated;
        self.duplicates_unexplained = verdict.unexplained.len();
        self.stale_accepted = verdict.stale.len();
        self.stale_refused = tallies.fenced;
        self.phantoms = verdict.phantoms.len();
        self.early = verdict.early.len() + usize::try_from(verdict.ticks.early).unwrap_or(usize::MAX);
        (self.ticks_expected, self.ticks, self.doubled) =
            (verdict.ticks.expected, verdict.ticks.ran, verdict.ticks.doubled);
        self.attempts_spent = if nemesis.spends_attempts() { 0 } else { tallies.retried + tallies.dead };
        self.leases_lost = tallies.leases_lost;
        self.clock_off_s = tallies.clock_off;
        self.recovery_p99_ms = percentile(&verdict.recoveries, 0.99);
        self.recoveries = verdict.recoveries.len();
        match nemesis {
            Nemesis::Failover | Nemesis::Partition | Nemesis::PartitionPlain => {
                self.write_gap_ms = verdict.write_gap.and_then(millis);
            }
            Nemesis::PowerLoss => self.loss_reported_ms = verdict.reports.iter().max().copied().and_then(millis),
            Nemesis::LostNotices => self.wait_p99_ms = percentile(&verdict.waits, 0.99),
            _ => {}
        }
        let broken = [
            self.duplicates_unexplained,
            self.stale_accepted,
            self.phantoms,
            self.early,
            self.errors,
            self.misbehaved,
            self.waits_hung.unwrap_or(0),
        ];
        self.ok = broken.iter().all(|count| *count == 0)
            && self.attempts_spent == 0
            && (self.ticks, self.doubled) == (self.ticks_expected, 0)
            && (nemesis.schedulers() == 0 || self.ticks > 0)
            && self.is_loss_in_order(nemesis)
            && (nemesis.may_cost_leases() || self.leases_lost == 0)
            && self.wear.as_ref().is_none_or(|wear| wear.complaints().is_empty());
        self
    }

    /// Nothing is lost, or what is lost was told in time, or is what the nemesis shows.
    fn is_loss_in_order(&self, nemesis: Nemesis) -> bool {
        match (self.lost, nemesis.may_lose(), nemesis) {
            (0, ..) => true,
            (_, true, Nemesis::PowerLoss) => self.loss_reported_ms.is_some_and(|after| after <= REPORT_WITHIN_MS),
            (_, may_lose, _) => may_lose,
        }
    }

    /// What the nemesis measures besides, in a few words.
    fn measured(&self) -> String {
        let figures = [
            ("rerun p99", self.recovery_p99_ms),
            ("back", self.back_ms),
            ("write gap", self.write_gap_ms),
            ("wait p99", self.wait_p99_ms),
            ("loss told", self.loss_reported_ms),
            ("takeover p99", self.takeover_p99_ms),
        ];
        let figures = figures.into_iter().filter_map(|(name, millis)| Some(format!("{name} {} ms", millis?)));
        let off = (self.clock_off_s > 0).then(|| format!("clocks {} s off", self.clock_off_s));
        let ticks = (self.ticks_expected > 0).then(|| format!("ticks {} of {}", self.ticks, self.ticks_expected));
        figures.chain(off).chain(ticks).collect::<Vec<_>>().join(", ")
    }
}

fn millis(duration: Duration) -> Option<u64> {
    u64::try_from(duration.as_millis()).ok()
}

pub(crate) fn percentile(durations: &[Duration], part: f64) -> Option<u64> {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    let last = sorted.len().checked_sub(1)?;
    let index = (last as f64 * part).ceil() as usize;
    millis(sorted[index])
}

/// A table for people.
pub(crate) fn print(outcomes: &[Outcome]) {
    println!(
        "{:<15} {:<7} {:>5} {:>7} {:>6} {:>5} {:>9} {:>12} {:>6} {:>8} {:>6} {:>6}  {:<6} measured",
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
        "leases",
        "ok"
    );
    for outcome in outcomes {
        println!(
            "{:<15} {:<7} {:>5} {:>7} {:>6} {:>5} {:>9} {:>12} {:>6} {:>8} {:>6} {:>6}  {:<6} {}",
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
            outcome.leases_lost,
            if outcome.ok { "ok" } else { "BROKEN" },
            outcome.measured()
        );
    }
}
