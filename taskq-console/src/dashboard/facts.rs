//! [`Facts`]: everything that is known of one task.

use taskq_core::{Connection, Result, TaskId, TaskView, Timestamp};

use crate::{roll::Listed, why};

/// What is known of a task at one moment.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) now: Timestamp,
    pub(super) view: TaskView,
    pub(super) logs: Vec<Line>,
    /// Why it does not run, or what became of it.
    pub(super) why: String,
}

/// What its body said.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) at: Timestamp,
    pub(super) attempt: u32,
    pub(super) level: &'static str,
    pub(super) text: String,
}

/// Asks the broker for it; `None` if there is no such task.
pub(super) async fn gather(connection: &Connection, id: &TaskId) -> Result<Option<Facts>> {
    let Some(view) = connection.inspect().task(id).await? else { return Ok(None) };
    let now = connection.broker().now().await?;
    let why = why::of(connection, &view, now).await?.text;
    Ok(Some(Facts { now, view, logs: Vec::new(), why }))
}

/// The same, where the roll was called already: a look does that once for all tasks that are watched.
pub(super) async fn gather_among(connection: &Connection, id: &TaskId, roll: &[Listed]) -> Result<Option<Facts>> {
    let Some(view) = connection.inspect().task(id).await? else { return Ok(None) };
    let now = connection.broker().now().await?;
    let why = why::among(connection, &view, roll, now).await?.text;
    Ok(Some(Facts { now, view, logs: Vec::new(), why }))
}
