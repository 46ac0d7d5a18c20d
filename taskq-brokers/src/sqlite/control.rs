//! Changes what the file holds, for operators: dead letters run again or are dropped, queues are emptied.

use async_trait::async_trait;
use rusqlite::{OptionalExtension, params};
use taskq_core::{
    control::{Control, Purge, PurgeAnswer},
    error::Result,
    id::{QueueName, TaskId, TaskKey},
    limits,
    state::State,
};

use super::{
    broker::SqliteBroker,
    claim::decode,
    enqueue,
    failure::Failure,
    purge::{purge_dead, purge_waiting},
    queue_row::QueueRow,
    step::Step,
    task_row::TaskRow,
};

#[async_trait]
impl Control for SqliteBroker {
    async fn replay(&self, id: &TaskId) -> Result<bool> {
        let wanted = id.clone();
        self.write("replay", id, move |step| replay(step, &wanted)).await
    }

    async fn drop_dead(&self, id: &TaskId) -> Result<bool> {
        let wanted = id.clone();
        self.write("drop", id, move |step| drop_dead(step, &wanted)).await
    }

    async fn run_now(&self, id: &TaskId) -> Result<bool> {
        let wanted = id.clone();
        self.write("run now", id, move |step| run_now(step, &wanted)).await
    }

    async fn pause(&self, queue: &QueueName) -> Result<bool> {
        let name = queue.clone();
        let pause = move |step: &Step<'_>| QueueRow::open(step, &name)?.pause(step, Some(step.millis()));
        self.write("pause", queue, pause).await
    }

    async fn resume(&self, queue: &QueueName) -> Result<bool> {
        let name = queue.clone();
        self.write("resume", queue, move |step| resume(step, &name)).await
    }

    async fn purge(&self, queue: &QueueName, what: Purge, limit: usize) -> Result<PurgeAnswer> {
        let (name, limit) = (queue.clone(), limit.min(limits::PURGE_BATCH));
        let purge = move |step: &Step<'_>| match what {
            Purge::Waiting => purge_waiting(step, &name, limit),
            Purge::DeadLetters => purge_dead(step, &name, limit),
        };
        self.write("purge", queue, purge).await
    }
}

/// `dead -> ready`, at the end of the line, with all attempts. It keeps the time of its death for paging.
fn replay(step: &Step<'_>, id: &TaskId) -> Result<bool, Failure> {
    let Some((mut queue, task)) = find_dead(step, id)? else { return Ok(false) };
    // in: task; out: its envelope
    let body: Option<Vec<u8>> = step
        .sql("SELECT body FROM taskq_tasks WHERE task = ?1")?
        .query_row([task.task], |row| row.get(0))
        .optional()?
        .flatten();
    let body = body.unwrap_or_default();
    // Bytes that do not decode go as they are: a newer worker may know them, and an older one buries them again.
    let fresh = match decode(&id.queue, &task.key, &body, None) {
        Ok(mut envelope) => {
            envelope.begin_again(step.now());
            envelope.encode()
        }
        Err(_) => body,
    };
    let place = queue.last_place_beside(task.place);
    // in: task, place, envelope; dead -> ready
    step.sql(
        "UPDATE taskq_tasks SET state = 1, place = ?2, body = ?3, attempts = 0, deliveries = 0, expires = NULL, prune = NULL,
         reason = NULL, token = NULL WHERE task = ?1",
    )?
    .execute(params![task.task, place, fresh])?;
    step.ring_for_work(&id.queue);
    queue.store(step)?;
    Ok(true)
}

/// `scheduled, retrying -> ready`, at the end of the line, before its time.
fn run_now(step: &Step<'_>, id: &TaskId) -> Result<bool, Failure> {
    let Some(mut queue) = QueueRow::find(step, &id.queue)? else { return Ok(false) };
    let task = enqueue::find(step, &queue, &id.key.to_bytes())?;
    let waits = |task: &TaskRow| matches!(task.state, State::Scheduled | State::Retrying);
    let Some(task) = task.filter(waits) else { return Ok(false) };
    // in: task, place; scheduled, retrying -> ready
    step.sql("UPDATE taskq_tasks SET state = 1, due = NULL, place = ?2 WHERE task = ?1")?
        .execute([task.task, queue.last_place_beside(task.place)])?;
    step.ring_for_work(&id.queue);
    queue.store(step)?;
    Ok(true)
}

/// Whoever waits for work looks again.
fn resume(step: &Step<'_>, name: &QueueName) -> Result<bool, Failure> {
    let Some(mut queue) = QueueRow::find(step, name)? else { return Ok(false) };
    let changes = queue.pause(step, None)?;
    if changes {
        step.ring_for_work(name);
    }
    Ok(changes)
}

/// `dead -> forgotten`; but the enqueue call that made it is still recognised.
fn drop_dead(step: &Step<'_>, id: &TaskId) -> Result<bool, Failure> {
    let Some((queue, task)) = find_dead(step, id)? else { return Ok(false) };
    forget_dead(step, &queue, &task)?;
    Ok(true)
}

/// Forgets the task, and keeps what tells a repetition of the call that made it.
pub(super) fn forget_dead(step: &Step<'_>, queue: &QueueRow, task: &TaskRow) -> Result<(), Failure> {
    if TaskKey::from_bytes(&task.key).is_ok_and(|key| !key.is_own()) {
        enqueue::remember(step, queue, &task.key)?;
    }
    task.forget(step)
}

fn find_dead(step: &Step<'_>, id: &TaskId) -> Result<Option<(QueueRow, TaskRow)>, Failure> {
    let Some(queue) = QueueRow::find(step, &id.queue)? else { return Ok(None) };
    let task = enqueue::find(step, &queue, &id.key.to_bytes())?.filter(|task| task.state == State::Dead);
    Ok(task.map(|task| (queue, task)))
}
