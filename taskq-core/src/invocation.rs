//! A task with its arguments and options, before it is enqueued.

use std::{collections::BTreeMap, fmt, marker::PhantomData, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    clock::Timestamp,
    codec::Payload,
    durability::Durability,
    envelope::Envelope,
    error::{Error, ErrorKind, Result},
    id::{QueueName, TaskId, TaskKey, TaskName},
    limits,
    retry::{Retry, scramble},
    task::Task,
    text::quoted,
};

/// What a task declares about itself in `#[task(..)]`, and what an invocation may change.
///
/// Everything left out takes the default from [`limits`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TaskOptions {
    /// The queue; `default` if none.
    pub queue: Option<String>,
    /// What follows a failed attempt.
    pub retry: Option<Retry>,
    /// Limit of one attempt.
    pub timeout: Option<Duration>,
    /// 0 to 9, 9 first.
    pub priority: Option<u8>,
    /// From enqueueing on, until when a start still makes sense.
    pub expires_in: Option<Duration>,
    /// Consecutive hand-outs that never ended before it becomes a dead letter.
    pub max_deliveries: Option<u8>,
    /// Not twice at a time.
    pub unique: Option<Unique>,
    /// How long the result is kept.
    pub result_ttl: Option<Duration>,
    /// No result is stored, and the task may stay untracked.
    pub no_result: bool,
}

/// A rule against enqueueing the same work twice. Keys are unique within a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unique {
    key: Option<String>,
    until: UniqueUntil,
    on_conflict: OnConflict,
}

/// When a unique key is free again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UniqueUntil {
    /// When its task starts for the first time.
    Start,
    /// When its task has ended for good: succeeded, dead, cancelled or expired.
    End,
    /// This long after its task was accepted, whatever became of that.
    After(Duration),
}

/// What happens to an invocation whose unique key is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// It is not enqueued; the caller gets the handle of the holder.
    Skip,
    /// A holder that has not started is cancelled and the new one takes its place; a running holder stays, and the new
    /// one is skipped.
    Replace,
}

impl Unique {
    /// Unique by task name and arguments: the same call is not queued twice.
    pub fn by_args() -> Self {
        Self { key: None, until: UniqueUntil::End, on_conflict: OnConflict::Skip }
    }

    /// Unique by this key, whatever the task and its arguments.
    pub fn key(key: impl Into<String>) -> Self {
        Self { key: Some(key.into()), ..Self::by_args() }
    }

    /// The key is free again when the task starts.
    #[must_use]
    pub fn until_start(mut self) -> Self {
        self.until = UniqueUntil::Start;
        self
    }

    /// The key is free again when the task has ended for good (the default).
    #[must_use]
    pub fn until_end(mut self) -> Self {
        self.until = UniqueUntil::End;
        self
    }

    /// The key is free again this long after the task was accepted.
    #[must_use]
    pub fn for_duration(mut self, duration: Duration) -> Self {
        self.until = UniqueUntil::After(duration);
        self
    }

    /// On conflict the waiting holder is replaced instead of the new one skipped.
    #[must_use]
    pub fn replace(mut self) -> Self {
        self.on_conflict = OnConflict::Replace;
        self
    }
}

/// The unique key of an envelope, computed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UniqueKey {
    /// The key itself, at most 200 bytes.
    pub key: String,
    /// When it is free again.
    pub until: UniqueUntil,
    /// What happens to a second one.
    pub on_conflict: OnConflict,
}

/// When a task may start. Relative times count from acceptance, by the broker's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// As soon as a slot is free.
    #[default]
    Now,
    /// This long after acceptance.
    After(Duration),
    /// At this time.
    At(Timestamp),
}

/// Until when a start still makes sense. Relative times count from acceptance, by the broker's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// This long after acceptance.
    After(Duration),
    /// At this time.
    At(Timestamp),
}

/// A task with its arguments and options: what [`Client::enqueue`](crate::Client::enqueue) takes.
///
/// Options given here replace those that the task declares.
#[must_use = "an invocation does nothing until it is enqueued"]
pub struct Invocation<T> {
    task: Result<TaskName>,
    payload: Result<Payload>,
    options: TaskOptions,
    start: Start,
    expiry: Option<Expiry>,
    own_key: Option<Result<TaskKey>>,
    headers: BTreeMap<String, String>,
    tags: Vec<String>,
    durability: Option<Durability>,
    marker: PhantomData<fn() -> T>,
}

/// Stands for a task that this program does not link; see [`Invocation::erased`] and `enqueue_named`.
#[derive(Debug)]
pub enum AnyTask {}

impl<T: Task> Invocation<T> {
    /// A task with these arguments; `add::with(2, 3)` calls it.
    pub fn new(args: &T::Args) -> Self {
        let payload = Payload::encode("encode arguments of", args, limits::MAX_PAYLOAD);
        // The worker that runs it knows the declared retry policy and timeout; only what an invocation changes travels.
        let options = TaskOptions { retry: None, timeout: None, ..T::options() };
        let expiry = options.expires_in.map(Expiry::After);
        Self {
            task: TaskName::new(T::NAME),
            payload,
            options,
            start: Start::Now,
            expiry,
            own_key: None,
            headers: BTreeMap::new(),
            tags: Vec::new(),
            durability: None,
            marker: PhantomData,
        }
    }
}

impl Invocation<AnyTask> {
    /// A task by name with a JSON object of arguments, for callers that do not link it.
    pub fn named(task: &str, args: &impl Serialize) -> Self {
        let payload =
            Payload::encode("encode arguments of", args, limits::MAX_PAYLOAD).and_then(|payload| {
                match payload.as_str().starts_with('{') {
                    true => Ok(payload),
                    false => Err(Error::invalid(
                        "encode arguments of",
                        task,
                        "arguments are a JSON object keyed by parameter name",
                    )),
                }
            });
        Self {
            task: TaskName::new(task),
            payload,
            options: TaskOptions::default(),
            start: Start::Now,
            expiry: None,
            own_key: None,
            headers: BTreeMap::new(),
            tags: Vec::new(),
            durability: None,
            marker: PhantomData,
        }
    }
}

impl<T> Invocation<T> {
    /// Forgets the task's type, so that one batch can mix tasks.
    pub fn erased(self) -> Invocation<AnyTask> {
        Invocation {
            task: self.task,
            payload: self.payload,
            options: self.options,
            start: self.start,
            expiry: self.expiry,
            own_key: self.own_key,
            headers: self.headers,
            tags: self.tags,
            durability: self.durability,
            marker: PhantomData,
        }
    }

    /// Takes over what its task declares, for callers that know the task only by name.
    pub fn declared(mut self, options: TaskOptions) -> Self {
        self.expiry = self.expiry.or(options.expires_in.map(Expiry::After));
        self.options = TaskOptions { retry: None, timeout: None, ..options };
        self
    }

    /// Puts it into another queue than the task declares.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.options.queue = Some(queue.into());
        self
    }

    /// Starts it this long after acceptance, by the broker's clock.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.start = Start::After(delay);
        self
    }

    /// Starts it at this time, by the broker's clock; a past time means now.
    pub fn run_at(mut self, time: impl Into<Timestamp>) -> Self {
        self.start = Start::At(time.into());
        self
    }

    /// 0 to 9; 9 runs first, strictly, within its queue.
    pub fn priority(mut self, priority: u8) -> Self {
        self.options.priority = Some(priority);
        self
    }

    /// Not started later than this after acceptance; then it is `expired`.
    pub fn expires_in(mut self, duration: Duration) -> Self {
        self.expiry = Some(Expiry::After(duration));
        self
    }

    /// Not started later than this time; then it is `expired`.
    pub fn expires_at(mut self, time: impl Into<Timestamp>) -> Self {
        self.expiry = Some(Expiry::At(time.into()));
        self
    }

    /// Limit of one attempt.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// Another retry policy for this one. A custom function cannot travel and is refused at enqueueing.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.options.retry = Some(retry);
        self
    }

    /// Hand-outs without an end before it becomes a dead letter.
    pub fn max_deliveries(mut self, deliveries: u8) -> Self {
        self.options.max_deliveries = Some(deliveries);
        self
    }

    /// Not twice at a time.
    pub fn unique(mut self, unique: Unique) -> Self {
        self.options.unique = Some(unique);
        self
    }

    /// How long the result is kept.
    pub fn result_ttl(mut self, duration: Duration) -> Self {
        self.options.result_ttl = Some(duration);
        self
    }

    /// Adds a header; `ctx.headers()` shows it to the body.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// Adds a label by which people find the task among others, such as `tenant:7`. It decides nothing.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Its own id within the queue: enqueueing the same id again changes nothing and gives the handle of the first.
    pub fn id(mut self, key: impl AsRef<str>) -> Self {
        self.own_key = Some(TaskKey::own(key));
        self
    }

    /// The name of the task, if it is valid.
    pub fn task_name(&self) -> Option<&TaskName> {
        self.task.as_ref().ok()
    }

    /// The encoded arguments, if they could be encoded.
    pub fn payload(&self) -> Option<&Payload> {
        self.payload.as_ref().ok()
    }

    /// How safe the task is when its enqueueing returns; see [`Durability`]. In a bulk enqueue the tasks that are sent
    /// together are as safe as the one that asks for most.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    pub(crate) fn wanted_durability(&self) -> Option<Durability> {
        self.durability
    }

    /// Checks everything and makes the envelope, with a fresh id unless it has its own.
    pub fn into_envelope(self) -> Result<Envelope> {
        self.into_envelope_as(|tracked| if tracked { TaskKey::generate() } else { TaskKey::generate_untracked() })
    }

    /// The same with a key from `make`, unless it has its own. `make` is told whether the task is tracked.
    pub(crate) fn into_envelope_as(self, make: impl FnOnce(bool) -> TaskKey) -> Result<Envelope> {
        let task = self.task?;
        let payload = self.payload.map_err(|error| named(error, &task))?;
        let options = self.options;
        check_options(&task, &options)?;
        let queue = QueueName::new(options.queue.as_deref().unwrap_or(limits::DEFAULT_QUEUE))?;
        let own_id = self.own_key.is_some();
        let key = match self.own_key {
            Some(Ok(key)) if key.is_untracked() => {
                return Err(Error::invalid("task id", key, "UUIDs of version 8 mark untracked tasks; use another id"));
            }
            Some(key) => key?,
            None => make(!options.no_result),
        };
        let unique = options.unique.map(|unique| unique_key(unique, &task, &payload)).transpose()?;
        Ok(Envelope {
            id: TaskId::new(queue, key),
            own_id,
            priority: priority(options.priority)?,
            start: bounded_start(self.start)?,
            expiry: bounded_expiry(self.expiry)?,
            timeout: bounded("timeout", options.timeout)?,
            retry: options.retry,
            max_deliveries: options.max_deliveries.unwrap_or(limits::DEFAULT_MAX_DELIVERIES).max(1),
            unique,
            result_ttl: bounded("result_ttl", options.result_ttl)?.unwrap_or(limits::DEFAULT_RESULT_TTL),
            stores_result: !options.no_result,
            headers: headers(self.headers)?,
            tags: tags(self.tags)?,
            enqueued_at: None,
            replayed_at: None,
            due: None,
            attempts: 0,
            history: Vec::new(),
            unregistered_since: None,
            seal: None,
            task,
            payload,
        })
    }
}

impl<T> Clone for Invocation<T> {
    /// A template to enqueue again; each enqueueing is a task of its own (unless it has its own id).
    fn clone(&self) -> Self {
        Self {
            task: again(&self.task),
            payload: again(&self.payload),
            options: self.options.clone(),
            start: self.start,
            expiry: self.expiry,
            own_key: self.own_key.as_ref().map(again),
            headers: self.headers.clone(),
            tags: self.tags.clone(),
            durability: self.durability,
            marker: PhantomData,
        }
    }
}

/// A result's copy; its error is told again in words.
fn again<V: Clone>(result: &Result<V>) -> Result<V> {
    match result {
        Ok(value) => Ok(value.clone()),
        Err(error) => Err(Error::new(error.kind(), error.operation(), error.subject())
            .because(std::error::Error::source(error).map(ToString::to_string).unwrap_or_default())),
    }
}

impl<T> fmt::Debug for Invocation<T> {
    /// Never shows arguments: they may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invocation")
            .field("task", &self.task_name())
            .field("start", &self.start)
            .finish_non_exhaustive()
    }
}

fn named(error: Error, task: &TaskName) -> Error {
    let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    Error::new(error.kind(), error.operation(), task).because(source)
}

fn check_options(task: &TaskName, options: &TaskOptions) -> Result<()> {
    if options.max_deliveries == Some(0) {
        return Err(Error::invalid("enqueue", task, "max_deliveries is at least 1"));
    }
    match &options.retry {
        Some(retry) if !retry.is_portable() => {
            let cure = "a custom retry function cannot travel with an invocation; declare it in #[task(retry = ..)]";
            Err(Error::invalid("enqueue", task, cure))
        }
        _ => Ok(()),
    }
}

fn priority(priority: Option<u8>) -> Result<u8> {
    match priority {
        None => Ok(limits::DEFAULT_PRIORITY),
        Some(priority) if priority <= limits::MAX_PRIORITY => Ok(priority),
        Some(priority) => Err(Error::invalid("priority", priority, "use 0 to 9; 9 runs first")),
    }
}

fn bounded(what: &'static str, duration: Option<Duration>) -> Result<Option<Duration>> {
    match duration {
        Some(duration) if duration > limits::MAX_FUTURE => {
            Err(Error::invalid(what, format!("{duration:?}"), "use at most ten years"))
        }
        Some(Duration::ZERO) if what != "delay" => Err(Error::invalid(what, "0", "use a duration above zero")),
        duration => Ok(duration),
    }
}

fn bounded_start(start: Start) -> Result<Start> {
    if let Start::After(delay) = start {
        bounded("delay", Some(delay))?;
    }
    Ok(start)
}

/// Each once, in the order in which they were given.
fn tags(given: Vec<String>) -> Result<Vec<String>> {
    let mut tags: Vec<String> = Vec::with_capacity(given.len());
    for tag in given {
        if tag.is_empty() || tag.len() > limits::MAX_TAG || tag.chars().any(char::is_control) {
            let cure = format!("a tag has 1 to {} bytes and no control characters", limits::MAX_TAG);
            return Err(Error::invalid("tag", quoted(&tag), cure));
        }
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    match tags.len() > limits::MAX_TAGS {
        true => Err(Error::invalid("tags", tags.len(), format!("a task has at most {}", limits::MAX_TAGS))),
        false => Ok(tags),
    }
}

fn bounded_expiry(expiry: Option<Expiry>) -> Result<Option<Expiry>> {
    if let Some(Expiry::After(duration)) = expiry {
        bounded("expires_in", Some(duration))?;
    }
    Ok(expiry)
}

fn headers(headers: BTreeMap<String, String>) -> Result<BTreeMap<String, String>> {
    let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if headers.len() > limits::MAX_HEADERS || bytes > limits::MAX_HEADERS_BYTES {
        let cure =
            format!("use at most {} headers of {} bytes together", limits::MAX_HEADERS, limits::MAX_HEADERS_BYTES);
        return Err(Error::new(ErrorKind::TooLarge, "headers", "").because(cure));
    }
    Ok(headers)
}

fn unique_key(unique: Unique, task: &TaskName, payload: &Payload) -> Result<UniqueKey> {
    let key = match unique.key {
        Some(key) => key,
        None => format!("{task}#{}", fingerprint(payload)?),
    };
    if key.is_empty() || key.len() > limits::MAX_KEY {
        let cure = format!("it has {} bytes; use 1 to {}", key.len(), limits::MAX_KEY);
        return Err(Error::invalid("unique key", "", cure));
    }
    if let UniqueUntil::After(duration) = unique.until {
        bounded("unique", Some(duration))?;
    }
    Ok(UniqueKey { key, until: unique.until, on_conflict: unique.on_conflict })
}

/// A 128-bit fingerprint of arguments that is the same whatever the order of their keys.
fn fingerprint(payload: &Payload) -> Result<String> {
    let value: serde_json::Value =
        payload.decode().map_err(|error| Error::new(ErrorKind::Codec, "fingerprint", "").because(error))?;
    let text = in_key_order(&value);
    let half = |seed: u64| text.bytes().fold(seed, |hash, byte| scramble(hash ^ u64::from(byte)));
    Ok(format!("{:016x}{:016x}", half(1), half(2)))
}

/// The fingerprint in a unique key that [`Unique::by_args`] made of a task's arguments.
#[cfg(feature = "seal")]
pub(crate) fn fingerprint_in<'a>(key: &'a str, task: &TaskName) -> Option<&'a str> {
    let fingerprint = key.strip_prefix(task.as_str())?.strip_prefix('#')?;
    (fingerprint.len() == 32 && fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(fingerprint)
}

/// JSON with sorted keys. Sorted here, since whether `Value` sorts depends on a feature that any crate can switch.
fn in_key_order(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| name.as_str());
            let field = |(name, value): &(&String, &serde_json::Value)| format!("{name:?}:{}", in_key_order(value));
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(","))
        }
        serde_json::Value::Array(items) => {
            format!("[{}]", items.iter().map(in_key_order).collect::<Vec<_>>().join(","))
        }
        plain => plain.to_string(),
    }
}

/// What a broker keeps of a payload: a reference for encoders.
pub(crate) fn raw(payload: &Payload) -> &RawValue {
    payload.as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named() -> Invocation<AnyTask> {
        Invocation::named("add", &serde_json::json!({"a": 1, "b": 2}))
    }

    #[test]
    fn bad_options_are_refused_by_name() {
        let refused = |invocation: Invocation<AnyTask>| invocation.into_envelope().expect_err("refused").to_string();
        assert!(refused(named().priority(10)).contains("priority 10"));
        assert!(refused(named().queue("a:b")).contains("queue name"));
        assert!(refused(named().timeout(Duration::ZERO)).contains("timeout 0"));
        assert!(refused(named().delay(Duration::from_secs(u64::MAX))).contains("delay"));
        assert!(refused(named().id("a/b")).contains("task id"));
        assert!(refused(Invocation::named("add", &[1, 2])).contains("JSON object"));
        assert!(
            refused(Invocation::named("add", &serde_json::json!({"a": "x".repeat(300_000)}))).contains("the limit is")
        );
    }

    #[test]
    fn the_same_arguments_have_the_same_unique_key_in_any_order() {
        let key = |json: &str| {
            let args: Box<RawValue> = serde_json::from_str(json).expect("json");
            let envelope = Invocation::named("add", &args).unique(Unique::by_args()).into_envelope().expect("valid");
            envelope.unique.expect("has one").key
        };
        assert_eq!(key(r#"{"a":1,"b":2}"#), key(r#"{"b":2,"a":1}"#));
        assert_ne!(key(r#"{"a":1,"b":2}"#), key(r#"{"a":2,"b":1}"#));
    }
}
