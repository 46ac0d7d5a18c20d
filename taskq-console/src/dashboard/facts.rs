//! [`Facts`]: everything that is known of one task.

use taskq_core::{Connection, LogLine, Result, TaskId, TaskView, Timestamp};

use crate::{roll::Listed, why};

/// What is known of a task at one moment.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) now: Timestamp,
    pub(super) view: TaskView,
    /// What its body said.
    pub(super) logs: Vec<LogLine>,
    /// Why it does not run, or what became of it.
    pub(super) why: String,
}

/// Asks the broker for it; `None` if there is no such task.
pub(super) async fn gather(connection: &Connection, id: &TaskId) -> Result<Option<Facts>> {
    let Some(view) = connection.inspect().task(id).await? else { return Ok(None) };
    let now = connection.broker().now().await?;
    let why = why::of(connection, &view, now).await?.text;
    let logs = connection.logs().lines(id).await?;
    Ok(Some(Facts { now, view, logs, why }))
}

/// The same, where the time is known and the roll was called: a look does that once for all tasks that are watched.
pub(super) async fn gather_among(
    connection: &Connection,
    id: &TaskId,
    roll: &[Listed],
    now: Timestamp,
) -> Result<Option<Facts>> {
    let Some(view) = connection.inspect().task(id).await? else { return Ok(None) };
    let why = why::among(connection, &view, roll, now).await?.text;
    let logs = connection.logs().lines(id).await?;
    Ok(Some(Facts { now, view, logs, why }))
}
