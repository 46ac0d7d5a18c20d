//! The entries of a scheduler as the dashboard shows them.

use async_trait::async_trait;
use taskq_console::dashboard::{Timetable, TimetableRow};
use taskq_core::{Connection, EntryId, Result, TaskId};
use taskq_scheduler::{Entries, EntryView};

/// See [`Timetable`].
#[derive(Debug)]
pub(super) struct TimetableOfEntries {
    connection: Connection,
    entries: Entries,
}

impl TimetableOfEntries {
    pub(super) fn of(connection: &Connection) -> Self {
        Self { connection: connection.clone(), entries: Entries::of(connection) }
    }
}

#[async_trait]
impl Timetable for TimetableOfEntries {
    async fn page(&self, after: Option<&EntryId>, count: usize) -> Result<Vec<TimetableRow>> {
        let marks = self.connection.schedules().marks().await?;
        let mut queues: Vec<_> = marks.into_iter().map(|(queue, _)| queue).collect();
        queues.sort();
        let mut rows = Vec::with_capacity(count);
        for queue in queues.iter().filter(|queue| after.is_none_or(|after| **queue >= after.queue)) {
            let mut last = after.filter(|after| after.queue == *queue).map(|after| after.name.clone());
            while rows.len() < count {
                let page = self.entries.page(queue, last.as_ref()).await?;
                let Some(end) = page.last() else { break };
                last = Some(end.id().name.clone());
                rows.extend(page.iter().take(count - rows.len()).map(|view| row(view, 1)));
            }
        }
        Ok(rows)
    }

    async fn find(&self, id: &EntryId, fire_times: usize) -> Result<Option<TimetableRow>> {
        Ok(self.entries.find(id).await?.map(|view| row(&view, fire_times)))
    }

    async fn pause(&self, id: &EntryId) -> Result<bool> {
        self.entries.pause(id).await
    }

    async fn resume(&self, id: &EntryId) -> Result<bool> {
        self.entries.resume(id).await
    }

    async fn trigger(&self, id: &EntryId) -> Result<TaskId> {
        Ok(self.entries.trigger(id).await?.id().clone())
    }
}

fn row(view: &EntryView, fire_times: usize) -> TimetableRow {
    let policies = match (view.misfire(), view.grace(), view.overlap()) {
        (Some(misfire), Some(grace), Some(overlap)) => {
            format!("missed: {misfire:?}, after {grace:?}; overlap: {overlap:?}")
        }
        _ => String::new(),
    };
    TimetableRow {
        id: view.id().clone(),
        schedule: view.schedule().map(ToString::to_string),
        task: view.task().map(ToString::to_string),
        arguments: view.payload().map(|payload| payload.as_str().to_owned()),
        origin: view.origin().to_string(),
        is_paused: view.is_paused(),
        created_at: view.created_at(),
        last_fired: view.last_fired().map(|tick| tick.0),
        upcoming: view.upcoming(fire_times),
        policies,
        error: view.error().map(ToString::to_string),
    }
}
