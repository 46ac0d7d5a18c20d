//! The wire form of an invocation, versioned. Brokers keep these bytes; no broker needs to understand them.
//!
//! Format 1 is one JSON object with `task`, `args`, and whatever differs from the defaults; a later one says so in `v`. The
//! id, the number of deliveries and the due time are the broker's own columns and not part of it. Unknown keys are ignored,
//! so that an older worker can run what a newer client enqueued; a higher `v` is refused.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    clock::Timestamp,
    codec::{Payload, without_value},
    error::{Error, ErrorKind, Result},
    id::{TaskId, TaskName},
    invocation::{Expiry, Start, UniqueKey, raw},
    limits,
    retry::Retry,
    seal::Seal,
    state::DeadReason,
    task_error::TaskError,
    text::cut,
};

/// The format that this version writes, and the highest that it reads.
pub const FORMAT: u8 = 1;

/// A task as brokers carry it: id, arguments, options, and what happened to it so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    /// Its id.
    pub id: TaskId,
    /// Whether the caller chose the id, so that it must be looked up before it is accepted.
    pub own_id: bool,
    /// Which task to run.
    pub task: TaskName,
    /// Its arguments: an object keyed by parameter name.
    pub payload: Payload,
    /// 0 to 9, 9 first.
    pub priority: u8,
    /// When it may start; only read when it is enqueued.
    pub start: Start,
    /// Until when a start makes sense. Brokers make it absolute when they accept it.
    pub expiry: Option<Expiry>,
    /// Limit of one attempt, if the invocation says so.
    pub timeout: Option<Duration>,
    /// Retry policy, if the invocation says so.
    pub retry: Option<Retry>,
    /// Consecutive hand-outs without an end before it becomes a dead letter.
    pub max_deliveries: u8,
    /// Its unique key.
    pub unique: Option<UniqueKey>,
    /// How long its result is kept.
    pub result_ttl: Duration,
    /// Whether the body's result is stored.
    pub stores_result: bool,
    /// String map for tracing and the like.
    pub headers: BTreeMap<String, String>,
    /// Labels by which people find it, such as `tenant:7`.
    pub tags: Vec<String>,
    /// When it was accepted, by the broker's clock. A broker may leave it to the key to tell.
    pub enqueued_at: Option<Timestamp>,
    /// When it was last replayed as a dead letter, by the broker's clock.
    pub replayed_at: Option<Timestamp>,
    /// When it is or was due, if that is not when it was accepted: it was delayed, waits for another attempt, or has an id
    /// that does not tell its age. For measuring how late it starts; brokers have their own due times.
    pub due: Option<Timestamp>,
    /// Attempts that failed so far.
    pub attempts: u32,
    /// The newest failed attempts, oldest first.
    pub history: Vec<FailedAttempt>,
    /// Since when workers hand it back because they do not know its task.
    pub unregistered_since: Option<Timestamp>,
    /// By which keys it is signed or encrypted, if it is.
    pub seal: Option<Box<Seal>>,
}

/// One attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedAttempt {
    /// Which attempt, 1-based.
    #[serde(rename = "n")]
    pub attempt: u32,
    /// When it ended.
    pub at: Timestamp,
    /// Its error and causes, at most 2 KiB.
    pub error: String,
}

impl Envelope {
    /// Whether its state is kept exactly: it stores a result or has its own id.
    pub fn is_tracked(&self) -> bool {
        !self.id.key.is_untracked()
    }

    /// Counts an error and keeps its text.
    pub fn record_failure(&mut self, at: Timestamp, error: &TaskError) {
        self.attempts = self.attempts.saturating_add(1);
        let mut text = error.to_string();
        cut(&mut text, limits::MAX_ERROR_TEXT);
        self.history.push(FailedAttempt { attempt: self.attempts, at, error: text });
        let surplus = self.history.len().saturating_sub(limits::MAX_HISTORY);
        self.history.drain(..surplus);
    }

    /// The last error's text.
    pub fn last_error(&self) -> Option<&str> {
        self.history.last().map(|failed| failed.error.as_str())
    }

    /// What it died of: the last error, or, since a crash leaves none, the reason in words.
    pub fn last_words(&self, reason: DeadReason) -> String {
        match (reason, self.last_error()) {
            (DeadReason::Crashed, _) => format!("its worker died {} times while running it", self.max_deliveries),
            (_, Some(error)) => error.to_owned(),
            (_, None) => reason.to_string(),
        }
    }

    /// Starts its life again at `now`, as a replayed dead letter does. What failed before stays in its history.
    pub fn begin_again(&mut self, now: Timestamp) {
        self.attempts = 0;
        self.due = Some(now);
        self.unregistered_since = None;
        self.replayed_at = Some(now);
    }

    /// Since when it has been due, as far as its envelope tells: by the clock of whoever enqueued it, of the broker, or of
    /// the worker that had it before.
    pub fn due_since(&self) -> Option<Timestamp> {
        // Of one that failed before, or was replayed, the time of its acceptance says nothing.
        let is_fresh = self.attempts == 0 && self.history.is_empty();
        let accepted = || self.enqueued_at.or_else(|| self.id.key.made_at()).filter(|_| is_fresh);
        self.due.or_else(accepted)
    }

    /// Its bytes in the present format.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.payload.as_str().len() + 64);
        self.encode_into(&mut bytes);
        bytes
    }

    /// The same, behind what `bytes` has already.
    pub fn encode_into(&self, bytes: &mut Vec<u8>) {
        write_wire(bytes, &self.wire());
    }

    /// The same as it was enqueued: without what happened to it since, and without its signature, which covers this.
    #[cfg(feature = "seal")]
    pub(crate) fn encode_as_enqueued_into(&self, bytes: &mut Vec<u8>) {
        let unsigned = self.seal.as_ref().map(|seal| Seal { encryption: seal.encryption.clone(), signature: None });
        let as_enqueued = WireOut {
            enqueued_at: None,
            replayed_at: None,
            due: None,
            attempts: 0,
            history: &[],
            unregistered_since: None,
            seal: unsigned.as_ref(),
            ..self.wire()
        };
        write_wire(bytes, &as_enqueued);
    }

    fn wire(&self) -> WireOut<'_> {
        WireOut {
            v: (FORMAT > 1).then_some(FORMAT),
            task: &self.task,
            args: raw(&self.payload),
            priority: (self.priority != limits::DEFAULT_PRIORITY).then_some(self.priority),
            timeout_ms: self.timeout.map(millis),
            retry: self.retry.as_ref(),
            max_deliveries: (self.max_deliveries != limits::DEFAULT_MAX_DELIVERIES).then_some(self.max_deliveries),
            unique: self.unique.as_ref(),
            result_ttl_ms: (self.result_ttl != limits::DEFAULT_RESULT_TTL).then_some(millis(self.result_ttl)),
            // The key of an untracked task tells it already.
            no_result: !self.stores_result && self.is_tracked(),
            own_id: self.own_id,
            headers: &self.headers,
            tags: &self.tags,
            enqueued_at: self.enqueued_at,
            replayed_at: self.replayed_at,
            due: self.due,
            attempts: self.attempts,
            history: &self.history,
            unregistered_since: self.unregistered_since,
            seal: self.seal.as_deref(),
        }
    }

    /// Reads bytes that a broker kept for the task `id`.
    pub fn decode(id: TaskId, bytes: &[u8]) -> Result<Self> {
        let wire: WireIn<'_> = match serde_json::from_slice(bytes) {
            Ok(wire) => wire,
            Err(error) => {
                return Err(Error::new(ErrorKind::Codec, "decode envelope of", id).because(without_value(&error)));
            }
        };
        if wire.v > FORMAT {
            let cure = format!("it has format {}, this version reads up to {FORMAT}; upgrade this worker", wire.v);
            return Err(Error::new(ErrorKind::Layout, "decode envelope of", id).because(cure));
        }
        if wire.args.get().len() > limits::MAX_STORED_PAYLOAD {
            let why = format!(
                "its arguments have {} bytes; the limit is {}",
                wire.args.get().len(),
                limits::MAX_STORED_PAYLOAD
            );
            return Err(Error::new(ErrorKind::TooLarge, "decode envelope of", id).because(why));
        }
        let stores_result = !wire.no_result && !id.key.is_untracked();
        Ok(Self {
            id,
            own_id: wire.own_id,
            task: TaskName::new(wire.task)?,
            payload: Payload::from_raw(wire.args.to_owned()),
            priority: wire.priority.unwrap_or(limits::DEFAULT_PRIORITY).min(limits::MAX_PRIORITY),
            start: Start::Now,
            expiry: None,
            timeout: wire.timeout_ms.map(Duration::from_millis),
            retry: wire.retry,
            max_deliveries: wire.max_deliveries.unwrap_or(limits::DEFAULT_MAX_DELIVERIES),
            unique: wire.unique,
            result_ttl: wire.result_ttl_ms.map_or(limits::DEFAULT_RESULT_TTL, Duration::from_millis),
            stores_result,
            headers: wire.headers,
            tags: wire.tags,
            enqueued_at: wire.enqueued_at,
            replayed_at: wire.replayed_at,
            due: wire.due,
            attempts: wire.attempts,
            history: wire.history,
            unregistered_since: wire.unregistered_since,
            seal: wire.seal,
        })
    }
}

#[derive(Serialize)]
struct WireOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    v: Option<u8>,
    task: &'a TaskName,
    args: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<&'a Retry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_deliveries: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unique: Option<&'a UniqueKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_ttl_ms: Option<u64>,
    #[serde(skip_serializing_if = "is_false")]
    no_result: bool,
    #[serde(skip_serializing_if = "is_false")]
    own_id: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tags: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    enqueued_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<Timestamp>,
    #[serde(skip_serializing_if = "is_zero")]
    attempts: u32,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    history: &'a [FailedAttempt],
    #[serde(skip_serializing_if = "Option::is_none")]
    unregistered_since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seal: Option<&'a Seal>,
}

fn write_wire(bytes: &mut Vec<u8>, wire: &WireOut<'_>) {
    serde_json::to_writer(bytes, wire).expect("maps with text keys, numbers and checked JSON always encode");
}

#[derive(Deserialize)]
struct WireIn<'a> {
    #[serde(default = "first_format")]
    v: u8,
    #[serde(borrow)]
    task: Cow<'a, str>,
    #[serde(borrow)]
    args: &'a RawValue,
    priority: Option<u8>,
    timeout_ms: Option<u64>,
    retry: Option<Retry>,
    max_deliveries: Option<u8>,
    unique: Option<UniqueKey>,
    result_ttl_ms: Option<u64>,
    #[serde(default)]
    no_result: bool,
    #[serde(default)]
    own_id: bool,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    tags: Vec<String>,
    enqueued_at: Option<Timestamp>,
    replayed_at: Option<Timestamp>,
    due: Option<Timestamp>,
    #[serde(default)]
    attempts: u32,
    #[serde(default)]
    history: Vec<FailedAttempt>,
    unregistered_since: Option<Timestamp>,
    seal: Option<Box<Seal>>,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn first_format() -> u8 {
    1
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invocation::{Invocation, Unique};

    #[test]
    fn the_wire_form_of_a_small_task_is_this() {
        let envelope =
            Invocation::named("add", &serde_json::json!({"a": 1, "b": 2})).into_envelope().expect("valid invocation");
        assert_eq!(String::from_utf8_lossy(&envelope.encode()), r#"{"task":"add","args":{"a":1,"b":2}}"#);
    }

    #[test]
    fn an_envelope_reads_back_what_it_wrote() {
        let mut envelope = Invocation::named("add", &serde_json::json!({"a": 1}))
            .priority(9)
            .timeout(Duration::from_secs(3))
            .retry(Retry::fixed(Duration::from_secs(1)).attempts(2))
            .unique(Unique::key("one").replace().for_duration(Duration::from_secs(9)))
            .header("traceparent", "00-1")
            .tag("tenant:7")
            .max_deliveries(7)
            .result_ttl(Duration::from_secs(5))
            .id("mine")
            .into_envelope()
            .expect("valid invocation");
        envelope.due = Some(Timestamp::from_millis(7));
        envelope.record_failure(Timestamp::from_millis(5), &TaskError::from("é".repeat(3_000)));
        assert!(envelope.history[0].error.len() <= limits::MAX_ERROR_TEXT);
        let read = Envelope::decode(envelope.id.clone(), &envelope.encode()).expect("decodes");
        assert_eq!(read, envelope);
    }

    #[test]
    fn a_task_is_due_since_it_was_made_or_accepted_or_shall_run_again_and_else_nobody_knows() {
        let envelope = Invocation::named("add", &serde_json::json!({})).into_envelope().expect("valid invocation");
        let millis = |seconds| Some(Timestamp::from_millis(seconds));
        let made = envelope.due_since().expect("its key tells");
        assert_eq!(Some(made), envelope.id.key.made_at());
        assert_eq!(Envelope { enqueued_at: millis(5), ..envelope.clone() }.due_since(), millis(5));
        assert_eq!(Envelope { due: millis(9), enqueued_at: millis(5), ..envelope.clone() }.due_since(), millis(9));
        let mut failed = envelope.clone();
        failed.record_failure(Timestamp::from_millis(5), &TaskError::from("first"));
        assert_eq!(failed.due_since(), None);
        failed.due = millis(7);
        assert_eq!(failed.due_since(), millis(7));
        failed.begin_again(Timestamp::from_millis(9));
        assert_eq!((failed.due_since(), failed.replayed_at), (millis(9), millis(9)));
        let own =
            Invocation::named("add", &serde_json::json!({})).id("mine").into_envelope().expect("valid invocation");
        assert_eq!(own.due_since(), None);
    }

    #[test]
    fn a_newer_format_is_refused_and_unknown_keys_are_not() {
        let id: TaskId = "default/x".parse().expect("valid");
        let newer = Envelope::decode(id.clone(), br#"{"v":2,"task":"add","args":{}}"#).expect_err("newer");
        assert_eq!(newer.kind(), ErrorKind::Layout);
        assert!(Envelope::decode(id.clone(), br#"{"v":1,"task":"add","args":{},"colour":"red"}"#).is_ok());
        assert_eq!(Envelope::decode(id, b"\xff").expect_err("garbage").kind(), ErrorKind::Codec);
    }

    #[test]
    fn arguments_over_the_limit_are_not_read_from_a_broker() {
        let id: TaskId = "default/x".parse().expect("valid");
        let of_length = |length: usize| format!(r#"{{"task":"add","args":"{}"}}"#, "x".repeat(length - 2));
        assert!(Envelope::decode(id.clone(), of_length(limits::MAX_STORED_PAYLOAD).as_bytes()).is_ok());
        let error = Envelope::decode(id, of_length(limits::MAX_STORED_PAYLOAD + 1).as_bytes()).expect_err("too large");
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(error.to_string().contains("the limit is"), "{error}");
    }

    #[test]
    fn a_sealed_envelope_reads_back_and_is_no_object_to_older_versions() {
        let bytes = br#"{"task":"pay","args":"aGVsbG8=","seal":{"enc":"e","sig":"s:MnFC"}}"#;
        let envelope = Envelope::decode("default/x".parse().expect("valid"), bytes).expect("decodes");
        let seal = envelope.seal.as_deref().expect("is sealed");
        assert_eq!(seal.encryption.as_ref().map(crate::id::KeyId::as_str), Some("e"));
        assert_eq!(seal.signature.as_ref().map(|signature| signature.key.as_str()), Some("s"));
        assert_eq!(envelope.encode(), bytes);
        // A version that knows no seals finds a text where it wants the object of the arguments.
        #[derive(Debug, Deserialize)]
        struct Args {}
        assert!(envelope.payload.decode::<Args>().is_err());
    }
}
