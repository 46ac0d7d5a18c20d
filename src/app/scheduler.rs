//! `scheduler`: enqueues tasks by schedules.

use taskq_core::{Connection, Registration, Result};
use taskq_scheduler::{Scheduler, SchedulerHandle};

use super::ShapeScheduler;
use crate::config::Config;

/// Starts a scheduler with the entries of the program and of the file.
pub(super) async fn start(
    shape: Option<ShapeScheduler>,
    config: &Config,
    connection: Connection,
) -> Result<SchedulerHandle> {
    let mut builder = Scheduler::builder(connection);
    if let Some(shape) = shape {
        builder = shape(builder)?;
    }
    let entries = config.entries(&Registration::linked())?;
    // Without a file nothing is known of one, and entries that another scheduler's file brought are left alone.
    if config.file().is_some() || !entries.is_empty() {
        builder = builder.file(entries);
    }
    builder.start().await
}
