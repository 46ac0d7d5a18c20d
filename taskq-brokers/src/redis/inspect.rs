//! Reading and changing what Redis holds, for people: bounded, and never a walk over the keyspace.

use async_trait::async_trait;
use redis::{Cmd, Value};
use taskq_core::{
    Control, Counts, DeadLetter, Inspect, Purge, PurgeAnswer, QueueName, Result, TaskId, TaskKey, Timestamp, limits,
};

use super::{
    broker::{RedisBroker, prefix_of},
    element, lookup, reply,
    script::Script,
};

#[async_trait]
impl Inspect for RedisBroker {
    async fn queues(&self) -> Result<Vec<QueueName>> {
        self.listed_in("queues").await
    }

    async fn counts(&self, queue: &QueueName) -> Result<Counts> {
        let answer = self.run("count at", Script::Counts, queue, |_| {}).await?;
        let numbers: Vec<i64> = reply::array(answer)?.iter().map(reply::integer).collect::<Result<_>>()?;
        let [ready, scheduled, retrying, running, dead] = numbers[..] else { return Err(reply::wrong("five counts")) };
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        Ok(Counts {
            ready: count(ready),
            scheduled: count(scheduled),
            retrying: count(retrying),
            running: count(running),
            dead: count(dead),
        })
    }

    async fn dead_letters(&self, queue: &QueueName, after: Option<&TaskKey>, count: usize) -> Result<Vec<DeadLetter>> {
        let first = match after {
            None => 0,
            Some(after) => match self.dead_command(queue, "ZRANK", |rank| rank.arg(after.to_bytes())).await? {
                Value::Nil => 0,
                rank => reply::integer(&rank)? + 1,
            },
        };
        let last = first + i64::try_from(count.min(limits::MAX_PAGE)).unwrap_or(0) - 1;
        if last < first {
            return Ok(Vec::new());
        }
        let range = self.dead_command(queue, "ZRANGE", |range| range.arg(first).arg(last).arg("WITHSCORES")).await?;
        let mut letters = Vec::new();
        let mut rows = reply::array(range)?.into_iter();
        while let (Some(key), Some(died_at)) = (rows.next(), rows.next()) {
            let key = reply::bytes(key)?;
            let Some(stored) = self.dead_bytes(queue, &key).await? else { continue };
            match letter(queue, &key, reply::integer(&died_at)?, &stored) {
                Ok(letter) => letters.push(letter),
                // Written by somebody else. It must not hide the others.
                Err(error) => tracing::error!(%queue, %error, "a dead letter cannot be read; it is left out"),
            }
        }
        Ok(letters)
    }
}

#[async_trait]
impl Control for RedisBroker {
    async fn replay(&self, id: &TaskId) -> Result<bool> {
        let Some(stored) = self.dead_bytes(&id.queue, &id.key.to_bytes()).await? else { return Ok(false) };
        let (_, bytes) = lookup::split_dead(&stored)?;
        self.take_dead(id, &stored, replayed(id, bytes)?).await
    }

    async fn drop_dead(&self, id: &TaskId) -> Result<bool> {
        match self.dead_bytes(&id.queue, &id.key.to_bytes()).await? {
            Some(stored) => self.take_dead(id, &stored, Vec::new()).await,
            None => Ok(false),
        }
    }

    async fn purge(&self, queue: &QueueName, what: Purge, limit: usize) -> Result<PurgeAnswer> {
        let script = match what {
            Purge::Waiting => Script::PurgeWaiting,
            Purge::DeadLetters => Script::PurgeDead,
        };
        let answer = self.run("purge a queue at", script, queue, |command| {
            command.arg(limit.min(limits::PURGE_BATCH));
        });
        let numbers: Vec<i64> = reply::array(answer.await?)?.iter().map(reply::integer).collect::<Result<_>>()?;
        let [purged, more] = numbers[..] else { return Err(reply::wrong("two numbers")) };
        Ok(PurgeAnswer { purged: usize::try_from(purged).unwrap_or(0), more: more == 1 })
    }
}

impl RedisBroker {
    /// The queues in a set of queues.
    pub(super) async fn listed_in(&self, set: &str) -> Result<Vec<QueueName>> {
        let mut members = redis::cmd("SMEMBERS");
        members.arg(format!("{}:{set}", self.namespace));
        let names = match self.link.command("list the queues of", &members).await? {
            Value::Set(names) | Value::Array(names) => names,
            _ => return Err(reply::wrong("a list of queues")),
        };
        names.into_iter().map(|name| QueueName::new(reply::text(name)?)).collect()
    }

    /// A command on the index of dead letters.
    async fn dead_command(
        &self,
        queue: &QueueName,
        name: &str,
        arguments: impl FnOnce(&mut Cmd) -> &mut Cmd,
    ) -> Result<Value> {
        let mut command = redis::cmd(name);
        command.arg(format!("{}deadz", prefix_of(&self.namespace, queue)));
        arguments(&mut command);
        self.link.command("list dead letters at", &command).await
    }

    async fn dead_bytes(&self, queue: &QueueName, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut get = redis::cmd("HGET");
        get.arg(format!("{}dead", prefix_of(&self.namespace, queue))).arg(key);
        match self.link.command("read a dead letter at", &get).await? {
            Value::Nil => Ok(None),
            stored => reply::bytes(stored).map(Some),
        }
    }

    /// Replays or forgets a dead letter, if it is still what was read.
    async fn take_dead(&self, id: &TaskId, stored: &[u8], element: Vec<u8>) -> Result<bool> {
        let answer = self.run("change a dead letter at", Script::Replay, &id.queue, |command| {
            command.arg(id.key.to_bytes()).arg(stored).arg(element);
        });
        Ok(reply::integer(&answer.await?)? == 1)
    }
}

/// The element of a replayed dead letter. One that does not decode goes back as it is, for a worker that can read it.
fn replayed(id: &TaskId, bytes: &[u8]) -> Result<Vec<u8>> {
    match element::decode(&id.queue, bytes)?.envelope {
        Ok(mut envelope) => {
            envelope.forget_failures();
            Ok(element::encode(&envelope, None))
        }
        Err(_) => Ok(element::undelivered(bytes)),
    }
}

fn letter(queue: &QueueName, key: &[u8], died_at: i64, stored: &[u8]) -> Result<DeadLetter> {
    let (reason, bytes) = lookup::split_dead(stored)?;
    Ok(DeadLetter {
        id: TaskId::new(queue.clone(), TaskKey::from_bytes(key)?),
        envelope: element::decode(queue, bytes).and_then(|element| element.envelope).ok(),
        reason,
        died_at: Timestamp::from_millis(died_at),
    })
}
