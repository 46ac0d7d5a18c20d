//! What one measurement brought.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Ledger;

/// What one measurement brought. Measurements that a system cannot make are skipped with the reason.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The figures; one measurement may bring several.
    #[serde(default)]
    pub values: Vec<Value>,
    /// Whether every task was executed and every result stored; `None` where nothing was to be executed.
    #[serde(default)]
    pub audit: Option<Audit>,
    /// Why nothing was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Value {
    /// What was measured, such as `start_p50_us`.
    pub metric: String,
    /// Its unit: `/s`, `us`, `bytes`, `s`, `x` (a ratio) and so on.
    pub unit: String,
    /// How much.
    pub value: f64,
}

/// What became of the tasks of one measurement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Tasks that were enqueued to be executed.
    pub tasks: u64,
    /// Tasks that were executed at least once.
    pub executed: u64,
    /// Executions beyond the first.
    pub duplicates: u64,
    /// Results that were asked for and should be stored, and those that were found.
    pub results_due: u64,
    /// Results that were found with the right value.
    pub results: u64,
}

impl Audit {
    /// The audit of a ledger, without results.
    pub fn of(tasks: u64, ledger: &Ledger) -> Self {
        Self { tasks, executed: ledger.executed(), duplicates: ledger.duplicates(), results_due: 0, results: 0 }
    }

    /// Each task executed exactly once, and each result there.
    pub fn is_ok(&self) -> bool {
        self.executed == self.tasks && self.duplicates == 0 && self.results == self.results_due
    }
}

impl Report {
    /// Nothing to measure, and why: `stores no results`.
    pub fn skipped(reason: &str) -> Self {
        Self { skipped: Some(reason.to_owned()), ..Self::default() }
    }

    /// With one more figure.
    pub fn value(mut self, metric: &str, unit: &str, value: f64) -> Self {
        self.values.push(Value { metric: metric.to_owned(), unit: unit.to_owned(), value });
        self
    }

    /// With the quantiles of latencies: `NAME_p50_us`, `NAME_p99_us`, `NAME_p999_us`.
    pub fn latencies(self, name: &str, mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let micros = |quantile| quantile_micros(&times, quantile);
        let values = [("p50", micros(0.5)), ("p99", micros(0.99)), ("p999", micros(0.999))];
        values.into_iter().fold(self, |report, (part, value)| report.value(&format!("{name}_{part}_us"), "us", value))
    }

    /// With what became of the tasks.
    pub fn audited(mut self, audit: Audit) -> Self {
        self.audit = Some(audit);
        self
    }
}

/// A quantile of sorted times, in microseconds, by the nearest rank; 0 if there are none.
pub fn quantile_micros(sorted: &[Duration], quantile: f64) -> f64 {
    let rank = (sorted.len() as f64 * quantile).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).map_or(0.0, |time| time.as_secs_f64() * 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_by_the_nearest_rank() {
        let times: Vec<_> = (1..=1_000).map(Duration::from_micros).collect();
        for (quantile, micros) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0), (1.0, 1_000.0)] {
            assert!((quantile_micros(&times, quantile) - micros).abs() < 1e-6, "{quantile}");
        }
        assert!(quantile_micros(&[], 0.5) < 1e-9);
    }

    #[test]
    fn an_audit_fails_on_what_is_missing_and_on_what_is_too_much() {
        let good = Audit { tasks: 2, executed: 2, duplicates: 0, results_due: 2, results: 2 };
        assert!(good.is_ok());
        assert!(!Audit { executed: 1, ..good }.is_ok());
        assert!(!Audit { duplicates: 1, ..good }.is_ok());
        assert!(!Audit { results: 1, ..good }.is_ok());
    }
}
