//! An entry as people write it: a name, when, what, and what becomes of ticks that come too late or too early.

use std::time::Duration;

use taskq_core::{
    AnyTask, Connection, EntryId, EntryName, Envelope, Error, Invocation, Result, TaskId, TaskKey,
    invocation::{Expiry, Start},
    limits,
};

use crate::{Misfire, Overlap, Schedule, recipe::Recipe};

/// A task that is enqueued again and again, by a schedule.
///
/// Its queue is that of the invocation, and its name is unique within that. The task of a tick has the id
/// `queue/name@milliseconds`.
///
/// ```
/// use std::time::Duration;
/// use taskq_core::Invocation;
/// use taskq_scheduler::{Entry, Misfire, Overlap, cron};
///
/// let report = Invocation::named("weekly_report", &serde_json::json!({})).queue("reports");
/// let entry = Entry::new("weekly-report", cron("30 7 * * Mon")?.timezone("Europe/Paris")?, report)
///     .misfire(Misfire::Skip)
///     .grace(Duration::from_secs(600))
///     .overlap(Overlap::Skip);
/// # Ok::<(), taskq_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "an entry does nothing until a scheduler or a broker has it"]
pub struct Entry {
    name: String,
    schedule: Schedule,
    invocation: Invocation<AnyTask>,
    misfire: Misfire,
    grace: Duration,
    overlap: Overlap,
}

impl Entry {
    /// Enqueues `invocation` by `schedule`, once for what was missed, whether or not the last run has ended.
    pub fn new<T>(name: impl Into<String>, schedule: Schedule, invocation: Invocation<T>) -> Self {
        Self {
            name: name.into(),
            schedule,
            invocation: invocation.erased(),
            misfire: Misfire::default(),
            grace: limits::DEFAULT_GRACE,
            overlap: Overlap::default(),
        }
    }

    /// What becomes of ticks that were missed; the default is [`Misfire::Once`].
    pub fn misfire(mut self, misfire: Misfire) -> Self {
        self.misfire = misfire;
        self
    }

    /// How late a tick may be and is not missed; the default is a minute, the most a day.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// What becomes of a tick while the last run has not ended; the default is [`Overlap::Allow`].
    pub fn overlap(mut self, overlap: Overlap) -> Self {
        self.overlap = overlap;
        self
    }

    /// When it is due.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Its queue and name, after all checks that need no broker.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](taskq_core::ErrorKind::InvalidInput) and whatever an enqueueing of its task would be
    /// refused for.
    pub fn id(&self) -> Result<EntryId> {
        self.clone().template().map(|(id, ..)| id)
    }

    /// Checks it; gives its id, and the text that a broker keeps, sealed as the connection's keys say.
    pub(crate) fn written(self, connection: &Connection) -> Result<(EntryId, String)> {
        let (schedule, misfire, grace, overlap) = (self.schedule.clone(), self.misfire, self.grace, self.overlap);
        let (id, expires_in, mut template) = self.template()?;
        connection.seal_task(&mut template)?;
        let recipe = Recipe { schedule, misfire, grace, overlap, expires_in, template };
        Ok((id, recipe.text()))
    }

    /// Its id, after which time each task expires, and what tasks are made from.
    fn template(self) -> Result<(EntryId, Option<Duration>, Envelope)> {
        let name = EntryName::new(&self.name)?;
        if self.grace > limits::MAX_GRACE {
            return Err(refused(&self.name, "its grace time is over a day; use a day at most"));
        }
        let envelope = self.invocation.into_envelope()?;
        let expires_in = relative(&self.name, &envelope)?;
        let id = EntryId { queue: envelope.id.queue.clone(), name };
        let template = Envelope { id: template_id(&id), own_id: true, expiry: None, ..envelope };
        Ok((id, expires_in, template))
    }
}

/// Under which id the task of an entry is sealed: no task is enqueued under it.
pub(crate) fn template_id(id: &EntryId) -> TaskId {
    let key = TaskKey::own(format!("entry:{}", id.name)).expect("a name is printable and at most 128 bytes");
    TaskId::new(id.queue.clone(), key)
}

/// After which time each task expires; refuses what makes no sense for many.
fn relative(name: &str, envelope: &Envelope) -> Result<Option<Duration>> {
    if envelope.own_id {
        return Err(refused(name, "its task has an id of its own; each tick makes one, so leave it away"));
    }
    if envelope.start != Start::Now {
        return Err(refused(name, "its task is delayed; the schedule says when it starts, so leave the delay away"));
    }
    match envelope.expiry {
        None => Ok(None),
        Some(Expiry::After(duration)) => Ok(Some(duration)),
        Some(Expiry::At(_)) => Err(refused(name, "its task expires at an instant; use a duration")),
    }
}

fn refused(name: &str, cure: &'static str) -> Error {
    Error::invalid("entry", format!("\"{}\"", name.escape_debug()), cure)
}
