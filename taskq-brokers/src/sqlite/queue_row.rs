//! A queue's row: its number in the file, and two counters that only grow: the end of the line, and the one that delivery
//! tokens and versions of documents are taken from.

use rusqlite::{OptionalExtension, params};
use taskq_core::{
    Version,
    id::{DeliveryToken, QueueName},
};

use super::{failure::Failure, step::Step};

/// Where a position ends and the priority begins in `taskq_tasks.place`.
const POSITION_BITS: u32 = 56;

/// A queue within a step. Counters that were moved are kept by [`store`](Self::store).
#[derive(Debug)]
pub(super) struct QueueRow {
    /// Its number in this file.
    pub(super) number: i64,
    /// Since when nothing of it is handed out, if it is paused.
    pub(super) paused: Option<i64>,
    tail: i64,
    counter: i64,
    changed: bool,
}

impl QueueRow {
    /// The queue, if it was ever used.
    pub(super) fn find(step: &Step<'_>, queue: &QueueName) -> Result<Option<Self>, Failure> {
        // in: namespace, name; out: the queue
        let found = step
            .sql("SELECT queue, tail, token, paused FROM taskq_queues WHERE namespace = ?1 AND name = ?2")?
            .query_row(params![step.namespace().as_str(), queue.as_str()], |row| {
                Ok(Self {
                    number: row.get(0)?,
                    tail: row.get(1)?,
                    counter: row.get(2)?,
                    paused: row.get(3)?,
                    changed: false,
                })
            })
            .optional()?;
        Ok(found)
    }

    /// The queue, which exists from now on.
    pub(super) fn open(step: &Step<'_>, queue: &QueueName) -> Result<Self, Failure> {
        if let Some(found) = Self::find(step, queue)? {
            return Ok(found);
        }
        // in: namespace, name; creates the queue
        step.sql("INSERT INTO taskq_queues (namespace, name) VALUES (?1, ?2)")?
            .execute(params![step.namespace().as_str(), queue.as_str()])?;
        Ok(Self { number: step.inserted(), paused: None, tail: 0, counter: 0, changed: false })
    }

    /// Sets or ends its pause. True if that changes something.
    pub(super) fn pause(&mut self, step: &Step<'_>, paused: Option<i64>) -> Result<bool, Failure> {
        if self.paused.is_some() == paused.is_some() {
            return Ok(false);
        }
        self.paused = paused;
        // in: queue, since when
        step.sql("UPDATE taskq_queues SET paused = ?2 WHERE queue = ?1")?.execute(params![self.number, paused])?;
        Ok(true)
    }

    /// The place at the end of the line of a priority.
    pub(super) fn last_place(&mut self, priority: u8) -> i64 {
        self.tail += 1;
        self.changed = true;
        line(priority) | self.tail
    }

    /// The place at the end of the line that `place` stands in.
    pub(super) fn last_place_beside(&mut self, place: i64) -> i64 {
        self.tail += 1;
        self.changed = true;
        place >> POSITION_BITS << POSITION_BITS | self.tail
    }

    /// A token for one hand-out.
    pub(super) fn next_token(&mut self) -> DeliveryToken {
        DeliveryToken(self.count())
    }

    /// A version for one document.
    pub(super) fn next_version(&mut self) -> Version {
        Version(self.count())
    }

    fn count(&mut self) -> u64 {
        self.counter += 1;
        self.changed = true;
        self.counter.unsigned_abs()
    }

    /// Keeps the counters; part of the step that moved them.
    pub(super) fn store(self, step: &Step<'_>) -> Result<(), Failure> {
        if self.changed {
            // in: queue, tail, token; moves its counters
            step.sql("UPDATE taskq_queues SET tail = ?2, token = ?3 WHERE queue = ?1")?.execute([
                self.number,
                self.tail,
                self.counter,
            ])?;
        }
        Ok(())
    }
}

/// Priority 9 stands first, so it has the smallest places.
fn line(priority: u8) -> i64 {
    i64::from(9u8.saturating_sub(priority)) << POSITION_BITS
}

/// The places of a priority's line: from the first on, up to the second.
pub(super) fn places_of(priority: u8) -> (i64, i64) {
    (line(priority), line(priority) + (1 << POSITION_BITS))
}

/// The places of the line that `place` stands in, up to that one.
pub(super) fn places_before(place: i64) -> (i64, i64) {
    (place >> POSITION_BITS << POSITION_BITS, place)
}

/// Before a task has a position, its place only says its priority.
pub(super) fn place_outside_the_line(priority: u8) -> i64 {
    line(priority)
}
