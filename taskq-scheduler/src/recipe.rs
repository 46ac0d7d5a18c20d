//! What a scheduler makes tasks by: the text of an entry, read. Whoever leads needs nothing else, not even the task's code.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use taskq_core::{
    Connection, EntryId, Envelope, Error, ErrorKind, FireTime, Result, StoredEntry, TaskId, Timestamp,
    invocation::{Expiry, Start},
    propagator,
};
use tracing::Span;

use crate::{Misfire, Overlap, Schedule, entry::template_id};

/// The form that this version writes, and the highest that it reads.
const FORM: u8 = 1;

/// An entry, ready to make tasks.
#[derive(Clone)]
pub(crate) struct Recipe {
    pub(crate) schedule: Schedule,
    pub(crate) misfire: Misfire,
    pub(crate) grace: Duration,
    pub(crate) overlap: Overlap,
    pub(crate) expires_in: Option<Duration>,
    pub(crate) template: Envelope,
}

/// The text that brokers keep: JSON. Unknown keys are ignored, a higher `v` is refused.
#[derive(Serialize, Deserialize)]
struct Form {
    v: u8,
    schedule: Schedule,
    misfire: Misfire,
    grace_ms: u64,
    overlap: Overlap,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_in_ms: Option<u64>,
    /// An envelope, sealed under the entry's own id.
    task: Box<RawValue>,
}

impl fmt::Debug for Recipe {
    /// Of its task only the name: arguments and headers may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipe({} {})", self.template.task, self.schedule)
    }
}

impl Recipe {
    /// The text of an entry.
    pub(crate) fn text(&self) -> String {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let envelope = String::from_utf8(self.template.encode()).expect("JSON is UTF-8");
        let form = Form {
            v: FORM,
            schedule: self.schedule.clone(),
            misfire: self.misfire,
            grace_ms: millis(self.grace),
            overlap: self.overlap,
            expires_in_ms: self.expires_in.map(millis),
            task: RawValue::from_string(envelope).expect("an envelope is JSON"),
        };
        serde_json::to_string(&form).expect("text, numbers and checked JSON always encode")
    }

    /// Reads a text and opens the seal of its task, which has to be one of this very entry.
    pub(crate) fn read(connection: &Connection, entry: &StoredEntry) -> Result<Self> {
        let failed = |kind, why: String| Error::new(kind, "read entry", &entry.id).because(why);
        let form: Form =
            serde_json::from_str(&entry.text).map_err(|error| failed(ErrorKind::Codec, error.to_string()))?;
        if form.v > FORM {
            let why = format!("it has form {}, this version reads up to {FORM}; upgrade this scheduler", form.v);
            return Err(failed(ErrorKind::Layout, why));
        }
        let mut template = Envelope::decode(template_id(&entry.id), form.task.get().as_bytes())?;
        if let Some(payload) = connection.open_task(&template)? {
            template.payload = payload;
        }
        template.seal = None;
        Ok(Self {
            schedule: form.schedule.or_start(entry.created_at)?,
            misfire: form.misfire,
            grace: Duration::from_millis(form.grace_ms),
            overlap: form.overlap,
            expires_in: form.expires_in_ms.map(Duration::from_millis),
            template,
        })
    }

    /// The task of a tick. Jitter is a delay of the task; the tick itself is on time.
    pub(crate) fn task(
        &self,
        connection: &Connection,
        id: &EntryId,
        fire_time: Timestamp,
        span: &Span,
    ) -> Result<Envelope> {
        let tick = FireTime(fire_time);
        let jitter = self.schedule.jitter_of(&id.name, tick);
        let due = fire_time + jitter;
        let start = if jitter.is_zero() { Start::Now } else { Start::At(due) };
        self.made(connection, TaskId::new(id.queue.clone(), id.name.tick_key(tick)), (start, due), span)
    }

    /// A task that starts at once.
    pub(crate) fn now(&self, connection: &Connection, id: TaskId, span: &Span) -> Result<Envelope> {
        self.made(connection, id, (Start::Now, connection.clock().now()), span)
    }

    fn made(
        &self,
        connection: &Connection,
        id: TaskId,
        (start, due): (Start, Timestamp),
        span: &Span,
    ) -> Result<Envelope> {
        let expiry = self.expires_in.map(Expiry::After);
        let template = self.template.clone();
        let mut envelope = Envelope { id, own_id: true, start, expiry, due: Some(due), ..template };
        // Before the seal, which covers the headers.
        propagator::carry_link(connection, span, &mut envelope);
        connection.seal_task(&mut envelope)?;
        Ok(envelope)
    }
}
