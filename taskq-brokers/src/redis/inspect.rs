//! Reading and changing what Redis holds, for people: bounded, and never a walk over the keyspace.

use async_trait::async_trait;
use redis::Value;
use taskq_core::{
    Broker, Control, Counts, Error, Finding, Inspect, PageToken, Purge, PurgeAnswer, QueueName, QueueView, Result,
    Shelf, TaskId, TaskKey, TaskPage, TaskView, Timestamp, limits,
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
        counts(self.run("count at", Script::Counts, queue, |_| {}).await?)
    }

    async fn queue(&self, queue: &QueueName) -> Result<QueueView> {
        let answer = self.run("look at a queue of", Script::View, queue, |_| {});
        let mut fields = reply::array(answer.await?)?.into_iter();
        let (Some(paused), Some(due), Some(workers), Some(counted)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(reply::wrong("four fields of a queue"));
        };
        let time = |value: Value| Ok::<_, Error>(Some(reply::integer(&value)?).filter(|millis| *millis > 0));
        let mut oldest_ready = None;
        for head in fields {
            let head = reply::bytes(head)?;
            let since = match element::decode(queue, &head).and_then(|element| element.envelope) {
                Ok(envelope) => envelope.due_since(),
                Err(_) => element::key(&head).and_then(|key| key.made_at()),
            };
            oldest_ready = oldest_ready.into_iter().chain(since).min();
        }
        Ok(QueueView {
            counts: counts(counted)?,
            paused_at: time(paused)?.map(Timestamp::from_millis),
            oldest_ready,
            next_due: time(due)?.map(Timestamp::from_millis),
            workers: reply::integer(&workers)?.unsigned_abs(),
        })
    }

    async fn tasks(
        &self,
        queue: &QueueName,
        shelf: Shelf,
        after: Option<&PageToken>,
        count: usize,
    ) -> Result<TaskPage> {
        let count = count.min(limits::MAX_PAGE);
        match shelf {
            Shelf::Ready => self.ready_page(queue, after, count).await,
            Shelf::Scheduled | Shelf::Retrying => self.due_page(queue, shelf, after, count).await,
            Shelf::Running => self.running_page(queue, after, count).await,
            Shelf::Dead => self.dead_page(queue, after, count).await,
        }
    }

    async fn task(&self, id: &TaskId) -> Result<Option<TaskView>> {
        self.view(id).await
    }

    async fn unique_holder(&self, queue: &QueueName, unique: &str) -> Result<Option<TaskKey>> {
        let answer = self.run("look for a unique key at", Script::Unique, queue, |command| {
            command.arg(unique);
        });
        match reply::bytes(answer.await?)? {
            key if key.is_empty() => Ok(None),
            key => TaskKey::from_bytes(&key).map(Some),
        }
    }

    async fn examine(&self) -> Result<Vec<Finding>> {
        self.examined().await
    }
}

#[async_trait]
impl Control for RedisBroker {
    async fn replay(&self, id: &TaskId) -> Result<bool> {
        let Some(stored) = self.dead_bytes(&id.queue, &id.key.to_bytes()).await? else { return Ok(false) };
        let (_, bytes) = lookup::split_dead(&stored)?;
        self.take_dead(id, &stored, replayed(id, bytes, self.now().await?)?).await
    }

    async fn drop_dead(&self, id: &TaskId) -> Result<bool> {
        match self.dead_bytes(&id.queue, &id.key.to_bytes()).await? {
            Some(stored) => self.take_dead(id, &stored, Vec::new()).await,
            None => Ok(false),
        }
    }

    async fn run_now(&self, id: &TaskId) -> Result<bool> {
        let answer = self.run("run a task now at", Script::RunNow, &id.queue, |command| {
            command.arg(id.key.as_bytes());
        });
        Ok(reply::integer(&answer.await?)? == 1)
    }

    async fn pause(&self, queue: &QueueName) -> Result<bool> {
        // Listed first: a queue that nobody finds could not be resumed.
        self.list_queue_once(queue).await?;
        let answer = self.run("pause a queue at", Script::Pause, queue, |_| {});
        Ok(reply::integer(&answer.await?)? == 1)
    }

    async fn resume(&self, queue: &QueueName) -> Result<bool> {
        let answer = self.run("resume a queue at", Script::Resume, queue, |_| {});
        Ok(reply::integer(&answer.await?)? == 1)
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
        // A name that is none was written by somebody else.
        Ok(names.into_iter().filter_map(|name| QueueName::new(reply::text(name).ok()?).ok()).collect())
    }

    /// A dead letter as it is stored.
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
fn replayed(id: &TaskId, bytes: &[u8], now: Timestamp) -> Result<Vec<u8>> {
    match element::decode(&id.queue, bytes)?.envelope {
        Ok(mut envelope) => {
            envelope.begin_again(now);
            Ok(element::encode(&envelope, None))
        }
        Err(_) => Ok(element::undelivered(bytes)),
    }
}

fn counts(answer: Value) -> Result<Counts> {
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
