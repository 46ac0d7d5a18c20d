//! Runs one attempt: decode, layers, body, outcome, settle.

use std::{any::Any, future::poll_fn, panic::AssertUnwindSafe, sync::Arc, task::Poll, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use taskq_core::{
    Attempt, DeadReason, Envelope, ErrorKind, Next, Outcome, Payload, QueueName, Retry, TaskError, TaskErrorKind,
    broker::{Ending, Settlement},
    context::{AttemptContext, ErasedContext, StopReason},
    limits, propagator,
    retry::fraction,
    task::Body,
};
use tokio::sync::oneshot;
use tracing::{Instrument, Span};

use crate::{
    attempts::DeliveryId,
    batch::Batch,
    meter::{Counted, Note, TaskMeter},
    registry::{Known, TaskNumber},
    worker::Shared,
};

/// A claimed task that has not begun.
#[derive(Clone)]
pub(crate) struct Ready {
    pub(crate) context: Arc<AttemptContext>,
    /// Which task it is, if this worker knows it.
    pub(crate) task: Option<TaskNumber>,
}

/// An attempt that has ended: what the broker is told, and as what it is counted once the broker has taken that.
pub(crate) struct Over {
    pub(crate) settlement: Settlement,
    pub(crate) note: Note,
}

/// One claimed task on its way through the worker.
struct Run {
    context: Arc<AttemptContext>,
    envelope: Arc<Envelope>,
    task: Option<TaskNumber>,
}

/// Runs one attempt in a span of its own. There is nothing to settle if the worker has left the queue meanwhile, which gave
/// the task back.
pub(crate) fn attempt(ready: Ready) -> impl Future<Output = Option<Over>> + Send + 'static {
    let span = propagator::attempt(Batch::of(&ready.context).shared.client.connection(), &ready.context);
    ended(ready).instrument(span)
}

async fn ended(Ready { context, task }: Ready) -> Option<Over> {
    let envelope = Arc::clone(context.envelope());
    let mut run = Run { context, envelope, task };
    if let Err(error) = run.open() {
        propagator::attempt_failed(run.shared().client.connection(), &Span::current(), &error);
        let ending = run.failure(&error);
        return Some(run.over(ending));
    }
    let ending = match run.task() {
        Some(_) => {
            if run.envelope.unregistered_since.is_some() {
                Arc::make_mut(&mut run.envelope).unregistered_since = None;
            }
            let outcome = run.outcome().await;
            if run.context.stop().reason() == Some(StopReason::Shutdown) {
                run.shared().attempts.end(run.queue(), std::iter::once(run.delivery()));
                run.meter().released();
                return None;
            }
            run.ending(outcome)
        }
        None => run.unregistered(),
    };
    Some(run.over(ending))
}

impl Run {
    fn shared(&self) -> &Arc<Shared> {
        &Batch::of(&self.context).shared
    }

    fn queue(&self) -> &QueueName {
        &Batch::of(&self.context).queue
    }

    /// Its definition, if this worker knows it.
    fn task(&self) -> Option<&Known> {
        Some(self.shared().registry.get(self.task?))
    }

    /// Where its attempts are counted.
    fn meter(&self) -> &TaskMeter {
        let meter = &Batch::of(&self.context).meter;
        meter.task(meter.place(self.task))
    }

    fn delivery(&self) -> DeliveryId {
        DeliveryId { key: self.envelope.id.key.clone(), token: self.context.token() }
    }

    fn over(self, (ending, counted): (Ending, Counted)) -> Over {
        let place = Batch::of(&self.context).meter.place(self.task);
        let settlement = Settlement { token: self.context.token(), envelope: self.envelope, ending };
        Over { settlement, note: Note { place, counted } }
    }

    /// Checks the task's seal, and decrypts the arguments for the body. What is kept of the task stays as it was sealed.
    fn open(&self) -> Result<(), TaskError> {
        match self.shared().client.connection().open_task(&self.envelope) {
            Ok(None) => Ok(()),
            Ok(Some(arguments)) => {
                self.context.open(arguments);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Untrusted => {
                Err(TaskError::new(TaskErrorKind::Untrusted, error.to_string()))
            }
            Err(error) => Err(TaskError::new(TaskErrorKind::Undecodable, error.to_string())),
        }
    }

    /// Runs layers and body.
    async fn outcome(&self) -> Outcome {
        let shared = self.shared();
        let Some(task) = self.task() else { return Outcome::Failed(TaskError::fatal("an unknown task")) };
        let body = BodyRun { body: task.registration.body, timeout: shared.timeout_of(&self.envelope, self.task) };
        let context = ErasedContext::new(Arc::clone(&self.context));
        match shared.layers.is_empty() {
            true => body.run(shared, context).await,
            false => self.through_layers(Attempt::new(context), body).await,
        }
    }

    /// Layers see the body's timeout as an outcome; a layer that itself hangs is ended a grace later.
    async fn through_layers(&self, attempt: Attempt, body: BodyRun) -> Outcome {
        let (timeout, shared) = (body.timeout, Arc::clone(self.shared()));
        let innermost = Arc::new(move |attempt: Attempt| -> BoxFuture<'static, Outcome> {
            let shared = Arc::clone(&shared);
            Box::pin(async move { body.run(&shared, attempt.into_context()).await })
        });
        let next = Next::new(Arc::clone(&self.shared().layers), innermost);
        let all = AssertUnwindSafe(next.run(attempt)).catch_unwind();
        match self.shared().clock.timeout(timeout + limits::CANCEL_GRACE, all).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panic)) => Outcome::Failed(panicked(&*panic)),
            Err(_) => Outcome::Failed(timed_out(timeout)),
        }
    }

    /// A result as the broker is to keep it, if it does.
    fn sealed(&self, result: Payload) -> Result<Payload, TaskError> {
        let Envelope { id, stores_result, .. } = &*self.envelope;
        match stores_result {
            true => (self.shared().client.connection().seal_result(id, result))
                .map_err(|error| TaskError::new(TaskErrorKind::BadResult, error.to_string())),
            false => Ok(result),
        }
    }

    // From an outcome to what the broker is told ------------------------------------------------------------

    fn ending(&mut self, outcome: Outcome) -> (Ending, Counted) {
        let shared = self.shared();
        let counters = &shared.counters;
        let error = match outcome {
            Outcome::Succeeded(result) => match self.sealed(result) {
                // Counted where many of them are passed on together.
                Ok(result) => return (Ending::Succeeded(result), Counted::Succeeded),
                Err(error) => error,
            },
            Outcome::Failed(error) => error,
            _ => TaskError::fatal("an outcome that this worker does not know"),
        };
        if !matches!(error.kind(), TaskErrorKind::Snooze(_) | TaskErrorKind::Cancelled) {
            propagator::attempt_failed(shared.client.connection(), &Span::current(), &error);
        }
        match error.kind() {
            TaskErrorKind::Panicked => {
                counters.panicked.add(1);
                self.meter().panicked.add(1);
            }
            TaskErrorKind::TimedOut => {
                counters.timed_out.add(1);
                self.meter().timed_out.add(1);
            }
            _ => {}
        }
        // What was ended by its timeout has failed.
        let stopped = self.context.stop().reason().filter(|reason| *reason != StopReason::TimedOut);
        match (stopped, error.kind()) {
            // A task that somebody cancelled does not run again, whatever its last words.
            (Some(StopReason::Cancelled), _) | (None, TaskErrorKind::Cancelled) => {
                counters.cancelled.add(1);
                (Ending::Cancelled, Counted::Cancelled)
            }
            // It stopped because this worker asked it to, not because it failed: that spends nothing.
            (Some(_), _) => (Ending::Released, Counted::Released),
            (None, TaskErrorKind::Snooze(delay)) => {
                counters.put_off.add(1);
                (self.again_in(delay), Counted::PutOff)
            }
            (None, _) => self.failure(&error),
        }
    }

    /// Counts the error, and decides between another attempt and a dead letter.
    fn failure(&mut self, error: &TaskError) -> (Ending, Counted) {
        let now = self.shared().clock.now();
        Arc::make_mut(&mut self.envelope).record_failure(now, error);
        let attempt = self.envelope.attempts;
        let dead = match error.kind() {
            TaskErrorKind::Fatal => Some(DeadReason::Fatal),
            TaskErrorKind::Undecodable => Some(DeadReason::Undecodable),
            TaskErrorKind::BadResult => Some(DeadReason::BadResult),
            TaskErrorKind::Untrusted => Some(DeadReason::Untrusted),
            _ => None,
        };
        let policy = self.envelope.retry.clone().or_else(|| self.task()?.options.retry.clone()).unwrap_or_default();
        let delay = match (dead, error.kind()) {
            (Some(_), _) => None,
            (None, TaskErrorKind::RetryIn(delay)) => (attempt < policy.max_attempts()).then_some(delay),
            (None, _) => policy_delay(&policy, attempt, error, self.shared().next_seed()),
        };
        match delay {
            Some(delay) => {
                self.shared().counters.retried.add(1);
                tracing::info!(id = %self.envelope.id, task = %self.envelope.task, attempt, ?delay, %error, "attempt failed; another follows");
                (self.again_in(delay), Counted::Retried)
            }
            None => {
                let reason = dead.unwrap_or(DeadReason::Failed);
                self.shared().counters.dead.add(1);
                tracing::error!(id = %self.envelope.id, task = %self.envelope.task, attempt, %reason, %error, "task is dead");
                (Ending::Dead(reason), Counted::Dead)
            }
        }
    }

    /// The task is due again after this long.
    fn again_in(&mut self, delay: Duration) -> Ending {
        let due = self.shared().clock.now() + delay;
        Arc::make_mut(&mut self.envelope).due = Some(due);
        Ending::Retry(delay)
    }

    /// During a rolling deploy another worker knows the task: hand it back for a while before giving up on it.
    fn unregistered(&mut self) -> (Ending, Counted) {
        let now = self.shared().clock.now();
        let since = *Arc::make_mut(&mut self.envelope).unregistered_since.get_or_insert(now);
        let task = self.envelope.task.clone();
        if now.since(since) >= self.shared().unregistered_bound {
            let error = format!("no worker has known a task named \"{task}\" for {:?}", now.since(since));
            Arc::make_mut(&mut self.envelope).record_failure(now, &TaskError::from(error));
            self.shared().counters.dead.add(1);
            return (Ending::Dead(DeadReason::Unregistered), Counted::Dead);
        }
        tracing::warn!(id = %self.envelope.id, %task, "this worker does not know the task; handing it back");
        self.shared().counters.put_off.add(1);
        let half = limits::UNREGISTERED_DELAY / 2;
        let delay = half + fraction(half, self.shared().next_seed());
        (self.again_in(delay), Counted::PutOff)
    }
}

/// A custom policy is the user's code: a panic in it counts as "no other attempt".
fn policy_delay(policy: &Retry, attempt: u32, error: &TaskError, seed: u64) -> Option<Duration> {
    let delay = std::panic::catch_unwind(AssertUnwindSafe(|| policy.delay_after(attempt, error, seed)));
    delay.unwrap_or_else(|_| {
        tracing::error!("a custom retry function panicked");
        None
    })
}

/// The innermost part: the body, its timeout, and what happens when it is asked to stop.
#[derive(Clone, Copy)]
struct BodyRun {
    body: Body,
    timeout: Duration,
}

impl BodyRun {
    async fn run(&self, shared: &Shared, context: ErasedContext) -> Outcome {
        let result = match self.body {
            Body::Async(body) => self.run_async(shared, body, context).await,
            Body::Plain(body) => self.run_plain(shared, body, context).await,
        };
        match result {
            Ok(result) => Outcome::Succeeded(result),
            Err(error) => Outcome::Failed(error),
        }
    }

    async fn run_async(
        &self,
        shared: &Shared,
        body: fn(ErasedContext) -> BoxFuture<'static, Result<Payload, TaskError>>,
        context: ErasedContext,
    ) -> Result<Payload, TaskError> {
        let asked = context.clone();
        // Dropping the body is how an async one ends, wherever it waits.
        let running = AssertUnwindSafe(async move { body(context).await }).catch_unwind();
        match self.bounded(shared, running, &asked).await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => Err(panicked(&*panic)),
            Err(error) => Err(error),
        }
    }

    async fn run_plain(
        &self,
        shared: &Shared,
        body: fn(ErasedContext) -> Result<Payload, TaskError>,
        context: ErasedContext,
    ) -> Result<Payload, TaskError> {
        let (say, answer) = oneshot::channel();
        let at_work = shared.clock.at_work();
        let asked = context.clone();
        let span = Span::current();
        let job = shared.plain.run(move || {
            let result = span.in_scope(|| std::panic::catch_unwind(AssertUnwindSafe(|| body(context))));
            let result = result.unwrap_or_else(|panic| Err(panicked(&*panic)));
            // Nobody listens if the attempt was given up meanwhile: its outcome is decided.
            drop(say.send(result));
            drop(at_work);
        });
        match self.bounded(shared, answer, &asked).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(TaskError::cancelled()),
            Err(error) => {
                if shared.plain.abandon(job) {
                    tracing::warn!(%error, "a plain body ignores its end; its thread runs on without a slot and is replaced");
                }
                Err(error)
            }
        }
    }

    /// Runs until the timeout, or until a grace after being asked to stop.
    async fn bounded<F: Future>(
        &self,
        shared: &Shared,
        running: F,
        asked: &ErasedContext,
    ) -> Result<F::Output, TaskError> {
        tokio::pin!(running);
        // Most bodies need no clock.
        if let Poll::Ready(output) = poll_fn(|cx| Poll::Ready(running.as_mut().poll(cx))).await {
            return Ok(output);
        }
        let (clock, stop) = (&shared.clock, asked.attempt().stop());
        let asked_to_stop = async {
            stop.stopped().await;
            if stop.reason() == Some(StopReason::Cancelled) {
                clock.sleep(limits::CANCEL_GRACE).await;
            }
        };
        tokio::select! {
            biased;
            ended = clock.timeout(self.timeout, running) => match ended {
                Ok(output) => Ok(output),
                Err(_) => {
                    // A plain body can only see it; an async one is dropped.
                    stop.stop(StopReason::TimedOut);
                    Err(timed_out(self.timeout))
                }
            },
            () = asked_to_stop => Err(TaskError::cancelled()),
        }
    }
}

fn timed_out(timeout: Duration) -> TaskError {
    TaskError::new(TaskErrorKind::TimedOut, format!("timed out after {timeout:?}"))
}

fn panicked(panic: &(dyn Any + Send)) -> TaskError {
    let text = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (None, Some(text)) => text.clone(),
        (None, None) => "a panic without a text".to_owned(),
    };
    TaskError::new(TaskErrorKind::Panicked, format!("panicked: {text}"))
}
