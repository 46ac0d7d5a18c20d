//! Runs one attempt: decode, layers, body, outcome, settle.

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use taskq_core::{
    Attempt, DeadReason, Envelope, Next, Outcome, Payload, QueueName, Registration, Retry, TaskError, TaskErrorKind,
    broker::{Claimed, Ending, Settlement},
    context::{AttemptContext, ErasedContext, ProgressSink},
    id::Owner,
    limits,
    retry::{fraction, scramble},
    task::Body,
};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::{
    attempts::{DeliveryId, StopReason, StopSign},
    settler::Finished,
    worker::Shared,
};

/// One claimed task on its way through the worker.
struct Run {
    shared: Arc<Shared>,
    delivery: DeliveryId,
    owner: Owner,
    envelope: Envelope,
    stop: StopSign,
}

/// Starts an attempt in its slot. A delivery that runs already is left alone.
pub(crate) fn start(
    shared: &Arc<Shared>,
    queue: &QueueName,
    owner: Owner,
    claimed: Claimed,
    slot: OwnedSemaphorePermit,
) {
    let Claimed { token, envelope, .. } = claimed;
    let delivery = DeliveryId { queue: queue.clone(), key: envelope.id.key.clone(), token };
    let Some(stop) = shared.attempts.begin(delivery.clone(), owner) else { return };
    shared.counters.claimed.add(1);
    let run = Run { shared: Arc::clone(shared), delivery, owner, envelope, stop };
    // The handle is not kept: every attempt is in `attempts` until it is settled, and the shutdown waits for that.
    drop(shared.clock.spawn("attempt", async move {
        run.attempt().await;
        // The slot is free when the settlement is on its way, and not before: a slow broker slows claiming.
        drop(slot);
    }));
}

impl Run {
    async fn attempt(mut self) {
        let ending = match self.shared.registry.get(self.envelope.task.as_str()).copied() {
            Some(task) => {
                self.envelope.unregistered_since = None;
                let outcome = self.outcome(&task).await;
                if self.stop.reason() == Some(StopReason::Shutdown) {
                    // The worker has left the queue, which gave the task back: there is nothing left to settle.
                    return self.shared.attempts.end(std::iter::once(&self.delivery));
                }
                self.ending(&task, outcome)
            }
            None => self.unregistered(),
        };
        let settlement = Settlement { token: self.delivery.token, envelope: self.envelope, ending };
        self.shared.finish(Finished { queue: self.delivery.queue, owner: self.owner, settlement }).await;
    }

    /// Runs layers and body.
    async fn outcome(&self, task: &Registration) -> Outcome {
        let attempt = self.attempt_for(task);
        let timeout = self.timeout(task);
        let body =
            Arc::new(BodyRun { shared: Arc::clone(&self.shared), body: task.body, timeout, stop: self.stop.clone() });
        match self.shared.layers.is_empty() {
            true => body.run(attempt).await,
            false => self.through_layers(attempt, body, timeout).await,
        }
    }

    /// Layers see the body's timeout as an outcome; a layer that itself hangs is ended a grace later.
    async fn through_layers(&self, attempt: Attempt, body: Arc<BodyRun>, timeout: Duration) -> Outcome {
        let innermost = Arc::new(move |attempt: Attempt| -> BoxFuture<'static, Outcome> {
            let body = Arc::clone(&body);
            Box::pin(async move { body.run(attempt).await })
        });
        let next = Next::new(Arc::clone(&self.shared.layers), innermost);
        let all = AssertUnwindSafe(next.run(attempt)).catch_unwind();
        match self.shared.clock.timeout(timeout + limits::CANCEL_GRACE, all).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panic)) => Outcome::Failed(panicked(&*panic)),
            Err(_) => Outcome::Failed(timed_out(timeout)),
        }
    }

    fn timeout(&self, task: &Registration) -> Duration {
        self.envelope.timeout.or((task.options)().timeout).unwrap_or(self.shared.default_timeout)
    }

    fn attempt_for(&self, task: &Registration) -> Attempt {
        let Envelope { id, task: name, attempts, headers, payload, .. } = &self.envelope;
        let (shared, delivery, owner) = (Arc::clone(&self.shared), self.delivery.clone(), self.owner);
        let context = AttemptContext {
            id: id.clone(),
            task: name.clone(),
            attempt: attempts + 1,
            deadline: self.shared.clock.now() + self.timeout(task),
            headers: headers.clone(),
            cancelled: self.stop.token().clone(),
            progress: ProgressSink::new(move |progress| shared.reports.put(delivery.clone(), owner, progress)),
            client: self.shared.client.clone(),
            clock: self.shared.clock.clone(),
        };
        Attempt::new(ErasedContext::new(context, Arc::clone(&self.shared.app)), payload.clone())
    }

    // From an outcome to what the broker is told ------------------------------------------------------------

    fn ending(&mut self, task: &Registration, outcome: Outcome) -> Ending {
        let counters = &self.shared.counters;
        let error = match outcome {
            Outcome::Succeeded(result) => {
                counters.succeeded.add(1);
                return Ending::Succeeded(result);
            }
            Outcome::Failed(error) => error,
            _ => TaskError::fatal("an outcome that this worker does not know"),
        };
        match error.kind() {
            TaskErrorKind::Panicked => counters.panicked.add(1),
            TaskErrorKind::TimedOut => counters.timed_out.add(1),
            _ => {}
        }
        match (self.stop.reason(), error.kind()) {
            // A task that somebody cancelled does not run again, whatever its last words.
            (Some(StopReason::Cancelled), _) | (None, TaskErrorKind::Cancelled) => {
                counters.cancelled.add(1);
                Ending::Cancelled
            }
            // It stopped because this worker asked it to, not because it failed: that spends nothing.
            (Some(StopReason::Shutdown | StopReason::LeaseLost), _) => Ending::Released,
            (None, TaskErrorKind::Snooze(delay)) => {
                counters.put_off.add(1);
                Ending::Retry(delay)
            }
            (None, _) => self.failure(task, &error),
        }
    }

    /// Counts the error, and decides between another attempt and a dead letter.
    fn failure(&mut self, task: &Registration, error: &TaskError) -> Ending {
        let now = self.shared.clock.now();
        self.envelope.record_failure(now, error);
        let attempt = self.envelope.attempts;
        let dead = match error.kind() {
            TaskErrorKind::Fatal => Some(DeadReason::Fatal),
            TaskErrorKind::Undecodable => Some(DeadReason::Undecodable),
            TaskErrorKind::BadResult => Some(DeadReason::BadResult),
            _ => None,
        };
        let policy = self.envelope.retry.clone().or_else(|| (task.options)().retry).unwrap_or_default();
        let delay = match (dead, error.kind()) {
            (Some(_), _) => None,
            (None, TaskErrorKind::RetryIn(delay)) => (attempt < policy.max_attempts()).then_some(delay),
            (None, _) => policy_delay(&policy, attempt, error, self.seed()),
        };
        match delay {
            Some(delay) => {
                self.shared.counters.retried.add(1);
                tracing::info!(id = %self.envelope.id, task = %self.envelope.task, attempt, ?delay, %error, "attempt failed; another follows");
                Ending::Retry(delay)
            }
            None => {
                let reason = dead.unwrap_or(DeadReason::Failed);
                self.shared.counters.dead.add(1);
                tracing::error!(id = %self.envelope.id, task = %self.envelope.task, attempt, %reason, %error, "task is dead");
                Ending::Dead(reason)
            }
        }
    }

    /// Jitter that differs between tasks and attempts and is the same for the same one.
    fn seed(&self) -> u64 {
        self.delivery.key.to_bytes().iter().fold(self.delivery.token.0, |seed, byte| scramble(seed ^ u64::from(*byte)))
    }

    /// During a rolling deploy another worker knows the task: hand it back for a while before giving up on it.
    fn unregistered(&mut self) -> Ending {
        let now = self.shared.clock.now();
        let since = *self.envelope.unregistered_since.get_or_insert(now);
        let task = self.envelope.task.clone();
        if now.since(since) >= self.shared.unregistered_bound {
            let error = format!("no worker has known a task named \"{task}\" for {:?}", now.since(since));
            self.envelope.record_failure(now, &TaskError::from(error));
            self.shared.counters.dead.add(1);
            return Ending::Dead(DeadReason::Unregistered);
        }
        tracing::warn!(id = %self.envelope.id, %task, "this worker does not know the task; handing it back");
        self.shared.counters.put_off.add(1);
        Ending::Retry(limits::UNREGISTERED_DELAY / 2 + fraction(limits::UNREGISTERED_DELAY / 2, self.seed()))
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
struct BodyRun {
    shared: Arc<Shared>,
    body: Body,
    timeout: Duration,
    stop: StopSign,
}

impl BodyRun {
    async fn run(&self, attempt: Attempt) -> Outcome {
        let (context, payload) = attempt.into_parts();
        let result = match self.body {
            Body::Async(body) => self.run_async(body, context, payload).await,
            Body::Plain(body) => self.run_plain(body, context, payload).await,
        };
        match result {
            Ok(result) => Outcome::Succeeded(result),
            Err(error) => Outcome::Failed(error),
        }
    }

    async fn run_async(
        &self,
        body: fn(ErasedContext, Payload) -> BoxFuture<'static, Result<Payload, TaskError>>,
        context: ErasedContext,
        payload: Payload,
    ) -> Result<Payload, TaskError> {
        // Dropping the body is how an async one ends, wherever it waits.
        let running = AssertUnwindSafe(async move { body(context, payload).await }).catch_unwind();
        match self.bounded(running).await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => Err(panicked(&*panic)),
            Err(error) => Err(error),
        }
    }

    async fn run_plain(
        &self,
        body: fn(ErasedContext, Payload) -> Result<Payload, TaskError>,
        context: ErasedContext,
        payload: Payload,
    ) -> Result<Payload, TaskError> {
        let (say, answer) = oneshot::channel();
        let at_work = self.shared.clock.at_work();
        let job = self.shared.plain.run(move || {
            let result = std::panic::catch_unwind(AssertUnwindSafe(|| body(context, payload)));
            let result = result.unwrap_or_else(|panic| Err(panicked(&*panic)));
            // Nobody listens if the attempt was given up meanwhile: its outcome is decided.
            drop(say.send(result));
            drop(at_work);
        });
        match self.bounded(answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(TaskError::cancelled()),
            Err(error) => {
                if self.shared.plain.abandon(job) {
                    tracing::warn!(%error, "a plain body ignores its end; its thread runs on without a slot and is replaced");
                }
                Err(error)
            }
        }
    }

    /// Runs until the timeout, or until a grace after being asked to stop.
    async fn bounded<F: Future>(&self, running: F) -> Result<F::Output, TaskError> {
        let clock = &self.shared.clock;
        let asked_to_stop = async {
            self.stop.token().cancelled().await;
            if self.stop.reason() == Some(StopReason::Cancelled) {
                clock.sleep(limits::CANCEL_GRACE).await;
            }
        };
        tokio::select! {
            biased;
            ended = clock.timeout(self.timeout, running) => match ended {
                Ok(output) => Ok(output),
                Err(_) => {
                    // A plain body can only see it; an async one is dropped.
                    self.stop.token().cancel();
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
