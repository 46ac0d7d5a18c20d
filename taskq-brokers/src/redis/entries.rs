//! Entries of schedulers and their cursors, in the tag of the queue that they enqueue to: so a tick is one script.

use async_trait::async_trait;
use futures_util::future::try_join_all;
use redis::{Cmd, Value};
use taskq_core::{
    Author, EntryId, EntryName, EntryOrigin, FencingToken, FireTime, Fired, Mark, QueueName, Result, Schedules,
    StoredEntry, Tick, Timestamp, Written, limits,
    schedules::{check_text, check_ticks},
};

use super::{
    arguments,
    broker::{RedisBroker, prefix_of},
    enqueue, reply,
    script::Script,
};

/// The set of queues that ever had entries.
const LISTED: &str = "scheduled";

#[async_trait]
impl Schedules for RedisBroker {
    async fn marks(&self) -> Result<Vec<(QueueName, Mark)>> {
        let mark = async |queue: QueueName| {
            let mut get = redis::cmd("GET");
            get.arg(format!("{}mark", prefix_of(&self.namespace, &queue)));
            let mark = match self.link.command("ask for changes of entries at", &get).await? {
                // Listed, and its first entry is not there yet.
                Value::Nil => return Ok(None),
                mark => Mark(reply::integer(&mark)?.unsigned_abs()),
            };
            Ok(Some((queue, mark)))
        };
        // Sent together, answered in order: one round trip for all queues.
        let marks = try_join_all(self.listed_in(LISTED).await?.into_iter().map(mark)).await?;
        Ok(marks.into_iter().flatten().collect())
    }

    async fn entries(&self, queue: &QueueName, after: Option<&EntryName>, count: usize) -> Result<Vec<StoredEntry>> {
        let answer = self.run("list entries at", Script::Entries, queue, |command| {
            command.arg(after.map_or("", EntryName::as_str)).arg(count.min(limits::MAX_PAGE));
        });
        let mut fields = reply::array(answer.await?)?.into_iter();
        let mut entries = Vec::new();
        while let (Some(name), Some(record), Some(cursor), Some(fired)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        {
            entries.push(entry(queue, name, record, &cursor, fired)?);
        }
        Ok(entries)
    }

    async fn put(&self, author: Author, id: &EntryId, text: &str) -> Result<Written> {
        check_text(id, text)?;
        // Listed first: an entry that nobody finds would never fire.
        self.list_in(LISTED, &id.queue).await?;
        let answer = self.run("put an entry at", Script::PutEntry, &id.queue, |command| {
            author_arguments(command, author);
            command.arg(id.name.as_str()).arg(text);
        });
        written(&reply::bytes(answer.await?)?)
    }

    async fn remove(&self, author: Author, id: &EntryId) -> Result<Written> {
        let answer = self.run("remove an entry at", Script::RemoveEntry, &id.queue, |command| {
            author_arguments(command, author);
            command.arg(id.name.as_str());
        });
        written(&reply::bytes(answer.await?)?)
    }

    async fn pause(&self, id: &EntryId) -> Result<bool> {
        let answer = self.run("pause an entry at", Script::PauseEntry, &id.queue, |command| {
            command.arg(id.name.as_str()).arg(1);
        });
        Ok(reply::integer(&answer.await?)? == 1)
    }

    async fn resume(&self, id: &EntryId) -> Result<bool> {
        let answer = self.run("resume an entry at", Script::PauseEntry, &id.queue, |command| {
            command.arg(id.name.as_str()).arg(0);
        });
        Ok(reply::integer(&answer.await?)? == 1)
    }

    async fn fire(&self, token: FencingToken, queue: &QueueName, ticks: &[Tick]) -> Result<Vec<Fired>> {
        check_ticks(queue, ticks)?;
        if ticks.is_empty() {
            return Ok(Vec::new());
        }
        self.list_queue_once(queue).await?;
        let answer = self.run("fire at", Script::Fire, queue, |command| {
            command.arg(token.0);
            ticks.iter().for_each(|tick| tick_arguments(command, tick));
        });
        let answers = reply::array(answer.await?)?;
        match answers.is_empty() {
            true => Ok(vec![Fired::Fenced; ticks.len()]),
            false => answers.into_iter().map(fired).collect(),
        }
    }
}

fn author_arguments(command: &mut Cmd, author: Author) {
    match author.token() {
        Some(token) => command.arg(token.0),
        None => command.arg(""),
    };
    command.arg(match author.origin() {
        EntryOrigin::Code => "c",
        EntryOrigin::File => "f",
        EntryOrigin::RunTime => "r",
    });
}

fn origin(letter: u8) -> Result<EntryOrigin> {
    match letter {
        b'c' => Ok(EntryOrigin::Code),
        b'f' => Ok(EntryOrigin::File),
        b'r' => Ok(EntryOrigin::RunTime),
        _ => Err(reply::wrong("an origin")),
    }
}

fn written(answer: &[u8]) -> Result<Written> {
    match answer {
        b"applied" => Ok(Written::Applied),
        b"fenced" => Ok(Written::Fenced),
        [letter] => origin(*letter).map(Written::Foreign),
        _ => Err(reply::wrong("applied, fenced or an origin")),
    }
}

/// An entry from its record: `put_entry.lua` says what is where.
fn entry(queue: &QueueName, name: Value, record: Value, cursor: &Value, fired: Value) -> Result<StoredEntry> {
    let record = reply::text(record)?;
    let malformed = || reply::wrong("the record of an entry");
    let (head, text) = record.split_at_checked(16).ok_or_else(malformed)?;
    let instant = |millis: i64| Timestamp::from_millis(millis);
    let fired = reply::text(fired)?;
    let last_fired = match fired.is_empty() {
        true => None,
        false => Some(FireTime(instant(fired.parse().map_err(|_| malformed())?))),
    };
    Ok(StoredEntry {
        id: EntryId { queue: queue.clone(), name: EntryName::new(reply::text(name)?)? },
        origin: origin(head.as_bytes()[0])?,
        paused: head.as_bytes()[1] == b'1',
        text: text.to_owned(),
        created_at: instant(head[2..].parse().map_err(|_| malformed())?),
        cursor: instant(reply::integer(cursor)?),
        last_fired,
    })
}

fn tick_arguments(command: &mut Cmd, tick: &Tick) {
    command.arg(tick.name.as_str()).arg(tick.cursor.as_millis()).arg(tick.fire_time.0.as_millis());
    command.arg(tick.envelopes.len());
    arguments::accepted(command, &tick.envelopes);
}

fn fired(answer: Value) -> Result<Fired> {
    let mut fields = reply::array(answer)?.into_iter();
    let mut next = || fields.next().ok_or_else(|| reply::wrong("what became of a tick"));
    match reply::text(next()?)?.as_str() {
        "u" => Ok(Fired::Unknown),
        "e" => Ok(Fired::Early),
        "p" => Ok(Fired::Paused),
        "m" => Ok(Fired::Moved(Timestamp::from_millis(reply::integer(&next()?)?))),
        "a" => Ok(Fired::Applied(fields.map(enqueue::accepted).collect::<Result<_>>()?)),
        _ => Err(reply::wrong("a, e, m, p or u")),
    }
}
