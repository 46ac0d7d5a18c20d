//! [`Subscriber`]: reads the stream of events from a place on, and goes on reading as it grows.

use std::{collections::VecDeque, time::Duration};

use super::{Cursor, Event, EventPage, What};
use crate::{client::Client, error::Result, id::QueueName, limits};

/// Reads events as they come. It looks for more four times a second, so a publisher does nothing for those who read, and
/// somebody with the right to look alone can read.
///
/// ```
/// # use std::time::Duration;
/// # use taskq_core::{Clock, Invocation, broker::memory, events::{EventsMode, Told, What}};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> taskq_core::Result<()> {
/// let connection = memory::connect(Clock::system()).with_events(EventsMode::On);
/// let client = connection.client();
/// let mut events = client.events().await?.kind("enqueued");
///
/// let handle = client.enqueue(Invocation::named("add", &serde_json::json!({ "a": 2, "b": 3 }))).await?;
/// match events.next().await? {
///     Told::Happened(_, event) => {
///         let What::Enqueued { id, .. } = event.what else { panic!("only this was asked for") };
///         assert_eq!(&id, handle.id());
///     }
///     Told::Missed(count) => println!("too slow: {count} events are gone"),
/// }
/// assert_eq!(events.next_within(Duration::ZERO).await?, None);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Subscriber {
    client: Client,
    after: Option<Cursor>,
    kinds: Vec<String>,
    queues: Vec<QueueName>,
    read: VecDeque<Told>,
}

/// What a subscriber is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// Something happened; its place in the stream.
    Happened(Cursor, Event),
    /// So many events are gone that were not read in time, whatever their kinds.
    Missed(u64),
}

impl Subscriber {
    pub(crate) fn new(client: Client, after: Cursor) -> Self {
        Self { client, after: Some(after), kinds: Vec::new(), queues: Vec::new(), read: VecDeque::new() }
    }

    /// The same from the oldest event on that is kept.
    #[must_use]
    pub fn from_oldest(self) -> Self {
        Self { after: None, ..self }
    }

    /// The same from the event on that stands behind this place: one that [`Told::Happened`] named, in this process or
    /// another.
    #[must_use]
    pub fn after(self, place: Cursor) -> Self {
        Self { after: Some(place), ..self }
    }

    /// Only events of this kind, as [`What::kind`] names it; call it again for more. How many were left out
    /// ([`What::LeftOut`]) is told whatever is asked for: who does not hear it would take a part for all.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kinds.push(kind.into());
        self
    }

    /// Only events of this queue; call it again for more. What belongs to no queue is passed over then, but for how many were
    /// left out.
    #[must_use]
    pub fn queue(mut self, queue: QueueName) -> Self {
        self.queues.push(queue);
        self
    }

    /// The next event, however long it takes. Nothing is lost if this is not awaited to its end.
    ///
    /// # Errors
    /// If the broker does not answer within the client's deadline, or refuses. The next call goes on where this one was.
    pub async fn next(&mut self) -> Result<Told> {
        loop {
            if let Some(told) = self.take().await? {
                return Ok(told);
            }
            self.client.connection().clock().sleep(limits::EVENT_LOOK).await;
        }
    }

    /// The next event, if there is one within this time.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn next_within(&mut self, bound: Duration) -> Result<Option<Told>> {
        let clock = self.client.connection().clock().clone();
        let end = clock.monotonic() + bound;
        loop {
            if let Some(told) = self.take().await? {
                return Ok(Some(told));
            }
            let left = end.saturating_sub(clock.monotonic());
            if left.is_zero() {
                return Ok(None);
            }
            clock.sleep(left.min(limits::EVENT_LOOK)).await;
        }
    }

    /// What was read, or else the first of what can be read now.
    async fn take(&mut self) -> Result<Option<Told>> {
        while self.read.is_empty() {
            let page = self.client.read_events(self.after, limits::MAX_PAGE).await?;
            if page.events.is_empty() {
                return Ok(None);
            }
            self.note(page);
        }
        Ok(self.read.pop_front())
    }

    fn note(&mut self, page: EventPage) {
        if page.missed > 0 {
            self.read.push_back(Told::Missed(page.missed));
        }
        self.after = page.events.last().map(|(place, _)| *place).or(self.after);
        let (kinds, queues) = (&self.kinds, &self.queues);
        let is_wanted = |event: &Event| {
            if matches!(event.what, What::LeftOut { .. }) {
                return true;
            }
            let is_of_queue = || event.what.queue().is_some_and(|queue| queues.contains(queue));
            (kinds.is_empty() || kinds.iter().any(|kind| kind == event.what.kind()))
                && (queues.is_empty() || is_of_queue())
        };
        let wanted = page.events.into_iter().filter(|(_, event)| is_wanted(event));
        self.read.extend(wanted.map(|(place, event)| Told::Happened(place, event)));
    }
}
