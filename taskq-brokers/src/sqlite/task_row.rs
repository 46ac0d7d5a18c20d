//! A task's row and the moves that several steps make: out of the line for good, back into it, and out of a worker's hands.

use rusqlite::{Row, params};
use taskq_core::{
    id::{DeliveryToken, QueueName, TaskKey},
    limits,
    state::{DeadReason, State},
};

use super::{failure::Failure, queue_row::QueueRow, step::Step};

/// The columns that [`TaskRow::read`] wants, in its order.
macro_rules! task_columns {
    () => {
        "task, key, state, place, keep, cancel, unique_key, unique_start"
    };
}
pub(super) use task_columns;

/// A task within a step: what the moves need to know of it.
#[derive(Clone, Debug)]
pub(super) struct TaskRow {
    pub(super) task: i64,
    pub(super) key: Vec<u8>,
    pub(super) state: State,
    pub(super) place: i64,
    pub(super) keep: i64,
    pub(super) cancel: bool,
    unique_key: Option<String>,
    unique_until_start: bool,
}

/// How a task ends without a worker's settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By request.
    Cancelled,
    /// Not started in time.
    Expired,
}

impl TaskRow {
    /// Reads the first columns of a row, which are `task_columns!()`.
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            task: row.get(0)?,
            key: row.get(1)?,
            state: state_of(row.get(2)?),
            place: row.get(3)?,
            keep: row.get(4)?,
            cancel: row.get(5)?,
            unique_key: row.get(6)?,
            unique_until_start: row.get(7)?,
        })
    }

    /// `scheduled, ready, retrying, running -> cancelled, expired`: remembered for its time, and its arguments dropped.
    /// `settled_under` is the token of the settlement that asked for it, so that its repetition is recognised.
    pub(super) fn end(
        &self,
        step: &Step<'_>,
        queue: &QueueRow,
        name: &QueueName,
        end: End,
        settled_under: Option<DeliveryToken>,
    ) -> Result<(), Failure> {
        let state = match end {
            End::Cancelled => State::Cancelled,
            End::Expired => State::Expired,
        };
        self.free_unique_key(step, queue)?;
        step.ring_for_end(name, &self.key);
        if self.is_untracked() {
            return self.forget(step);
        }
        let prune = step.millis().saturating_add(self.keep);
        // in: task, state, now, when to forget it, token; -> cancelled, expired
        step.sql(
            "UPDATE taskq_tasks SET state = ?2, ended = ?3, prune = ?4, token = ?5, body = NULL, due = NULL, lease = NULL,
             cancel = 0, deliveries = 0, progress = NULL, unique_key = NULL WHERE task = ?1",
        )?
        .execute(params![self.task, number_of(state), step.millis(), prune, settled_under.map(|token| token.0 as i64)])?;
        Ok(())
    }

    /// Drops the row: of an untracked task that ended nothing is kept.
    pub(super) fn forget(&self, step: &Step<'_>) -> Result<(), Failure> {
        // in: task
        step.sql("DELETE FROM taskq_tasks WHERE task = ?1")?.execute([self.task])?;
        Ok(())
    }

    /// Whether nobody may ask what became of it.
    pub(super) fn is_untracked(&self) -> bool {
        TaskKey::from_bytes(&self.key).is_ok_and(|key| key.is_untracked())
    }

    /// `running, ready -> dead`: kept as it is, envelope included.
    pub(super) fn bury(
        &self,
        step: &Step<'_>,
        queue: &QueueRow,
        name: &QueueName,
        reason: DeadReason,
    ) -> Result<(), Failure> {
        self.free_unique_key(step, queue)?;
        // in: task, now, when to forget it, reason; -> dead
        step.sql(
            "UPDATE taskq_tasks SET state = 5, ended = ?2, prune = ?3, reason = ?4, due = NULL, lease = NULL, token = NULL,
             cancel = 0, deliveries = 0, progress = NULL, unique_key = NULL WHERE task = ?1",
        )?
        .execute(params![self.task, step.millis(), dead_until(step), reason.as_str()])?;
        step.ring_for_end(name, &self.key);
        Ok(())
    }

    /// `running -> ready` at its old place, before all that came later; or cancelled, if that was asked for.
    ///
    /// Its token is forgotten, so that nothing its worker still sends can count.
    pub(super) fn take_back(
        &self,
        step: &Step<'_>,
        queue: &QueueRow,
        name: &QueueName,
        deliveries: i64,
    ) -> Result<(), Failure> {
        if self.cancel {
            return self.end(step, queue, name, End::Cancelled, None);
        }
        // in: task, deliveries; running -> ready
        step.sql(
            "UPDATE taskq_tasks SET state = 1, lease = NULL, token = NULL, progress = NULL, deliveries = ?2 WHERE task = ?1",
        )?
        .execute([self.task, deliveries])?;
        step.ring_for_work(name);
        Ok(())
    }

    /// Frees the key of a task that starts, if that is when it is free. True if it did.
    pub(super) fn free_unique_key_at_start(&self, step: &Step<'_>, queue: &QueueRow) -> Result<bool, Failure> {
        match self.unique_until_start {
            true => self.free_unique_key(step, queue).map(|()| self.unique_key.is_some()),
            false => Ok(false),
        }
    }

    /// Frees the key of a task that ends.
    pub(super) fn free_unique_key(&self, step: &Step<'_>, queue: &QueueRow) -> Result<(), Failure> {
        if let Some(name) = &self.unique_key {
            // in: queue, unique key, task key; frees it unless somebody else holds it by now
            step.sql("DELETE FROM taskq_uniques WHERE queue = ?1 AND name = ?2 AND key = ?3")?.execute(params![
                queue.number,
                name,
                self.key
            ])?;
        }
        Ok(())
    }
}

/// Until when a task that dies now is kept.
pub(super) fn dead_until(step: &Step<'_>) -> i64 {
    (step.now() + limits::DEAD_LETTER_TTL).as_millis()
}

/// A state as the column keeps it: its place in [`State::ALL`].
pub(super) fn number_of(state: State) -> i64 {
    State::ALL.iter().zip(0i64..).find(|(known, _)| **known == state).map_or(-1, |(_, number)| number)
}

/// The state of a column. A number of a newer version counts as a state that nothing here touches.
pub(super) fn state_of(number: i64) -> State {
    usize::try_from(number).ok().and_then(|place| State::ALL.get(place)).copied().unwrap_or(State::Untracked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_the_states_are_those_of_the_schema() {
        let numbers = "0 scheduled 1 ready 2 running 3 retrying 4 succeeded 5 dead 6 cancelled 7 expired";
        let written: Vec<_> = State::ALL.into_iter().map(|state| format!("{} {state}", number_of(state))).collect();
        assert_eq!(written.join(" "), numbers);
        assert!(include_str!("schema.sql").contains(numbers));
        assert!(State::ALL.into_iter().all(|state| state_of(number_of(state)) == state));
    }
}
