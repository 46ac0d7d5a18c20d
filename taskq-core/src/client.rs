//! The client: enqueues invocations and asks about tasks. Every call has a deadline.

use std::{collections::BTreeMap, future::Future, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use serde::Serialize;
use tracing::{Instrument, Span};

use crate::{
    broker::{Accepted, CancelAnswer, Snapshot},
    bug::Bug,
    connection::Connection,
    durability::Durability,
    envelope::Envelope,
    error::{Error, ErrorKind, Result},
    events::{Cursor, Event, EventPage, Subscriber, What},
    handle::TaskHandle,
    id::{BatchId, QueueName, Siblings, TaskId},
    invocation::{AnyTask, Invocation, Start},
    limits,
    logs::LogLine,
    propagator,
    retry::fraction,
    seal::Keys,
    task::Task,
};

/// Enqueues invocations and asks about tasks. Cheap to clone.
///
/// A call that meets a transient error is repeated until its [deadline](Self::deadline); repeating is harmless, since
/// ids are made before anything is sent.
#[derive(Clone, Debug)]
pub struct Client {
    connection: Connection,
    deadline: Duration,
    durability: Durability,
}

impl Client {
    /// A client on `connection`.
    pub fn new(connection: Connection) -> Self {
        let durability = connection.durability();
        Self { connection, deadline: limits::CALL_DEADLINE, durability }
    }

    /// The same client with another deadline for each call; the default is 5 s.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The deadline of each call.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// The same client, which acknowledges an enqueue only when it is that safe. Clients are cheap to clone, so one call can
    /// have its own.
    #[must_use]
    pub fn with_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// The connection that it uses.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Enqueues one invocation. When this returns, the broker has accepted it.
    ///
    /// If its own id or unique key is taken, nothing is enqueued and the handle is that of the present holder;
    /// [`TaskHandle::was_created`] tells.
    pub async fn enqueue<T>(&self, invocation: Invocation<T>) -> Result<TaskHandle<T>> {
        let durability = invocation.wanted_durability().unwrap_or(self.durability);
        let mut envelope = invocation.into_envelope()?;
        self.say_when_due(&mut envelope);
        // Before the seal, which covers the headers.
        let span = propagator::send_one(&self.connection, &mut envelope);
        self.connection.seal_task(&mut envelope)?;
        let answer = self.enqueue_envelope(envelope, durability).instrument(span.clone()).await;
        propagator::told(&self.connection, &span, answer)
    }

    /// Enqueues an envelope that was made, and sealed if there are keys, before: for schedulers.
    pub async fn enqueue_envelope<T>(&self, envelope: Envelope, durability: Durability) -> Result<TaskHandle<T>> {
        let id = envelope.id.clone();
        // A caller's own key can come again, in another call.
        let batch = if envelope.own_id { BatchId::generate() } else { BatchId::of_generated(&id.key) };
        let accepted = self.enqueue_batch(&id.queue, batch, std::slice::from_ref(&envelope), durability).await?;
        match accepted.into_iter().next() {
            Some(accepted) => Ok(self.handle_of(id, accepted)),
            None => Err(Error::new(ErrorKind::Internal, "enqueue", id).because("the broker gave no answer")),
        }
    }

    /// Enqueues a task by name, with its arguments as a JSON object keyed by parameter name, for callers that do not
    /// link the task. Use [`Invocation::named`] for options.
    pub async fn enqueue_named(&self, task: &str, args: &impl Serialize) -> Result<TaskHandle<AnyTask>> {
        self.enqueue(Invocation::named(task, args)).await
    }

    /// Enqueues any number of invocations, in chunks of 200 a queue, four chunks under way at once.
    ///
    /// A chunk is accepted whole or not at all; the whole is not atomic. The iterator is read as fast as the broker
    /// accepts, so memory stays bounded but for the handles. On an error, [`BulkError`] holds what was certainly
    /// accepted and what is uncertain; pass `&mut iterator` to keep what was not read.
    pub async fn enqueue_all<T, I>(&self, invocations: I) -> std::result::Result<Vec<TaskHandle<T>>, BulkError<T>>
    where
        I: IntoIterator<Item = Invocation<T>>,
    {
        Bulk::new(self).run(invocations.into_iter()).await
    }

    /// Sends again what a failed [`enqueue_all`](Self::enqueue_all) left uncertain, in the same chunks under the same
    /// ids. What was accepted after all is not enqueued twice.
    pub async fn resume<T>(&self, error: BulkError<T>) -> std::result::Result<Vec<TaskHandle<T>>, BulkError<T>> {
        let mut bulk = Bulk::new(self);
        bulk.numbered = error.accepted.into_iter().enumerate().collect();
        bulk.resending = error.uncertain.0;
        bulk.run(std::iter::empty()).await
    }

    /// The handle of a task by its id.
    pub fn handle<T: Task>(&self, id: &TaskId) -> TaskHandle<T> {
        TaskHandle::new(self.clone(), id.clone(), Accepted::Duplicate)
    }

    /// The handle of a task that this program does not link.
    pub fn handle_any(&self, id: &TaskId) -> TaskHandle<AnyTask> {
        TaskHandle::new(self.clone(), id.clone(), Accepted::Duplicate)
    }

    /// Asks for the end of a task: a waiting one is cancelled at once, the body of a running one is told.
    pub async fn cancel(&self, id: &TaskId) -> Result<CancelAnswer> {
        let answer = self.call("cancel", id, || self.connection.broker().cancel(id)).await?;
        tell_cancelled(&self.connection, id, answer);
        Ok(answer)
    }

    /// What is known of a task; `None` if its id was never accepted or is no longer kept.
    ///
    /// An encrypted result is opened if this connection has its key, and else left as it is kept.
    pub async fn find(&self, id: &TaskId) -> Result<Option<Snapshot>> {
        let found = self.call("look up", id, || self.connection.broker().find(id)).await?;
        match self.connection.keys() {
            Some(keys) => Ok(found.map(|snapshot| opened(keys, id, snapshot))),
            None => Ok(found),
        }
    }

    /// What a task has logged with [`Context::log`](crate::Context::log), oldest first: the newest 200 lines, until a day
    /// after the last. Lines come a moment after they were written.
    pub async fn log_lines(&self, id: &TaskId) -> Result<Vec<LogLine>> {
        self.call("read log lines of", id, || self.connection.logs().lines(id)).await
    }

    /// What happens from now on, as processes tell it that are told to ([`Connection::with_events`]): tasks enqueued, started
    /// and settled, workers up and down, changes of the leader and of health. See [`Subscriber`] for an example.
    pub async fn events(&self) -> Result<Subscriber> {
        let last = self.call("read", &"events", || self.connection.events().last()).await?;
        Ok(Subscriber::new(self.clone(), last.unwrap_or_default()))
    }

    pub(crate) async fn read_events(&self, after: Option<Cursor>, count: usize) -> Result<EventPage> {
        self.call("read", &"events", || self.connection.events().read(after, count)).await
    }

    /// The result of waiting at most `bound`, which may be longer than the deadline of other calls.
    pub(crate) async fn wait(&self, id: &TaskId, bound: Duration) -> Result<Option<Snapshot>> {
        let patient = Self { deadline: bound.saturating_add(self.deadline), ..self.clone() };
        let clock = self.connection.clock();
        let end = clock.monotonic() + bound;
        patient.call("wait for", id, || self.connection.broker().wait(id, end.saturating_sub(clock.monotonic()))).await
    }

    fn handle_of<T>(&self, id: TaskId, accepted: Accepted) -> TaskHandle<T> {
        match accepted {
            Accepted::Held(holder) => {
                TaskHandle::new(self.clone(), TaskId::new(id.queue, holder.clone()), Accepted::Held(holder))
            }
            accepted => TaskHandle::new(self.clone(), id, accepted),
        }
    }

    /// Notes when it is due, where neither its id nor the time of its acceptance will tell.
    fn say_when_due(&self, envelope: &mut Envelope) {
        let now = || self.connection.clock().now();
        envelope.due = match envelope.start {
            Start::Now => envelope.own_id.then(now),
            Start::After(delay) => Some(now() + delay),
            Start::At(time) => Some(time),
        };
    }

    async fn enqueue_batch(
        &self,
        queue: &QueueName,
        batch: BatchId,
        envelopes: &[Envelope],
        durability: Durability,
    ) -> Result<Vec<Accepted>> {
        let forgets = self.connection.planted().is(Bug::BatchIdNotKept);
        let kept = || if forgets { BatchId::generate() } else { batch };
        let broker = self.connection.broker();
        let call = self.call("enqueue to", queue, || match durability {
            Durability::Replicated(replicas @ 1..) => broker.enqueue_replicated(queue, kept(), envelopes, replicas),
            Durability::Replicated(0) | Durability::Accepted => broker.enqueue(queue, kept(), envelopes),
        });
        let accepted = call.await?;
        self.connection.meter().enqueued(queue, &accepted);
        tell_enqueued(&self.connection, envelopes, &accepted);
        Ok(accepted)
    }

    /// Runs a broker call under the deadline, repeating it after transient errors with growing, jittered pauses.
    async fn call<V, F, Fut>(
        &self,
        operation: &'static str,
        subject: &impl std::fmt::Display,
        mut attempt: F,
    ) -> Result<V>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<V>>,
    {
        let clock = self.connection.clock();
        let end = clock.monotonic() + self.deadline;
        let mut pause = limits::CALL_BACKOFF;
        let mut last = None;
        loop {
            let left = end.saturating_sub(clock.monotonic());
            let error = match clock.timeout(left, attempt()).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) if !error.is_transient() => return Err(error),
                Ok(Err(error)) => error,
                Err(_) => {
                    self.connection.meter().broker_errors.add(1);
                    return Err(self.too_late(operation, subject, last));
                }
            };
            self.connection.meter().broker_errors.add(1);
            let jittered = pause / 2 + fraction(pause / 2, pause_seed(&error, left));
            if jittered >= end.saturating_sub(clock.monotonic()) {
                return Err(self.too_late(operation, subject, Some(error)));
            }
            last = Some(error);
            clock.sleep(jittered).await;
            pause = (pause * 2).min(limits::CALL_BACKOFF_CAP);
        }
    }

    /// The error of a call whose deadline passed: what, where, and the last thing that went wrong.
    fn too_late(&self, operation: &'static str, subject: &impl std::fmt::Display, last: Option<Error>) -> Error {
        let subject = format!("\"{subject}\" at {}", self.connection.address());
        let deadline = self.deadline;
        match last {
            Some(last) => {
                Error::new(last.kind(), operation, subject).because(format!("gave up after {deadline:?}: {last}"))
            }
            None => Error::new(ErrorKind::DeadlineExceeded, operation, subject)
                .because(format!("no answer within {deadline:?}")),
        }
    }
}

/// Tells that a task is cancelled, if it is and anybody is to know: for clients and schedulers.
#[doc(hidden)]
pub fn tell_cancelled(connection: &Connection, id: &TaskId, answer: CancelAnswer) {
    let Some(outlet) = connection.outlet() else { return };
    match answer {
        CancelAnswer::Cancelled => outlet.tell_of_task(What::Cancelled { id: id.clone(), running: false }),
        CancelAnswer::Requested => outlet.tell_of_task(What::Cancelled { id: id.clone(), running: true }),
        CancelAnswer::AlreadyEnded | CancelAnswer::NotFound => {}
    }
}

/// Tells which envelopes are tasks now, if anybody is to know: for clients and schedulers.
#[doc(hidden)]
pub fn tell_enqueued(connection: &Connection, envelopes: &[Envelope], accepted: &[Accepted]) {
    let Some(outlet) = connection.outlet() else { return };
    let is_new = |accepted: &Accepted| matches!(accepted, Accepted::Created | Accepted::Replaced(_));
    let now = connection.clock().now();
    let event = |envelope: &Envelope| {
        let due = envelope.due.filter(|due| *due > now);
        Event::new(now, What::Enqueued { id: envelope.id.clone(), task: envelope.task.clone(), due })
    };
    let created = envelopes.iter().zip(accepted).filter(|(_, accepted)| is_new(accepted));
    let count = accepted.iter().filter(|accepted| is_new(accepted)).count();
    outlet.tell_of_tasks(count, created.map(|(envelope, _)| event(envelope)));
}

/// With its result readable, if it opens; where it does not, its state and the rest are still of use.
fn opened(keys: &dyn Keys, id: &TaskId, snapshot: Snapshot) -> Snapshot {
    let result = snapshot.result.map(|stored| keys.open_result(id, stored.clone()).unwrap_or(stored));
    Snapshot { result, ..snapshot }
}

/// A seed for the jitter of a pause: how much time is left differs between callers by more than a nanosecond.
fn pause_seed(error: &Error, left: Duration) -> u64 {
    left.subsec_nanos() as u64 ^ (error.subject().len() as u64) << 32
}

/// What a bulk enqueue that failed half-way leaves.
pub struct BulkError<T> {
    /// Why it stopped.
    pub error: Error,
    /// What was certainly accepted, in the iterator's order.
    pub accepted: Vec<TaskHandle<T>>,
    /// What was sent without a clear answer, or read from the iterator and not sent. [`Client::resume`] sends it again
    /// under the same ids, so nothing is enqueued twice.
    pub uncertain: Uncertain,
}

/// Invocations whose acceptance is not known; see [`BulkError`].
#[derive(Debug, Default)]
pub struct Uncertain(Vec<Chunk>);

impl Uncertain {
    /// The ids of the invocations.
    pub fn ids(&self) -> impl Iterator<Item = &TaskId> {
        self.0.iter().flat_map(|chunk| chunk.envelopes.iter().map(|(_, envelope)| &envelope.id))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.iter().map(|chunk| chunk.envelopes.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> std::fmt::Display for BulkError<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} accepted before, {} uncertain)", self.error, self.accepted.len(), self.uncertain.len())
    }
}

impl<T> std::fmt::Debug for BulkError<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl<T> std::error::Error for BulkError<T> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Envelopes of one queue that are accepted together; each with its place in the iterator.
#[derive(Debug)]
struct Chunk {
    queue: QueueName,
    batch: BatchId,
    envelopes: Vec<(usize, Envelope)>,
    durability: Durability,
    span: Span,
}

/// A chunk that is not full yet.
#[derive(Debug)]
struct Filling {
    envelopes: Vec<(usize, Envelope)>,
    /// What the one that asks for most asks for.
    durability: Durability,
    /// What the headers of its tasks tell of.
    span: Span,
}

/// One bulk enqueue under way.
struct Bulk<'a, T> {
    client: &'a Client,
    siblings: [Siblings; 2],
    filling: BTreeMap<QueueName, Filling>,
    resending: Vec<Chunk>,
    numbered: Vec<(usize, TaskHandle<T>)>,
    uncertain: Vec<Chunk>,
    failure: Option<Error>,
    next_number: usize,
}

impl<'a, T> Bulk<'a, T> {
    fn new(client: &'a Client) -> Self {
        Self {
            client,
            siblings: [Siblings::new(false), Siblings::new(true)],
            filling: BTreeMap::new(),
            resending: Vec::new(),
            numbered: Vec::new(),
            uncertain: Vec::new(),
            failure: None,
            next_number: 0,
        }
    }

    async fn run(
        mut self,
        mut invocations: impl Iterator<Item = Invocation<T>>,
    ) -> std::result::Result<Vec<TaskHandle<T>>, BulkError<T>> {
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < limits::ENQUEUE_IN_FLIGHT && self.failure.is_none() {
                match self.next_chunk(&mut invocations) {
                    Some(chunk) => under_way.push(send(self.client, chunk)),
                    None => break,
                }
            }
            match under_way.next().await {
                Some((chunk, answer)) => self.take(chunk, answer),
                None => break,
            }
        }
        self.finish()
    }

    /// Reads on until a chunk is full, or the iterator ends and what is left goes out.
    fn next_chunk(&mut self, invocations: &mut impl Iterator<Item = Invocation<T>>) -> Option<Chunk> {
        if let Some(chunk) = self.resending.pop() {
            return Some(chunk);
        }
        loop {
            match invocations.next().map(|invocation| self.fill(invocation)) {
                Some(Ok(Some(full))) => return self.take_filled(&full),
                Some(Ok(None)) => {}
                Some(Err(error)) => {
                    self.failure = Some(error);
                    return None;
                }
                None => {
                    let queue = self.filling.keys().next()?.clone();
                    return self.take_filled(&queue);
                }
            }
        }
    }

    /// Adds an invocation to its queue's chunk; the queue's name if that is full now.
    ///
    /// The keys of a chunk are siblings: a broker can keep what it knows of them together.
    fn fill(&mut self, invocation: Invocation<T>) -> Result<Option<QueueName>> {
        let connection = &self.client.connection;
        let durability = invocation.wanted_durability().unwrap_or(self.client.durability);
        let [untracked, tracked] = &mut self.siblings;
        let mut envelope = invocation
            .into_envelope_as(|is_tracked| if is_tracked { tracked.next_key() } else { untracked.next_key() })?;
        self.client.say_when_due(&mut envelope);
        let queue = envelope.id.queue.clone();
        let span = match self.filling.get(&queue) {
            Some(chunk) => chunk.span.clone(),
            None => propagator::send_many(connection, &queue),
        };
        // Before the seal, which covers the headers.
        propagator::carry_link(connection, &span, &mut envelope);
        connection.seal_task(&mut envelope)?;
        let new = || Filling { envelopes: Vec::new(), durability, span };
        let chunk = self.filling.entry(queue.clone()).or_insert_with(new);
        chunk.envelopes.push((self.next_number, envelope));
        chunk.durability = chunk.durability.max(durability);
        self.next_number += 1;
        Ok((chunk.envelopes.len() == limits::ENQUEUE_CHUNK).then_some(queue))
    }

    fn take_filled(&mut self, queue: &QueueName) -> Option<Chunk> {
        let Filling { envelopes, durability, span } = self.filling.remove(queue)?;
        self.siblings.iter_mut().for_each(Siblings::part);
        Some(Chunk { queue: queue.clone(), batch: BatchId::generate(), envelopes, durability, span })
    }

    fn take(&mut self, chunk: Chunk, answer: Result<Vec<Accepted>>) {
        match answer {
            Ok(accepted) => {
                for ((number, envelope), accepted) in chunk.envelopes.into_iter().zip(accepted) {
                    self.numbered.push((number, self.client.handle_of(envelope.id, accepted)));
                }
            }
            Err(error) => {
                self.failure.get_or_insert(error);
                self.uncertain.push(chunk);
            }
        }
    }

    fn finish(mut self) -> std::result::Result<Vec<TaskHandle<T>>, BulkError<T>> {
        self.numbered.sort_unstable_by_key(|(number, _)| *number);
        let accepted: Vec<_> = self.numbered.into_iter().map(|(_, handle)| handle).collect();
        match self.failure {
            None => Ok(accepted),
            Some(error) => {
                let unsent = self.filling.into_iter().map(|(queue, filling)| Chunk {
                    queue,
                    batch: BatchId::generate(),
                    envelopes: filling.envelopes,
                    durability: filling.durability,
                    span: filling.span,
                });
                self.uncertain.extend(unsent);
                self.uncertain.append(&mut self.resending);
                Err(BulkError { error, accepted, uncertain: Uncertain(self.uncertain) })
            }
        }
    }
}

async fn send(client: &Client, chunk: Chunk) -> (Chunk, Result<Vec<Accepted>>) {
    let Chunk { queue, batch, envelopes, durability, span } = chunk;
    let (numbers, envelopes): (Vec<_>, Vec<_>) = envelopes.into_iter().unzip();
    propagator::counts(&client.connection, &span, envelopes.len());
    let answer = client.enqueue_batch(&queue, batch, &envelopes, durability).instrument(span.clone()).await;
    let answer = propagator::told(&client.connection, &span, answer);
    (Chunk { queue, batch, envelopes: numbers.into_iter().zip(envelopes).collect(), durability, span }, answer)
}
