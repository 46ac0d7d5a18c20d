//! What a step has at hand: the open transaction, the time, whose tasks, and the bells to ring once it is committed.

use std::cell::RefCell;

use rusqlite::{CachedStatement, Connection as Database};
use taskq_core::{
    clock::{Clock, Timestamp},
    id::{Namespace, QueueName},
};

use super::{boot::Boot, failure::Failure, waiting::Topic};
use crate::patch::Patch;

/// One step under way, or one look.
pub(super) struct Step<'a> {
    database: &'a Database,
    namespace: &'a Namespace,
    now: Timestamp,
    boot: &'a Boot,
    patch: Patch,
    topics: RefCell<Vec<Topic>>,
}

impl<'a> Step<'a> {
    /// A step in the transaction that is open on `database`.
    pub(super) fn new(
        database: &'a Database,
        namespace: &'a Namespace,
        clock: &Clock,
        boot: &'a Boot,
        patch: Patch,
    ) -> Self {
        Self { database, namespace, now: clock.now(), boot, patch, topics: RefCell::default() }
    }

    /// The statement, prepared once a connection.
    pub(super) fn sql(&self, statement: &'static str) -> Result<CachedStatement<'a>, Failure> {
        Ok(self.database.prepare_cached(&self.patch.applied_to(statement))?)
    }

    /// Whose tasks.
    pub(super) fn namespace(&self) -> &Namespace {
        self.namespace
    }

    /// The wall time of the step.
    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// The same in milliseconds, as columns keep it.
    pub(super) fn millis(&self) -> i64 {
        self.now.as_millis()
    }

    /// The time that leases live in.
    pub(super) fn boot(&self) -> &Boot {
        self.boot
    }

    /// The row that was inserted last.
    pub(super) fn inserted(&self) -> i64 {
        self.database.last_insert_rowid()
    }

    /// Once committed, whoever waits for work in the queue is woken.
    pub(super) fn ring_for_work(&self, queue: &QueueName) {
        self.ring(Topic::work(self.namespace, queue));
    }

    /// Once committed, whoever waits for work in the queue learns that something will be due.
    pub(super) fn ring_for_due(&self, queue: &QueueName) {
        self.ring(Topic::due(self.namespace, queue));
    }

    /// Once committed, whoever waits to lead is woken.
    pub(super) fn ring_for_leadership(&self) {
        self.ring(Topic::leader(self.namespace));
    }

    /// Once committed, whoever waits for the end of the task is woken.
    pub(super) fn ring_for_end(&self, queue: &QueueName, key: &[u8]) {
        self.ring(Topic::work(self.namespace, queue).of(key));
    }

    /// The bells to ring.
    pub(super) fn into_topics(self) -> Vec<Topic> {
        self.topics.into_inner()
    }

    fn ring(&self, topic: Topic) {
        let mut topics = self.topics.borrow_mut();
        if topics.last() != Some(&topic) {
            topics.push(topic);
        }
    }
}
