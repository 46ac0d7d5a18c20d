//! Reads what the file holds, in bounded pages and exact counts. Reading holds nobody up.

use async_trait::async_trait;
use taskq_core::{
    Counts, Finding, Inspect, PageToken, QueueView, Shelf, TaskPage, TaskView,
    error::{ErrorKind, Result},
    id::{QueueName, TaskId, TaskKey},
};

use super::{broker::SqliteBroker, examine::examine, failure::Failure, queue_row::QueueRow, shelves, step::Step};

#[async_trait]
impl Inspect for SqliteBroker {
    async fn queues(&self) -> Result<Vec<QueueName>> {
        self.look("list queues of", self.namespace(), queues).await
    }

    async fn counts(&self, queue: &QueueName) -> Result<Counts> {
        let name = queue.clone();
        self.look("count tasks of", queue, move |step| counts(step, &name)).await
    }

    async fn queue(&self, queue: &QueueName) -> Result<QueueView> {
        let name = queue.clone();
        self.look("look at", queue, move |step| shelves::queue(step, &name)).await
    }

    async fn tasks(
        &self,
        queue: &QueueName,
        shelf: Shelf,
        after: Option<&PageToken>,
        count: usize,
    ) -> Result<TaskPage> {
        let (name, after) = (queue.clone(), after.cloned());
        self.look("list tasks of", queue, move |step| shelves::tasks(step, &name, shelf, after.as_ref(), count)).await
    }

    async fn task(&self, id: &TaskId) -> Result<Option<TaskView>> {
        let wanted = id.clone();
        self.look("look at", id, move |step| shelves::task(step, &wanted)).await
    }

    async fn unique_holder(&self, queue: &QueueName, unique: &str) -> Result<Option<TaskKey>> {
        let (name, unique) = (queue.clone(), unique.to_owned());
        self.look("look for unique key in", queue, move |step| shelves::unique_holder(step, &name, &unique)).await
    }

    async fn examine(&self) -> Result<Vec<Finding>> {
        let (path, synchronous) = self.place();
        self.look("examine", self.namespace(), move |step| examine(step, &path, synchronous)).await
    }
}

fn queues(step: &Step<'_>) -> Result<Vec<QueueName>, Failure> {
    // in: namespace; out: names
    let mut statement = step.sql("SELECT name FROM taskq_queues WHERE namespace = ?1 ORDER BY name")?;
    let names = statement.query_map([step.namespace().as_str()], |row| row.get::<_, String>(0))?;
    let names: Vec<String> = names.collect::<Result<_, _>>()?;
    Ok(names.iter().filter_map(|name| QueueName::new(name).ok()).collect())
}

fn counts(step: &Step<'_>, name: &QueueName) -> Result<Counts, Failure> {
    match QueueRow::find(step, name)? {
        Some(queue) => counts_of(step, &queue),
        None => Ok(Counts::default()),
    }
}

/// Each count is the length of a range of an index.
pub(super) fn counts_of(step: &Step<'_>, queue: &QueueRow) -> Result<Counts, Failure> {
    let count = |shelf: Shelf| -> Result<u64, Failure> {
        let count: i64 = step.sql(count_of(shelf))?.query_row([queue.number], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    };
    Ok(Counts {
        ready: count(Shelf::Ready)?,
        scheduled: count(Shelf::Scheduled)?,
        retrying: count(Shelf::Retrying)?,
        running: count(Shelf::Running)?,
        dead: count(Shelf::Dead)?,
    })
}

/// In: queue; out: how many tasks are on the shelf. No row of a task is read for it.
pub(super) fn count_of(shelf: Shelf) -> &'static str {
    match shelf {
        Shelf::Ready => "SELECT count(*) FROM taskq_tasks WHERE queue = ?1 AND state = 1",
        Shelf::Scheduled => "SELECT count(*) FROM taskq_tasks WHERE queue = ?1 AND state = 0 AND due IS NOT NULL",
        Shelf::Retrying => "SELECT count(*) FROM taskq_tasks WHERE queue = ?1 AND state = 3 AND due IS NOT NULL",
        Shelf::Running => {
            "SELECT count(*) FROM taskq_leases l JOIN taskq_tasks t ON t.lease = l.lease WHERE l.queue = ?1"
        }
        Shelf::Dead => "SELECT count(*) FROM taskq_tasks WHERE queue = ?1 AND state = 5",
    }
}

/// A key that does not read.
pub(super) fn unreadable(error: taskq_core::Error) -> Failure {
    Failure::new(ErrorKind::Internal, error.to_string())
}
