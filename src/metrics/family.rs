//! Every family of metrics: its name, what it counts, by what. docs/metrics.md has the same, as a test makes sure.

/// What kind of number a family has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// It only grows; its name ends in `_total`.
    Counter,
    /// It rises and falls.
    Gauge,
    /// How many values were how large: `_bucket`, `_sum` and `_count`.
    Histogram,
    /// Always 1; its labels are what it tells. Its name ends in `_info`.
    Info,
}

impl Kind {
    /// Its name in OpenMetrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }
}

/// A family of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Family {
    /// Its name, without what its kind adds.
    pub name: &'static str,
    /// What kind of number it has.
    pub kind: Kind,
    /// The unit of its values, which its name ends in; none for counts of events.
    pub unit: Option<&'static str>,
    /// What its values differ by.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

impl Family {
    /// The names under which its values stand in the text.
    pub fn series(&self) -> Vec<String> {
        let suffixes: &[&str] = match self.kind {
            Kind::Counter => &["_total"],
            Kind::Gauge => &[""],
            Kind::Histogram => &["_bucket", "_sum", "_count"],
            Kind::Info => &["_info"],
        };
        suffixes.iter().map(|suffix| format!("{}{suffix}", self.name)).collect()
    }
}

/// Every family that a process may tell. What a process does not have (a scheduler, a worker) it does not tell.
pub fn families() -> &'static [Family] {
    ALL
}

macro_rules! families {
    ($($constant:ident = $kind:ident $name:literal $([$unit:literal])? ($($label:literal),*) $help:literal;)*) => {
        $(
            pub(super) const $constant: Family = Family {
                name: $name,
                kind: Kind::$kind,
                unit: unit!($($unit)?),
                labels: &[$($label),*],
                help: $help,
            };
        )*
        const ALL: &[Family] = &[$($constant),*];
    };
}

macro_rules! unit {
    () => {
        None
    };
    ($unit:literal) => {
        Some($unit)
    };
}

families! {
    BUILD = Info "taskq_build" ("version")
        "The version of taskq that this process was built with.";

    ENQUEUED = Counter "taskq_tasks_enqueued" ("queue")
        "Tasks that the broker has accepted from this process.";
    NOT_ENQUEUED = Counter "taskq_tasks_not_enqueued" ("queue")
        "Tasks of this process that were not accepted: they were known, or their unique key was held.";

    STARTED = Counter "taskq_tasks_started" ("queue", "task")
        "Attempts that were begun.";
    SETTLED = Counter "taskq_tasks_settled" ("queue", "task", "outcome")
        "Attempts whose end the broker has taken.";
    PANICKED = Counter "taskq_tasks_panicked" ("queue", "task")
        "Attempts whose body panicked; settled as well.";
    TIMED_OUT = Counter "taskq_tasks_timed_out" ("queue", "task")
        "Attempts that took longer than their timeout; settled as well.";
    REDELIVERED = Counter "taskq_tasks_redelivered" ("queue")
        "Tasks that were handed out again, since the hand-out before never ended: a worker died or lost its lease.";
    RUN = Histogram "taskq_task_run_seconds" ["seconds"] ("queue", "task")
        "How long attempts took that have ended.";
    WAIT = Histogram "taskq_task_queue_wait_seconds" ["seconds"] ("queue", "task")
        "How long tasks were in the queue, from when they were due until an attempt began.";

    FENCED = Counter "taskq_settlements_fenced" ("queue")
        "Stale settlements that the broker refused: the task had been handed out to another worker.";
    UNCLEAR = Counter "taskq_settlements_unclear" ("queue")
        "Settlements repeated after a lost answer and then refused: applied the first time, or stale.";
    LEASES_LOST = Counter "taskq_leases_lost" ("queue")
        "Leases that this process lost; what it held is handed out again.";
    SLOTS = Gauge "taskq_worker_slots" ("lane")
        "Slots for tasks, by the queues that share them.";
    SLOTS_BUSY = Gauge "taskq_worker_slots_busy" ("lane")
        "Slots that a task has taken.";
    WORKER_READY = Gauge "taskq_worker_ready" ()
        "1 if the worker can work, as /readyz tells.";

    CLAIM_SECONDS = Histogram "taskq_claim_seconds" ["seconds"] ("queue")
        "How long the broker took to answer claims.";
    CLAIM_TASKS = Histogram "taskq_claim_tasks" ["tasks"] ("queue")
        "How many tasks claims brought.";
    SETTLE_SECONDS = Histogram "taskq_settle_seconds" ["seconds"] ("queue")
        "How long the broker took to answer settlements.";
    SETTLE_TASKS = Histogram "taskq_settle_tasks" ["tasks"] ("queue")
        "How many attempts were settled in one call.";

    BROKER_UP = Gauge "taskq_broker_up" ()
        "1 if the broker answered in time when it was asked how its queues are.";
    BROKER_ERRORS = Counter "taskq_broker_errors" ()
        "Broker calls of workers and clients that failed; most of them were repeated.";
    BROKER_RECONNECTS = Counter "taskq_broker_reconnects" ()
        "How often the way to the broker was opened again after it had broken.";
    DEPTH = Gauge "taskq_queue_depth" ("queue", "state")
        "Tasks of a queue, by state. Every process tells the same: take the max, not the sum.";
    OLDEST = Gauge "taskq_queue_oldest_ready_seconds" ["seconds"] ("queue")
        "How long that ready task has waited which has waited longest, of those that start next. Take the max.";
    QUEUE_WORKERS = Gauge "taskq_queue_workers" ("queue")
        "Workers with a living lease on a queue, by the broker. Take the max.";
    QUEUE_PAUSED = Gauge "taskq_queue_paused" ("queue")
        "1 if a queue is paused. Take the max.";
    QUEUES_LEFT_OUT = Gauge "taskq_queues_left_out" ()
        "Queues of the broker whose depth is not told, since there are too many.";

    SCHEDULER_READY = Gauge "taskq_scheduler_ready" ()
        "1 if the scheduler leads or could follow, as /readyz tells.";
    SCHEDULER_LEADER = Gauge "taskq_scheduler_leader" ()
        "1 if the scheduler of this process leads.";
    ELECTIONS = Counter "taskq_scheduler_elections" ()
        "How often the scheduler of this process was elected.";
    TICKS = Counter "taskq_scheduler_ticks" ("result")
        "Ticks that were fired: tasks enqueued, tasks not enqueued since they were known or held, and steps that skipped all.";
    MISFIRES = Counter "taskq_scheduler_misfires" ()
        "Steps of entries whose ticks were late by more than their grace time.";
    SCHEDULER_FENCED = Counter "taskq_scheduler_writes_fenced" ()
        "Writes of this scheduler that were refused since another one leads.";
    SCHEDULER_ERRORS = Counter "taskq_scheduler_broker_errors" ()
        "Broker calls of the scheduler that failed; they are repeated.";

    HEALTH = Gauge "taskq_health_checks" ("state")
        "Health checks, by how their targets are.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions() {
        let mut seen = std::collections::BTreeSet::new();
        for family in families() {
            let Family { name, unit, labels, help, .. } = family;
            assert!(seen.insert(name), "{name} is there twice");
            let is_lower = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            assert!(name.starts_with("taskq_") && is_lower(name), "{name}");
            assert!(labels.iter().all(|label| is_lower(label)), "{name}");
            assert!(unit.is_none_or(|unit| name.ends_with(&format!("_{unit}"))), "{name}");
            let reserved = ["_total", "_info", "_count", "_sum", "_bucket", "_created"];
            assert!(!reserved.iter().any(|suffix| name.ends_with(suffix)), "{name}");
            assert!(help.ends_with('.') && !help.contains(['\n', '\\', '"']), "{help}");
        }
    }
}
