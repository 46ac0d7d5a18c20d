//! The broker's contract on Redis: each method encodes, runs one script a queue, and reads its answer.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use redis::{Cmd, Value};
use taskq_core::{
    Accepted, Broker, CancelAnswer, Capabilities, Clock, DeadReason, Envelope, Error, ErrorKind, OnConflict, Progress,
    QueueName, Result, Snapshot, TaskId, TaskKey, Timestamp, UniqueUntil,
    broker::{BeatAnswer, ClaimAnswer, Claimed, Ending, Settled, Settlement, SweepAnswer},
    id::{BatchId, DeliveryToken, Owner},
    invocation::{Expiry, Start, UniqueKey},
    limits,
};

use super::{
    address::Address,
    batches::Batches,
    bells::Bells,
    element::{self, Element},
    families::{family_of, mask},
    held::{Holdings, batch_of, token, token_arguments},
    layout::Layout,
    link::Link,
    listener::Listener,
    lookup, reply,
    script::{Script, Time},
    successes::{Successes, result_of},
};

/// Bytes that one script should move, for it must not hold up the server.
const STEP_BYTES: usize = 1024 * 1024;

/// Tasks on a Redis server.
#[derive(Debug)]
pub(super) struct RedisBroker {
    pub(super) link: Link,
    pub(super) namespace: String,
    batches: Batches,
    bells: Bells,
    listener: Listener,
    listed: Mutex<Listed>,
}

/// Queues that were entered into the list of queues on the present connection.
#[derive(Debug, Default)]
struct Listed {
    generation: u64,
    queues: HashSet<QueueName>,
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
    pub(super) async fn open(address: Address, clock: Clock, time: Time, layout: Layout) -> Result<Self> {
        let link = Link::open(&address, clock, time, layout).await?;
        let channel = format!("{}:told:{}", link.namespace(), taskq_core::WorkerId::generate());
        Ok(Self {
            namespace: link.namespace().to_string(),
            link,
            batches: Batches::default(),
            bells: Bells::default(),
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

    /// Enters the queue into the list of queues, once a connection: a server that was restarted may have lost it.
    async fn list_queue_once(&self, queue: &QueueName) -> Result<()> {
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

    async fn list_queue(&self, queue: &QueueName) -> Result<()> {
        let set = format!("{}:queues", self.namespace);
        let listing = self.link.script("list a queue at", Script::List, &set, |command| {
            command.arg(queue.as_str());
        });
        listing.await.map(drop)
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
        let answer = self.run("settle at", Script::Settle, queue, |command| endings(command, owner, settlements));
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

    async fn now(&self) -> Result<Timestamp> {
        // A user may only be allowed what begins with the namespace and a colon.
        let prefix = format!("{}:", self.namespace);
        let millis = self.link.script("ask the time of", Script::Now, &prefix, |_| {}).await?;
        Ok(Timestamp::from_millis(reply::integer(&millis)?))
    }

    async fn enqueue(&self, queue: &QueueName, batch: BatchId, envelopes: &[Envelope]) -> Result<Vec<Accepted>> {
        if envelopes.is_empty() {
            return Ok(Vec::new());
        }
        if envelopes.len() > limits::ENQUEUE_CHUNK {
            let cure = format!("{} envelopes in one batch; send at most {}", envelopes.len(), limits::ENQUEUE_CHUNK);
            return Err(Error::invalid("enqueue to", queue, cure));
        }
        self.list_queue_once(queue).await?;
        let answer = match (envelopes, envelopes.iter().all(is_plain)) {
            ([envelope], true) if envelope.is_tracked() => match self.batches.is_first(self.link.clock(), batch) {
                true => {
                    self.run("enqueue at", Script::EnqueueOne, queue, |command| one(command, batch, envelope)).await?
                }
                false => {
                    self.run("enqueue at", Script::EnqueueEach, queue, |command| again(command, batch, envelope))
                        .await?
                }
            },
            (_, true) => {
                self.run("enqueue at", Script::Enqueue, queue, |command| plain(command, batch, envelopes)).await?
            }
            (_, false) => {
                self.run("enqueue at", Script::EnqueueEach, queue, |command| each(command, batch, envelopes)).await?
            }
        };
        match answer {
            Value::Int(1) => Ok(vec![Accepted::Created; envelopes.len()]),
            Value::Int(_) => Ok(vec![Accepted::Duplicate; envelopes.len()]),
            answers => reply::array(answers)?.into_iter().map(accepted).collect(),
        }
    }

    async fn join(&self, owner: Owner, queue: &QueueName) -> Result<()> {
        self.list_queue(queue).await?;
        let answer = self.run("join at", Script::Join, queue, |command| {
            command.arg(owner.to_string());
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

    async fn claim(&self, owner: Owner, queue: &QueueName, count: usize) -> Result<ClaimAnswer> {
        let count = count.min(limits::CLAIM_BATCH);
        let answer = self.run("claim at", Script::Claim, queue, |command| {
            command.arg(owner.to_string()).arg(count);
        });
        let mut fields = reply::array(answer.await?)?.into_iter();
        let Some(next_due) = fields.next() else {
            return Err(Error::new(ErrorKind::Fenced, "claim from", queue).because("the worker's lease has lapsed"));
        };
        let mut claimed = Vec::new();
        while let (Some(batch), Some(row)) = (fields.next(), fields.next()) {
            let (batch, row) = (reply::integer(&batch)?.unsigned_abs(), reply::bytes(row)?);
            claimed.extend(self.claimed(owner, queue, tasks_of(batch, &row)?).await?);
        }
        Ok(ClaimAnswer { claimed, next_due: millis(reply::integer(&next_due)?) })
    }

    async fn held(&self, owner: Owner, queue: &QueueName) -> Result<Vec<Claimed>> {
        let answer = self.run("list what is held at", Script::Held, queue, |command| {
            command.arg(owner.to_string());
        });
        let held = Holdings::read(answer.await?)?;
        self.claimed(owner, queue, held.elements()?).await
    }

    async fn settle(&self, owner: Owner, queue: &QueueName, settlements: &[Settlement]) -> Result<Vec<Settled>> {
        let mut settled = Vec::with_capacity(settlements.len());
        for step in bounded(settlements) {
            settled.extend(self.settle_step(owner, queue, step).await?);
        }
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
        let interest = self.listener.interest(self.link.client(), clock, id.key.to_bytes()).await;
        loop {
            let told = interest.told();
            tokio::pin!(told);
            // Listen before looking, or the end in between would be missed.
            told.as_mut().enable();
            match self.listen(id).await? {
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
            let _told = clock.timeout(left.min(limits::WAIT_POLL), told).await;
            // Told without a record, or not at all: the loop looks for itself.
            if let Some(record) = interest.record() {
                return lookup::ended(&record).map(Some);
            }
        }
    }

    async fn work_arrived(&self, worker: &[(Owner, QueueName)], bound: Duration) -> Result<Vec<Claimed>> {
        let rung = self.bells.wait(&self.link, &self.namespace, worker, bound).await?;
        let Some((owner, queue, batch, row)) = rung.as_ref().and_then(|(bell, ring)| handed(&worker[*bell], ring))
        else {
            return Ok(Vec::new());
        };
        self.claimed(owner, queue, tasks_of(batch, row)?).await
    }
}

/// The tasks of a batch with their tokens.
fn tasks_of(batch: u64, row: &[u8]) -> Result<Vec<(DeliveryToken, &[u8])>> {
    Ok(element::in_a_row(row)?.into_iter().zip(0..).map(|(element, at)| (token(batch, at), element)).collect())
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

// Arguments -----------------------------------------------------------------------------------------------

/// Whether the short script can take it.
fn is_plain(envelope: &Envelope) -> bool {
    envelope.start == Start::Now && envelope.expiry.is_none() && envelope.unique.is_none() && !envelope.own_id
}

fn batch_arguments(command: &mut Cmd, batch: BatchId) {
    // A repetition carries the same id, and so finds the same bucket.
    command.arg(&batch.as_bytes()[..]).arg(batch.made_at_millis() / 60_000);
}

/// The same for a lone task, whose mark only a repetition leaves: a bucket of its own, which hardly ever exists.
fn lone_batch_arguments(command: &mut Cmd, batch: BatchId) {
    command.arg(&batch.as_bytes()[..]).arg(format!("one:{}", batch.made_at_millis() / 60_000));
}

/// The marker of a task without expiry and unique key, as `marker_of` in `prelude.lua` makes it.
fn plain_marker(envelope: &Envelope) -> [u8; 2] {
    [element::class(envelope.result_ttl), 0]
}

fn one(command: &mut Cmd, batch: BatchId, envelope: &Envelope) {
    lone_batch_arguments(command, batch);
    command.arg(envelope.id.key.as_bytes()).arg(&plain_marker(envelope)[..]);
    command.arg(envelope.priority).arg(element::encode(envelope, None));
}

/// One that may have been accepted before: it is looked up, and leaves a mark.
fn again(command: &mut Cmd, batch: BatchId, envelope: &Envelope) {
    lone_batch_arguments(command, batch);
    command.arg(element::encode(envelope, None)).arg("n").arg(0).arg("-").arg(0).arg(1);
    unique_arguments(command, None);
}

fn plain(command: &mut Cmd, batch: BatchId, envelopes: &[Envelope]) {
    batch_arguments(command, batch);
    family_arguments(command, envelopes);
    // In order of priority; those of one stay in the order in which they came.
    let mut elements: Vec<(u8, Vec<u8>)> =
        envelopes.iter().map(|envelope| (envelope.priority, element::encode(envelope, None))).collect();
    elements.sort_by_key(|(priority, _)| *priority);
    for group in elements.chunk_by(|(one, _), (next, _)| one == next) {
        command.arg(group[0].0).arg(group.len());
        for (_, element) in group {
            command.arg(element);
        }
    }
}

/// Which tasks share a marker.
fn kin(envelope: &Envelope) -> (Option<&[u8]>, u8) {
    (family_of(&envelope.id.key).map(|(family, _)| family), element::class(envelope.result_ttl))
}

/// The markers of tracked tasks, one for all siblings of a family and class.
fn family_arguments(command: &mut Cmd, envelopes: &[Envelope]) {
    let mut tracked: Vec<&Envelope> = envelopes.iter().filter(|envelope| envelope.is_tracked()).collect();
    tracked.sort_by(|one, other| kin(one).cmp(&kin(other)));
    let families = tracked.chunk_by(|one, next| kin(one) == kin(next));
    command.arg(families.clone().count());
    for members in families {
        let siblings = members.iter().filter_map(|envelope| family_of(&envelope.id.key));
        let family = siblings.clone().next().map_or(&[][..], |(family, _)| family);
        let mut marker = vec![element::class(members[0].result_ttl)];
        marker.extend(mask(siblings.map(|(_, which)| which)));
        command.arg(family).arg(marker);
    }
}

fn each(command: &mut Cmd, batch: BatchId, envelopes: &[Envelope]) {
    batch_arguments(command, batch);
    let whole = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    for envelope in envelopes {
        let (start, starts) = match envelope.start {
            Start::Now => ("n", 0),
            Start::After(delay) => ("a", whole(delay)),
            Start::At(time) => ("t", time.as_millis()),
        };
        let (expiry, expires) = match envelope.expiry {
            None => ("-", 0),
            Some(Expiry::After(duration)) => ("a", whole(duration)),
            Some(Expiry::At(time)) => ("t", time.as_millis()),
        };
        command.arg(element::encode(envelope, envelope.expiry.map(|_| 0)));
        command.arg(start).arg(starts).arg(expiry).arg(expires).arg(i32::from(envelope.own_id));
        unique_arguments(command, envelope.unique.as_ref());
    }
}

fn unique_arguments(command: &mut Cmd, unique: Option<&UniqueKey>) {
    let Some(unique) = unique else {
        command.arg("-").arg(0).arg("-");
        return;
    };
    match unique.until {
        UniqueUntil::Start => command.arg("s").arg(0),
        UniqueUntil::End => command.arg("e").arg(0),
        UniqueUntil::After(duration) => command.arg("a").arg(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)),
    };
    let conflict = match unique.on_conflict {
        OnConflict::Skip => 's',
        OnConflict::Replace => 'r',
    };
    command.arg(format!("{conflict}{}", unique.key));
}

fn endings(command: &mut Cmd, owner: Owner, settlements: &[Settlement]) {
    command.arg(owner.to_string());
    for Settlement { token, envelope, ending } in settlements {
        let expires = match envelope.expiry {
            Some(Expiry::At(time)) => Some(time.as_millis()),
            _ => None,
        };
        token_arguments(command, *token);
        command.arg(element::encode(envelope, expires));
        match ending {
            Ending::Succeeded(_) => command.arg("s").arg(result_of(envelope, ending)),
            Ending::Retry(delay) => command.arg("r").arg(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
            Ending::Dead(reason) => command.arg("d").arg(reason.as_str()),
            Ending::Cancelled => command.arg("c").arg(""),
            Ending::Released => command.arg("l").arg(""),
        };
    }
}

// Answers -------------------------------------------------------------------------------------------------

fn accepted(answer: Value) -> Result<Accepted> {
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
