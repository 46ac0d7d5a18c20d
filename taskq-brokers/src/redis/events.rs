//! What happened: a stream in a tag of its own, which ends by itself.

use async_trait::async_trait;
use redis::{Cmd, Value};
use taskq_core::{Cursor, Event, EventPage, Events, Result, events::check_batch, limits};

use super::{broker::RedisBroker, reply, script::Script};

#[async_trait]
impl Events for RedisBroker {
    async fn publish(&self, events: &[Event]) -> Result<()> {
        check_batch(events)?;
        if events.is_empty() {
            return Ok(());
        }
        let answer = self.of_events("publish events at", Script::PublishEvents, |command| {
            command.arg(limits::MAX_EVENTS).arg(limits::EVENT_TTL.as_millis() as u64);
            for event in events {
                command.arg(event.encode());
            }
        });
        answer.await.map(drop)
    }

    async fn read(&self, after: Option<Cursor>, count: usize) -> Result<EventPage> {
        let (_newest, events) = self.page(after, count.min(limits::MAX_PAGE)).await?;
        Ok(EventPage::new(after, events))
    }

    async fn last(&self) -> Result<Option<Cursor>> {
        self.page(None, 0).await.map(|(newest, _)| newest)
    }
}

impl RedisBroker {
    /// The place of the newest event, and events behind a place.
    async fn page(&self, after: Option<Cursor>, count: usize) -> Result<(Option<Cursor>, Vec<(Cursor, Event)>)> {
        let answer = self.of_events("read events at", Script::Events, |command| {
            command.arg(limits::EVENT_TTL.as_millis() as u64).arg(count);
            if let Some(after) = after {
                command.arg(after.begun_at.as_millis().max(0)).arg(after.number);
            }
        });
        let mut fields = reply::array(answer.await?)?.into_iter().map(reply::text);
        let newest = match fields.next().transpose()?.as_deref() {
            Some("") => None,
            Some(newest) => Some(newest.parse()?),
            None => return Err(reply::wrong("the newest event")),
        };
        let mut events = Vec::new();
        while let (Some(place), Some(json)) = (fields.next(), fields.next()) {
            events.push((place?.parse()?, Event::decode(&json?)));
        }
        Ok((newest, events))
    }

    /// Runs a script on the prefix of the events. No queue has such a name.
    async fn of_events(
        &self,
        operation: &'static str,
        script: Script,
        arguments: impl FnOnce(&mut Cmd),
    ) -> Result<Value> {
        let prefix = format!("{}:{{#events}}:", self.namespace);
        self.link.script(operation, script, &prefix, arguments).await
    }
}
