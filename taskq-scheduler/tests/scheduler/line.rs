//! How one process reaches the broker: messages take time, get lost, or come late, as a seed decides; and what took effect
//! is noted.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use taskq_core::{
    Accepted, Author, CandidateId, Clock, Connection, Document, DocumentId, DocumentName, Documents, EntryId,
    EntryName, Error, ErrorKind, FencingToken, Fired, Incumbent, Leader, Mark, QueueName, Renewal, Result, Saved,
    Schedules, Standing, StoredEntry, Tick, Timestamp, Version, Written,
    retry::{fraction, scramble},
};
use tokio::sync::oneshot;

/// After this long without an answer a call has failed.
const SILENCE: Duration = Duration::from_millis(500);

/// A late message arrives up to this much later.
const LATEST: Duration = Duration::from_secs(8);

/// A tick that took effect.
#[derive(Clone, Debug)]
pub(crate) struct Effect {
    pub(crate) token: FencingToken,
    pub(crate) entry: EntryName,
    pub(crate) fire_time: Timestamp,
    pub(crate) at: Timestamp,
    pub(crate) accepted: Accepted,
}

/// Pseudo-random numbers of one seed.
#[derive(Debug)]
pub(crate) struct Dice(AtomicU64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(scramble(seed)))
    }

    fn throw(&self) -> u64 {
        scramble(self.0.fetch_add(1, Ordering::SeqCst))
    }

    pub(crate) fn below(&self, bound: u64) -> u64 {
        (self.throw() >> 11) % bound
    }

    pub(crate) fn time(&self, from: Duration, to: Duration) -> Duration {
        from + fraction(to - from, self.throw())
    }
}

/// What all lines share.
#[derive(Debug)]
pub(crate) struct Net {
    /// Of the network itself: what is on its way goes on whatever happens to processes.
    pub(crate) clock: Clock,
    pub(crate) dice: Dice,
    /// How many of a thousand messages are lost, as many answers, and as many come late.
    pub(crate) mishaps: AtomicU64,
    pub(crate) effects: Mutex<Vec<Effect>>,
    pub(crate) fenced: AtomicU64,
}

/// What becomes of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Answered,
    RequestLost,
    AnswerLost,
    Late,
}

impl Net {
    fn fate(&self) -> Fate {
        let mishaps = self.mishaps.load(Ordering::SeqCst);
        match self.dice.below(1_000) {
            thrown if thrown < mishaps => Fate::RequestLost,
            thrown if thrown < mishaps * 2 => Fate::AnswerLost,
            thrown if thrown < mishaps * 3 => Fate::Late,
            _ => Fate::Answered,
        }
    }
}

/// The way of one process.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) net: Arc<Net>,
    pub(crate) broker: Connection,
    pub(crate) clock: Clock,
}

impl Line {
    async fn call<V, F>(&self, operation: &'static str, request: F) -> Result<V>
    where
        V: Send + 'static,
        F: FnOnce(Connection) -> BoxFuture<'static, Result<V>> + Send + 'static,
    {
        let (net, broker) = (Arc::clone(&self.net), self.broker.clone());
        let fate = net.fate();
        let quick = || net.dice.time(Duration::from_micros(100), Duration::from_millis(3));
        let (there, back) = (if fate == Fate::Late { net.dice.time(SILENCE, LATEST) } else { quick() }, quick());
        let (say, answer) = oneshot::channel();
        let message = async move {
            net.clock.sleep(there).await;
            if fate == Fate::RequestLost {
                return;
            }
            let value = request(broker).await;
            net.clock.sleep(back).await;
            if fate != Fate::AnswerLost {
                // Whoever asked may be gone.
                say.send(value).ok();
            }
        };
        drop(self.net.clock.spawn("message", message));
        match self.clock.timeout(SILENCE, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(Error::new(ErrorKind::Unavailable, operation, "the simulated broker")),
        }
    }
}

#[async_trait]
impl Leader for Line {
    async fn stand(&self, candidate: CandidateId, term: Duration) -> Result<Standing> {
        self.call("stand", move |broker| Box::pin(async move { broker.leader().stand(candidate, term).await })).await
    }

    async fn renew(&self, candidate: CandidateId, token: FencingToken, term: Duration) -> Result<Renewal> {
        let request = move |broker: Connection| -> BoxFuture<'static, _> {
            Box::pin(async move { broker.leader().renew(candidate, token, term).await })
        };
        self.call("renew", request).await
    }

    async fn resign(&self, candidate: CandidateId, token: FencingToken) -> Result<()> {
        let request = move |broker: Connection| -> BoxFuture<'static, _> {
            Box::pin(async move { broker.leader().resign(candidate, token).await })
        };
        self.call("resign", request).await
    }

    async fn vacated(&self, bound: Duration) -> Result<()> {
        self.broker.leader().vacated(bound).await
    }

    async fn incumbent(&self) -> Result<Option<Incumbent>> {
        self.broker.leader().incumbent().await
    }
}

#[async_trait]
impl Schedules for Line {
    async fn marks(&self) -> Result<Vec<(QueueName, Mark)>> {
        self.call("mark", |broker| Box::pin(async move { broker.schedules().marks().await })).await
    }

    async fn entries(&self, queue: &QueueName, after: Option<&EntryName>, count: usize) -> Result<Vec<StoredEntry>> {
        let (queue, after) = (queue.clone(), after.cloned());
        let request = move |broker: Connection| -> BoxFuture<'static, _> {
            Box::pin(async move { broker.schedules().entries(&queue, after.as_ref(), count).await })
        };
        self.call("list", request).await
    }

    async fn put(&self, author: Author, id: &EntryId, text: &str) -> Result<Written> {
        let (id, text) = (id.clone(), text.to_owned());
        let request = move |broker: Connection| -> BoxFuture<'static, _> {
            Box::pin(async move { broker.schedules().put(author, &id, &text).await })
        };
        self.call("put", request).await
    }

    async fn remove(&self, author: Author, id: &EntryId) -> Result<Written> {
        let id = id.clone();
        let request = move |broker: Connection| -> BoxFuture<'static, _> {
            Box::pin(async move { broker.schedules().remove(author, &id).await })
        };
        self.call("remove", request).await
    }

    async fn pause(&self, id: &EntryId) -> Result<bool> {
        self.broker.schedules().pause(id).await
    }

    async fn resume(&self, id: &EntryId) -> Result<bool> {
        self.broker.schedules().resume(id).await
    }

    async fn fire(&self, token: FencingToken, queue: &QueueName, ticks: &[Tick]) -> Result<Vec<Fired>> {
        let (queue, ticks, net) = (queue.clone(), ticks.to_vec(), Arc::clone(&self.net));
        let request = move |broker: Connection| -> BoxFuture<'static, _> {
            Box::pin(async move {
                let fired = broker.schedules().fire(token, &queue, &ticks).await?;
                let at = net.clock.now();
                for (tick, fired) in ticks.iter().zip(&fired) {
                    match fired {
                        Fired::Applied(accepted) => note(&net, token, tick, accepted, at),
                        Fired::Fenced => drop(net.fenced.fetch_add(1, Ordering::SeqCst)),
                        Fired::Moved(_) | Fired::Early | Fired::Paused | Fired::Unknown => {}
                    }
                }
                Ok(fired)
            })
        };
        self.call("fire", request).await
    }
}

#[async_trait]
impl Documents for Line {
    async fn read(&self, id: &DocumentId) -> Result<Option<Document>> {
        let id = id.clone();
        self.call("read", move |broker| Box::pin(async move { broker.documents().read(&id).await })).await
    }

    async fn save(&self, id: &DocumentId, expected: Option<Version>, text: &str) -> Result<Saved> {
        let (id, text) = (id.clone(), text.to_owned());
        let request = move |broker: Connection| -> BoxFuture<'static, _> {
            Box::pin(async move { broker.documents().save(&id, expected, &text).await })
        };
        self.call("save", request).await
    }

    async fn forget(&self, id: &DocumentId, expected: Version) -> Result<bool> {
        let id = id.clone();
        let request = move |broker: Connection| -> BoxFuture<'static, _> {
            Box::pin(async move { broker.documents().forget(&id, expected).await })
        };
        self.call("forget", request).await
    }

    async fn list(&self, queue: &QueueName, after: Option<&DocumentName>, count: usize) -> Result<Vec<Document>> {
        let (queue, after) = (queue.clone(), after.cloned());
        let request = move |broker: Connection| -> BoxFuture<'static, _> {
            Box::pin(async move { broker.documents().list(&queue, after.as_ref(), count).await })
        };
        self.call("list", request).await
    }
}

fn note(net: &Net, token: FencingToken, tick: &Tick, accepted: &[Accepted], at: Timestamp) {
    let mut effects = net.effects.lock().expect("not poisoned");
    for (envelope, accepted) in tick.envelopes.iter().zip(accepted) {
        let key = envelope.id.key.to_string();
        let millis = key.rsplit('@').next().and_then(|millis| millis.parse().ok()).expect("the id of a tick");
        let (entry, fire_time) = (tick.name.clone(), Timestamp::from_millis(millis));
        effects.push(Effect { token, entry, fire_time, at, accepted: accepted.clone() });
    }
}
