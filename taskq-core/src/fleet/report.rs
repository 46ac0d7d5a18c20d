//! What a member of the fleet reports: as JSON, so that people and programs of other versions can read it.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// What a process says of itself. Fields that a newer version adds are ignored by an older one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What it is.
    pub kind: MemberKind,
    /// The name of its program.
    pub program: String,
    /// The version of taskq in it.
    pub version: String,
    /// The machine's name.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// When it started, by its own clock.
    pub started_at: Timestamp,
    /// When it sent this, by its own clock: beside the broker's time it tells how wrong that is.
    pub sent_at: Timestamp,
    /// Whether it takes no more tasks and ends when those that run have ended.
    #[serde(default)]
    pub draining: bool,
    /// Why it cannot work, if it cannot.
    #[serde(default)]
    pub not_ready: Option<String>,
    /// A worker's lanes.
    #[serde(default)]
    pub lanes: Vec<LaneReport>,
    /// Names of the tasks that a worker knows, at most [`REPORTED_TASKS`](crate::limits::REPORTED_TASKS).
    #[serde(default)]
    pub tasks: Vec<String>,
    /// What a worker runs, at most [`REPORTED_RUNNING`](crate::limits::REPORTED_RUNNING), longest first.
    #[serde(default)]
    pub running: Vec<ReportedTask>,
    /// How many tasks a worker runs in all.
    #[serde(default)]
    pub running_count: u64,
    /// The fencing token under which a scheduler leads, if it does.
    #[serde(default)]
    pub leads: Option<u64>,
}

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberKind {
    /// It runs tasks.
    Worker,
    /// It stands for leader, and enqueues what is due.
    Scheduler,
    /// Something that this version does not know.
    #[serde(other)]
    Other,
}

/// Slots that queues share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneReport {
    /// The queues.
    pub queues: Vec<String>,
    /// Their slots.
    pub slots: u64,
}

/// A task that a worker runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedTask {
    /// Its id.
    pub id: String,
    /// Its name.
    pub task: String,
    /// Which attempt, 1-based.
    pub attempt: u32,
    /// For how long, in milliseconds.
    pub for_ms: u64,
}
