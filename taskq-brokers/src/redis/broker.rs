//! The broker's contract on Redis: each method encodes, runs one script a queue, and reads its answer.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use redis::{Cmd, Value};
use taskq_core::{
    Accepted, Broker, CancelAnswer, Capabilities, Clock, DeadReason, Envelope, Error, ErrorKind, Progress, QueueName,
    Result, Snapshot, TaskId, TaskKey, Timestamp,
    broker::{BeatAnswer, ClaimAnswer, Claimed, Ending, Settled, Settlement, SweepAnswer},
    id::{BatchId, ClaimNumber, DeliveryToken, Owner},
    limits,
};

use super::{
    address::Address,
    arguments,
    batches::Batches,
    bells::Bells,
    element::{self, Element},
    enqueue::{Listed, Route},
    gate::Gate,
    held::{Holdings, batch_of, token, token_arguments},
    layout::Layout,
    link::Link,
    listener::Listener,
    lookup,
    replicated::Replicated,
    reply,
    script::{Script, Time},
    successes::Successes,
    witness::Witness,
};

/// Bytes that one script should move, for it must not hold up the server.
const STEP_BYTES: usize = 1024 * 1024;

/// Tasks on a Redis server.
#[derive(Debug)]
pub(super) struct RedisBroker {
    pub(super) link: Link,
    pub(super) namespace: String,
    pub(super) batches: Batches,
    bells: Bells,
    witness: Witness,
    pub(super) replicated: Replicated,
    pub(super) listener: Listener,
    pub(super) listed: Mutex<Listed>,
}

/// What a first glance tells of a task.
enum Known {
    /// Its end will be told.
    Lives,
    Ended(Snapshot),
    /// It takes a closer look.
    Unclear,
}

/// What all keys of a queue begin with: one hash tag.
pub(super) fn prefix_of(namespace: &str, queue: &QueueName) -> String {
    format!("{namespace}:{{{queue}}}:")
}

impl RedisBroker {
    pub(super) async fn open(
        address: Address,
        clock: Clock,
        time: Time,
        layout: Layout,
        gate: Arc<Gate>,
    ) -> Result<Self> {
        let link = Link::open(address, clock, time, layout, gate).await?;
        let channel = format!("{}:told:{}", link.namespace(), taskq_core::WorkerId::generate());
        Ok(Self {
            namespace: link.namespace().to_string(),
            link,
            batches: Batches::default(),
            bells: Bells::default(),
            witness: Witness::default(),
            replicated: Replicated::default(),
            listener: Listener::new(channel),
            listed: Mutex::default(),
        })
    }

    pub(super) async fn run(
        &self,
        operation: &'static str,
        script: Script,
        queue: &QueueName,
        arguments: impl FnOnce(&mut Cmd),
    ) -> Result<Value> {
        self.link.script(operation, script, &prefix_of(&self.namespace, queue), arguments).await
    }

    pub(super) async fn list_queue(&self, queue: &QueueName) -> Result<()> {
        self.list_in("queues", queue).await
    }

    /// Enters a queue into a set of queues.
    pub(super) async fn list_in(&self, set: &str, queue: &QueueName) -> Result<()> {
        let set = format!("{}:{set}", self.namespace);
        let listing = self.link.script("list a queue at", Script::List, &set, |command| {
            command.arg(queue.as_str());
        });
        listing.await.map(drop)
    }

    /// Notes what the server has acknowledged.
    fn acknowledged(&self, envelope: Option<&Envelope>, has_ended: bool) {
        if let Some(envelope) = envelope {
            self.witness.acknowledged(envelope, has_ended, self.link.clock().monotonic());
        }
    }

    /// After a reconnect: reports it if the server has lost what it had acknowledged.
    async fn look_back(&self) -> Result<()> {
        let generation = self.link.generation().await?;
        let Some(newest) = self.witness.to_look_up(generation, self.link.clock().monotonic()) else { return Ok(()) };
        let found = match self.look(&newest.id, "").await {
            Ok(found) => found,
            Err(error) => {
                self.witness.again(newest);
                return Err(error);
            }
        };
        if found.is_none_or(|snapshot| newest.has_ended && !snapshot.state.is_final()) {
            tracing::error!(
                server = self.link.shown(),
                task = %newest.id,
                "the server has lost its last moments: what it acknowledged in them is gone, or runs again; see appendfsync"
            );
        }
        Ok(())
    }

    /// Asks to be told of the end of a task.
    async fn listen(&self, id: &TaskId) -> Result<Known> {
        let answer = self.run("wait for a task at", Script::Listen, &id.queue, |command| {
            command.arg(id.key.as_bytes()).arg(self.listener.channel());
        });
        Ok(match answer.await? {
            Value::Int(1) => Known::Lives,
            Value::Int(_) => Known::Unclear,
            record => Known::Ended(lookup::ended(&reply::bytes(record)?)?),
        })
    }

    async fn look(&self, id: &TaskId, channel: &str) -> Result<Option<Snapshot>> {
        let key = id.key.as_bytes();
        let answer = self.run("look up a task at", Script::Find, &id.queue, |command| {
            command.arg(key).arg(channel);
        });
        lookup::snapshot(id, answer.await?)
    }

    /// Handed-out elements as tasks; what does not decode is buried, so that it is neither lost nor tried for ever.
    async fn claimed(
        &self,
        owner: Owner,
        queue: &QueueName,
        elements: Vec<(DeliveryToken, &[u8])>,
    ) -> Result<Vec<Claimed>> {
        let mut claimed = Vec::with_capacity(elements.len());
        for (token, bytes) in elements {
            let decoded = element::decode(queue, bytes)
                .and_then(|Element { deliveries, envelope }| envelope.map(|envelope| (deliveries, envelope)));
            match decoded {
                Ok((deliveries, envelope)) => {
                    claimed.push(Claimed {
                        token,
                        deliveries: deliveries.saturating_add(1),
                        envelope: envelope.into(),
                    });
                }
                Err(error) => self.bury_undecodable(owner, queue, token, bytes, &error).await?,
            }
        }
        Ok(claimed)
    }

    async fn bury_undecodable(
        &self,
        owner: Owner,
        queue: &QueueName,
        token: DeliveryToken,
        bytes: &[u8],
        error: &Error,
    ) -> Result<()> {
        tracing::error!(%queue, %error, "a task does not decode; it becomes a dead letter");
        self.run("settle at", Script::Settle, queue, |command| {
            command.arg(owner.to_string());
            token_arguments(command, token);
            command.arg(element::undelivered(bytes)).arg("d").arg(DeadReason::Undecodable.as_str());
        })
        .await
        .map(drop)
    }

    /// Settles so many at once that the script stays short.
    async fn settle_step(&self, owner: Owner, queue: &QueueName, settlements: &[Settlement]) -> Result<Vec<Settled>> {
        let is_success = |settlement: &Settlement| {
            matches!(settlement.ending, Ending::Succeeded(_)) && !element::has_unique(&settlement.envelope)
        };
        if settlements.iter().all(is_success) {
            return self.succeed(owner, queue, settlements).await;
        }
        let answer =
            self.run("settle at", Script::Settle, queue, |command| arguments::endings(command, owner, settlements));
        settled(&reply::bytes(answer.await?)?)
    }

    async fn succeed(&self, owner: Owner, queue: &QueueName, settlements: &[Settlement]) -> Result<Vec<Settled>> {
        let successes = Successes::new(settlements);
        let answer = self.run("settle at", Script::Succeed, queue, |command| successes.arguments(command, owner));
        let mut settled = successes.settled(answer.await?)?;
        let is_doubtful =
            |index: &usize| settled[*index] == Settled::Fenced && settlements[*index].envelope.is_tracked();
        let doubtful: Vec<usize> = (0..settlements.len()).filter(is_doubtful).collect();
        if !doubtful.is_empty() {
            self.look_for_repetitions(queue, settlements, &doubtful, &mut settled).await?;
        }
        Ok(settled)
    }

    /// The same write again, after its answer was lost, is no stale write. A final record does not change any more, so
    /// reading it afterwards is as good as in the same step.
    async fn look_for_repetitions(
        &self,
        queue: &QueueName,
        settlements: &[Settlement],
        doubtful: &[usize],
        settled: &mut [Settled],
    ) -> Result<()> {
        let answer = self.run("look up a settlement at", Script::Applied, queue, |command| {
            for index in doubtful {
                let Settlement { token, envelope, .. } = &settlements[*index];
                command.arg(envelope.id.key.as_bytes()).arg(batch_of(*token));
            }
        });
        for (index, flag) in doubtful.iter().zip(reply::bytes(answer.await?)?) {
            if flag == b'1' {
                settled[*index] = Settled::Applied;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Broker for RedisBroker {
    fn capabilities(&self) -> Capabilities {
        Capabilities { product: "redis", durable: true, shared: true, networked: true }
    }

    fn reconnects(&self) -> u64 {
        self.link.reconnects()
    }

    async fn now(&self) -> Result<Timestamp> {
        // A user may only be allowed what begins with the namespace and a colon.
        let prefix = format!("{}:", self.namespace);
        let millis = self.link.script("ask the time of", Script::Now, &prefix, |_| {}).await?;
        Ok(Timestamp::from_millis(reply::integer(&millis)?))
    }

    async fn enqueue(&self, queue: &QueueName, batch: BatchId, envelopes: &[Envelope]) -> Result<Vec<Accepted>> {
        self.look_back().await?;
        let accepted = self.accept(Route::Shared, queue, batch, envelopes).await?;
        self.acknowledged(last_accepted(&accepted, envelopes), false);
        Ok(accepted)
    }

    async fn enqueue_replicated(
        &self,
        queue: &QueueName,
        batch: BatchId,
        envelopes: &[Envelope],
        replicas: u8,
    ) -> Result<Vec<Accepted>> {
        self.look_back().await?;
        let accepted = self.accept(Route::Replicated(replicas), queue, batch, envelopes).await?;
        self.acknowledged(last_accepted(&accepted, envelopes), false);
        Ok(accepted)
    }

    async fn join(&self, owner: Owner, queue: &QueueName, lease: Duration) -> Result<()> {
        self.list_queue(queue).await?;
        let answer = self.run("join at", Script::Join, queue, |command| {
            command.arg(owner.to_string()).arg(u64::try_from(lease.as_millis()).unwrap_or(u64::MAX));
        });
        match reply::integer(&answer.await?)? {
            1 => Ok(()),
            _ => {
                Err(Error::new(ErrorKind::Fenced, "join", queue).because("the term has lapsed; join with the next one"))
            }
        }
    }

    async fn beat(&self, beats: &[(Owner, QueueName)]) -> Result<Vec<BeatAnswer>> {
        let beat = |(owner, queue): &(Owner, QueueName)| {
            let (owner, queue) = (owner.to_string(), queue.clone());
            async move {
                let answer = self.run("beat at", Script::Beat, &queue, |command| {
                    command.arg(owner);
                });
                beat_answer(answer.await?)
            }
        };
        // Sent together, answered in order: one round trip for all queues.
        futures_util::future::try_join_all(beats.iter().map(beat)).await
    }

    async fn claim(&self, owner: Owner, queue: &QueueName, count: usize, number: ClaimNumber) -> Result<ClaimAnswer> {
        self.look_back().await?;
        let count = count.min(limits::CLAIM_BATCH);
        let answer = self.run("claim at", Script::Claim, queue, |command| {
            command.arg(owner.to_string()).arg(count).arg(number.0);
        });
        let mut fields = reply::array(answer.await?)?.into_iter();
        let Some(next_due) = fields.next() else {
            let text = "the worker's lease has lapsed, or the worker has given this claim up";
            return Err(Error::new(ErrorKind::Fenced, "claim from", queue).because(text));
        };
        let mut claimed = Vec::new();
        while let (Some(batch), Some(parts)) = (fields.next(), fields.next()) {
            let parts: Vec<Vec<u8>> = reply::array(parts)?.into_iter().map(reply::bytes).collect::<Result<_>>()?;
            let batch = reply::integer(&batch)?.unsigned_abs();
            claimed.extend(self.claimed(owner, queue, tasks_of(batch, &parts)?).await?);
        }
        Ok(ClaimAnswer { claimed, next_due: millis(reply::integer(&next_due)?) })
    }

    async fn held(&self, owner: Owner, queue: &QueueName, last: ClaimNumber) -> Result<Vec<Claimed>> {
        let answer = self.run("list what is held at", Script::Held, queue, |command| {
            command.arg(owner.to_string()).arg(last.0);
        });
        let Some(held) = Holdings::read(answer.await?)? else {
            let text = "the worker's lease has lapsed";
            return Err(Error::new(ErrorKind::Fenced, "list what is held in", queue).because(text));
        };
        self.claimed(owner, queue, held.elements()?).await
    }

    async fn settle(&self, owner: Owner, queue: &QueueName, settlements: &[Settlement]) -> Result<Vec<Settled>> {
        let mut settled = Vec::with_capacity(settlements.len());
        for step in bounded(settlements) {
            settled.extend(self.settle_step(owner, queue, step).await?);
        }
        let is_end = |(_, settlement): &(&Settled, &Settlement)| matches!(settlement.ending, Ending::Succeeded(_));
        let mut applied = settled.iter().zip(settlements).filter(|(settled, _)| **settled == Settled::Applied);
        self.acknowledged(applied.rfind(is_end).map(|(_, settlement)| &*settlement.envelope), true);
        Ok(settled)
    }

    async fn report(
        &self,
        owner: Owner,
        queue: &QueueName,
        key: &TaskKey,
        token: DeliveryToken,
        progress: &Progress,
    ) -> Result<Settled> {
        let json = serde_json::to_vec(progress).expect("numbers and text always encode");
        let answer = self.run("report at", Script::Report, queue, |command| {
            command.arg(owner.to_string());
            token_arguments(command, token);
            command.arg(key.as_bytes()).arg(json);
        });
        Ok(if reply::integer(&answer.await?)? == 1 { Settled::Applied } else { Settled::Fenced })
    }

    async fn leave(&self, owner: Owner, queue: &QueueName) -> Result<()> {
        loop {
            let answer = self.run("leave at", Script::Leave, queue, |command| {
                command.arg(owner.to_string());
            });
            if reply::integer(&answer.await?)? == 0 {
                return Ok(());
            }
        }
    }

    async fn sweep(&self, queue: &QueueName, limit: usize) -> Result<SweepAnswer> {
        let answer = self.run("sweep at", Script::Sweep, queue, |command| {
            command.arg(limit.clamp(1, limits::SWEEP_BATCH));
        });
        let numbers: Vec<i64> = reply::array(answer.await?)?.iter().map(reply::integer).collect::<Result<_>>()?;
        let [due, reclaimed, buried, pruned, more] = numbers[..] else { return Err(reply::wrong("five numbers")) };
        let count = |number: i64| usize::try_from(number).unwrap_or(0);
        Ok(SweepAnswer {
            due: count(due),
            reclaimed: count(reclaimed),
            buried: count(buried),
            pruned: count(pruned),
            more: more == 1,
        })
    }

    async fn cancel(&self, id: &TaskId) -> Result<CancelAnswer> {
        let answer = self.run("cancel at", Script::Cancel, &id.queue, |command| {
            command.arg(id.key.as_bytes());
        });
        Ok(match reply::text(answer.await?)?.as_str() {
            "cancelled" => CancelAnswer::Cancelled,
            "requested" => CancelAnswer::Requested,
            "ended" => CancelAnswer::AlreadyEnded,
            _ => CancelAnswer::NotFound,
        })
    }

    async fn find(&self, id: &TaskId) -> Result<Option<Snapshot>> {
        self.look(id, "").await
    }

    async fn wait(&self, id: &TaskId, bound: Duration) -> Result<Option<Snapshot>> {
        let clock = self.link.clock();
        let end = clock.monotonic() + bound;
        let interest = self.listener.interest(&self.link, id.key.to_bytes()).await;
        loop {
            let told = interest.told();
            tokio::pin!(told);
            // Listen before looking, or the end in between would be missed.
            told.as_mut().enable();
            if let Some(record) = interest.record() {
                return lookup::ended(&record).map(Some);
            }
            // Not again what the enqueue has asked for.
            let known = if interest.will_be_told() { Known::Lives } else { self.listen(id).await? };
            match known {
                Known::Lives => {}
                Known::Ended(snapshot) => return Ok(Some(snapshot)),
                Known::Unclear => {
                    let snapshot = self.look(id, self.listener.channel()).await?;
                    if snapshot.as_ref().is_none_or(is_over) {
                        return Ok(snapshot);
                    }
                }
            }
            let left = end.saturating_sub(clock.monotonic());
            if left.is_zero() {
                // Whoever listens is not told whether it runs already.
                return self.find(id).await;
            }
            // Told without a record, or not at all: then the loop looks for itself.
            let _told = clock.timeout(left.min(limits::WAIT_POLL), told).await;
            interest.looks_for_itself();
        }
    }

    async fn work_arrived(&self, worker: &[(Owner, QueueName)], bound: Duration) -> Result<Vec<Claimed>> {
        let rung = self.bells.wait(&self.link, &self.namespace, worker, bound).await?;
        let Some((owner, queue, batch, row)) = rung.as_ref().and_then(|(bell, ring)| handed(&worker[*bell], ring))
        else {
            return Ok(Vec::new());
        };
        self.claimed(owner, queue, tasks_of(batch, &[row])?).await
    }
}

/// The tasks of a batch with their tokens, from its parts.
fn tasks_of<Part: AsRef<[u8]>>(batch: u64, parts: &[Part]) -> Result<Vec<(DeliveryToken, &[u8])>> {
    let mut tasks = Vec::new();
    for part in parts {
        for element in element::in_a_row(part.as_ref())? {
            let position = u8::try_from(tasks.len()).map_err(|_| reply::wrong("at most 256 tasks in a batch"))?;
            tasks.push((token(batch, position), element));
        }
    }
    Ok(tasks)
}

/// What a bell brought, if it was more than a ring: who owns it now, where, the number of its batch, and its elements.
fn handed<'a>(waiting: &'a (Owner, QueueName), ring: &'a [u8]) -> Option<(Owner, &'a QueueName, u64, &'a [u8])> {
    let end = ring.iter().position(|byte| *byte == b':')?;
    let batch = std::str::from_utf8(&ring[..end]).ok()?.parse().ok()?;
    Some((waiting.0, &waiting.1, batch, &ring[end + 1..]))
}

fn is_over(snapshot: &Snapshot) -> bool {
    snapshot.state.is_final() || snapshot.state == taskq_core::State::Untracked
}

/// The last envelope that the server has: one whose unique key another task holds was not accepted.
fn last_accepted<'a>(accepted: &[Accepted], envelopes: &'a [Envelope]) -> Option<&'a Envelope> {
    let mut pairs = accepted.iter().zip(envelopes);
    pairs.rfind(|(accepted, _)| !matches!(accepted, Accepted::Held(_))).map(|(_, envelope)| envelope)
}

fn millis(number: i64) -> Option<Duration> {
    u64::try_from(number).ok().map(Duration::from_millis)
}

/// Parts of at most `SETTLE_BATCH` settlements and about a mebibyte: a script that ends them reads what the owner holds.
fn bounded(mut settlements: &[Settlement]) -> Vec<&[Settlement]> {
    let mut parts = Vec::new();
    while !settlements.is_empty() {
        let mut bytes = 0;
        let fitting = settlements.iter().take(limits::SETTLE_BATCH).take_while(|settlement| {
            let fits = bytes < STEP_BYTES;
            bytes += settlement.envelope.payload.as_str().len();
            fits
        });
        let (part, rest) = settlements.split_at(fitting.count());
        parts.push(part);
        settlements = rest;
    }
    parts
}

// Answers -------------------------------------------------------------------------------------------------

fn settled(flags: &[u8]) -> Result<Vec<Settled>> {
    let settled = |byte: &u8| if *byte == b'1' { Settled::Applied } else { Settled::Fenced };
    Ok(flags.iter().map(settled).collect())
}

fn beat_answer(answer: Value) -> Result<BeatAnswer> {
    let mut fields = reply::array(answer)?.into_iter();
    let mut number = || fields.next().ok_or_else(|| reply::wrong("a number")).and_then(|value| reply::integer(&value));
    let (alive, ready, sweep_in) = (number()? == 1, number()? == 1, millis(number()?));
    let cancelled = fields.map(|key| TaskKey::from_bytes(&reply::bytes(key)?)).collect::<Result<_>>()?;
    Ok(BeatAnswer { alive, cancelled, ready, sweep_in })
}
