//! [`Timetable`]: what the dashboard needs of schedules. The facade implements it over the scheduler's entries.

use std::fmt;

use async_trait::async_trait;
use taskq_core::{EntryId, Result, TaskId, Timestamp};

/// Schedules, as the dashboard shows and changes them.
#[async_trait]
pub trait Timetable: fmt::Debug + Send + Sync {
    /// Entries by queue and name, after `after`. At most `count`; an empty page is the end.
    async fn page(&self, after: Option<&EntryId>, count: usize) -> Result<Vec<TimetableRow>>;

    /// One entry, with as many of its next fire times.
    async fn find(&self, id: &EntryId, fire_times: usize) -> Result<Option<TimetableRow>>;

    /// Stops an entry until it is resumed. False if there is none.
    async fn pause(&self, id: &EntryId) -> Result<bool>;

    /// Lets a paused entry go on. False if there is none.
    async fn resume(&self, id: &EntryId) -> Result<bool>;

    /// Enqueues the task of an entry now.
    async fn trigger(&self, id: &EntryId) -> Result<TaskId>;
}

/// An entry as the dashboard shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct TimetableRow {
    /// Its queue and name.
    pub id: EntryId,
    /// Its schedule in words; `None` if it cannot be read.
    pub schedule: Option<String>,
    /// Which task it enqueues.
    pub task: Option<String>,
    /// With which arguments, as JSON.
    pub arguments: Option<String>,
    /// Where it comes from: a program, a file, run time.
    pub origin: String,
    /// Whether it is stopped until it is resumed.
    pub is_paused: bool,
    /// When it was added.
    pub created_at: Timestamp,
    /// The last tick for which a task was enqueued.
    pub last_fired: Option<Timestamp>,
    /// The next fire times, soonest first.
    pub upcoming: Vec<Timestamp>,
    /// What becomes of missed ticks, and of ticks while the last run goes on.
    pub policies: String,
    /// Why it cannot be read.
    pub error: Option<String>,
}
