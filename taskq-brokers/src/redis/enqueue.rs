//! Enqueueing: which script takes the envelopes, and on which connection.

use std::{collections::HashSet, sync::PoisonError};

use redis::{Cmd, Value};
use taskq_core::{Accepted, Envelope, Error, QueueName, Result, TaskKey, id::BatchId, limits};

use super::{
    arguments,
    broker::{RedisBroker, prefix_of},
    reply,
    script::Script,
};

/// Queues that were entered into the list of queues on the present connection.
#[derive(Debug, Default)]
pub(super) struct Listed {
    generation: u64,
    queues: HashSet<QueueName>,
}

/// How an enqueue travels.
#[derive(Clone, Copy, Debug)]
pub(super) enum Route {
    /// With all other commands.
    Shared,
    /// On a connection of its own, and acknowledged when so many replicas have it.
    Replicated(u8),
}

impl RedisBroker {
    /// Runs one of the scripts that enqueue.
    async fn send(
        &self,
        route: Route,
        script: Script,
        queue: &QueueName,
        arguments: impl FnOnce(&mut Cmd),
    ) -> Result<Value> {
        match route {
            Route::Shared => self.run("enqueue at", script, queue, arguments).await,
            Route::Replicated(replicas) => {
                let prefix = prefix_of(&self.namespace, queue);
                self.replicated.run(&self.link, script, queue, &prefix, replicas, arguments).await
            }
        }
    }

    pub(super) async fn accept(
        &self,
        route: Route,
        queue: &QueueName,
        batch: BatchId,
        envelopes: &[Envelope],
    ) -> Result<Vec<Accepted>> {
        if envelopes.is_empty() {
            return Ok(Vec::new());
        }
        if envelopes.len() > limits::ENQUEUE_CHUNK {
            let cure = format!("{} envelopes in one batch; send at most {}", envelopes.len(), limits::ENQUEUE_CHUNK);
            return Err(Error::invalid("enqueue to", queue, cure));
        }
        self.list_queue_once(queue).await?;
        let answer = match (envelopes, envelopes.iter().all(arguments::is_plain)) {
            ([envelope], true) if envelope.is_tracked() => match self.batches.is_first(self.link.clock(), batch) {
                true => self.enqueue_first(route, queue, batch, envelope).await?,
                false => {
                    let again = |command: &mut Cmd| arguments::again(command, batch, envelope);
                    self.send(route, Script::EnqueueEach, queue, again).await?
                }
            },
            (_, true) => {
                let plain = |command: &mut Cmd| arguments::plain(command, batch, envelopes);
                self.send(route, Script::Enqueue, queue, plain).await?
            }
            (_, false) => {
                let each = |command: &mut Cmd| arguments::each(command, batch, envelopes);
                self.send(route, Script::EnqueueEach, queue, each).await?
            }
        };
        match answer {
            Value::Int(1) => Ok(vec![Accepted::Created; envelopes.len()]),
            Value::Int(_) => Ok(vec![Accepted::Duplicate; envelopes.len()]),
            answers => reply::array(answers)?.into_iter().map(accepted).collect(),
        }
    }

    /// A lone task that nobody has enqueued before.
    async fn enqueue_first(
        &self,
        route: Route,
        queue: &QueueName,
        batch: BatchId,
        envelope: &Envelope,
    ) -> Result<Value> {
        let expected = self.listener.expect(envelope.id.key.as_bytes());
        let channel = if expected.is_some() { self.listener.channel() } else { "" };
        let one = |command: &mut Cmd| arguments::one(command, batch, envelope, channel);
        let answer = self.send(route, Script::EnqueueOne, queue, one).await?;
        if let Some(interest) = expected {
            self.listener.keep(interest);
        }
        Ok(answer)
    }

    /// Enters the queue into the list of queues, once a connection: a server that was restarted may have lost it.
    pub(super) async fn list_queue_once(&self, queue: &QueueName) -> Result<()> {
        let generation = self.link.generation().await?;
        if self.is_listed(generation, queue) {
            return Ok(());
        }
        self.list_queue(queue).await?;
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        if listed.generation == generation {
            listed.queues.insert(queue.clone());
        }
        Ok(())
    }

    fn is_listed(&self, generation: u64, queue: &QueueName) -> bool {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        if listed.generation != generation {
            *listed = Listed { generation, queues: HashSet::new() };
        }
        listed.queues.contains(queue)
    }
}

/// What became of one task, as `accept_each` in `prelude.lua` says it.
pub(super) fn accepted(answer: Value) -> Result<Accepted> {
    let mut fields = reply::array(answer)?.into_iter();
    let what = fields.next().ok_or_else(|| reply::wrong("an answer")).and_then(reply::text)?;
    let other = || -> Result<TaskKey> {
        fields
            .next()
            .ok_or_else(|| reply::wrong("a key"))
            .and_then(reply::bytes)
            .and_then(|key| TaskKey::from_bytes(&key))
    };
    match what.as_str() {
        "c" => Ok(Accepted::Created),
        "d" => Ok(Accepted::Duplicate),
        "h" => Ok(Accepted::Held({ other }()?)),
        "r" => Ok(Accepted::Replaced({ other }()?)),
        _ => Err(reply::wrong("c, d, h or r")),
    }
}
