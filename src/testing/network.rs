//! The simulated network between processes and the broker: messages take time, get lost, come late, or meet a cut.
//!
//! A message on its way belongs to the network and not to its sender: it arrives although its sender was stopped or
//! killed meanwhile, which is what makes an answer ambiguous.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use taskq_core::{
    Accepted, Author, CancelAnswer, CandidateId, Capabilities, Clock, Connection, Control, Counts, Cursor, Document,
    DocumentId, DocumentName, Documents, EntryId, EntryName, Envelope, Error, ErrorKind, EventPage, Events,
    FencingToken, Finding, Fired, Fleet, Incumbent, Inspect, Leader, LogLine, Logs, Mark, Member, MemberId, PageToken,
    Progress, Purge, PurgeAnswer, QueueName, QueueView, Renewal, Request, Result, Saved, Schedules, Shelf, Snapshot,
    Standing, StoredEntry, TaskId, TaskKey, TaskPage, TaskView, Tick, Timestamp, Version, Written,
    broker::{BeatAnswer, Broker, ClaimAnswer, Claimed, Settled, Settlement, SweepAnswer},
    connection::Opener,
    id::{BatchId, ClaimNumber, DeliveryToken, Owner},
};
use tokio::sync::oneshot;

use super::{
    dice::Dice,
    history::{Event, History, ProcessNumber, Trouble},
    recorder::Recorder,
};

/// After this long without an answer a process takes its connection for dead.
const SILENCE: Duration = Duration::from_millis(1_200);

/// A late message arrives up to this much later: after its sender has given it up, and perhaps lost its lease.
const LATEST: Duration = Duration::from_secs(8);

/// One way takes between these two, usually.
const QUICK: (Duration, Duration) = (Duration::from_micros(100), Duration::from_millis(2));

/// One way in fifty takes up to this long.
const SLOW: Duration = Duration::from_millis(300);

/// What all wires share.
#[derive(Debug)]
pub(super) struct Network {
    /// Of the network itself: what is on its way goes on whatever happens to processes.
    clock: Clock,
    dice: Mutex<Dice>,
    /// How many of a thousand messages meet each kind of mishap.
    mishaps: AtomicUsize,
    /// Who is cut off, and whether messages vanish silently instead of being refused.
    cut: Mutex<BTreeMap<ProcessNumber, bool>>,
    history: History,
}

/// What becomes of one call.
struct Passage {
    fate: Fate,
    there: Duration,
    back: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Answered,
    RequestLost,
    AnswerLost,
    Late,
}

impl Network {
    pub(super) fn new(clock: Clock, dice: Dice, history: History) -> Self {
        Self { clock, dice: Mutex::new(dice), mishaps: AtomicUsize::new(0), cut: Mutex::default(), history }
    }

    /// From now on so many of a thousand messages get lost on their way, as many answers, and as many come late.
    pub(super) fn set_mishaps(&self, in_thousand: usize) {
        self.mishaps.store(in_thousand, Ordering::SeqCst);
    }

    /// Cuts a process off: its messages are refused, or vanish.
    pub(super) fn cut(&self, process: ProcessNumber, silently: bool) {
        self.cut_off().insert(process, silently);
    }

    pub(super) fn mend(&self, process: ProcessNumber) {
        self.cut_off().remove(&process);
    }

    fn cut_off(&self) -> MutexGuard<'_, BTreeMap<ProcessNumber, bool>> {
        // Nothing panics while holding it.
        self.cut.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn passage(&self) -> Passage {
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        let mishaps = self.mishaps.load(Ordering::SeqCst);
        let fate = match dice.below(1_000) {
            thrown if thrown < mishaps => Fate::RequestLost,
            thrown if thrown < mishaps * 2 => Fate::AnswerLost,
            thrown if thrown < mishaps * 3 => Fate::Late,
            _ => Fate::Answered,
        };
        let mut way = || {
            let most = if mishaps > 0 && dice.in_thousand(20) { SLOW } else { QUICK.1 };
            dice.between(QUICK.0, most)
        };
        let (there, back) = (way(), way());
        let there = if fate == Fate::Late { dice.between(SILENCE, LATEST) } else { there };
        Passage { fate, there, back }
    }
}

/// One connection of a process to the broker.
#[derive(Debug)]
pub(super) struct Wire {
    network: Arc<Network>,
    recorder: Arc<Recorder>,
    clock: Clock,
    /// When the last request arrives: what is sent on one connection arrives in order.
    last_arrival: Mutex<Duration>,
}

impl Wire {
    /// A connection for the process whose clock this is.
    pub(super) fn connection(
        network: &Arc<Network>,
        recorder: &Arc<Recorder>,
        like: &Connection,
        clock: &Clock,
    ) -> Connection {
        let wire = Self {
            network: Arc::clone(network),
            recorder: Arc::clone(recorder),
            clock: clock.clone(),
            last_arrival: Mutex::default(),
        };
        let again = (Arc::clone(network), Arc::clone(recorder), like.clone(), clock.clone());
        let opener: Opener = Arc::new(move || {
            let (network, recorder, like, clock) = &again;
            let connection = Self::connection(network, recorder, like, clock);
            Box::pin(std::future::ready(Ok(connection)))
        });
        Connection::new(Arc::new(wire), "simulated://", clock.clone(), opener).with_bug(like.planted())
    }

    fn process(&self) -> ProcessNumber {
        self.recorder.process
    }

    /// Until when the request is under way, keeping the order of this connection.
    fn arrival(&self, passage: &Passage) -> Duration {
        let now = self.clock.monotonic();
        if passage.fate != Fate::Answered {
            // Its connection broke; whoever comes next has a new one.
            return now + passage.there;
        }
        let mut last = self.last_arrival.lock().unwrap_or_else(PoisonError::into_inner);
        *last = (*last).max(now + passage.there);
        *last
    }

    /// Sends a request, which the broker carries out whatever happens to its sender, and waits for the answer.
    async fn call<V, F>(&self, operation: &'static str, request: F) -> Result<V>
    where
        V: Send + 'static,
        F: FnOnce(Arc<Recorder>) -> BoxFuture<'static, Result<V>> + Send + 'static,
    {
        let passage = self.network.passage();
        if operation == "beat" && passage.fate != Fate::Answered {
            let event = Event::Troubled { what: Trouble::Message, lasting: passage.there };
            self.network.history.note(self.process(), event);
        }
        let way = self.arrival(&passage).saturating_sub(self.clock.monotonic());
        let (say, answer) = oneshot::channel();
        let (network, recorder) = (Arc::clone(&self.network), Arc::clone(&self.recorder));
        let message = async move {
            network.clock.sleep(way).await;
            if passage.fate == Fate::RequestLost || network.vanishes(recorder.process).await {
                return;
            }
            let value = request(Arc::clone(&recorder)).await;
            network.clock.sleep(passage.back).await;
            if passage.fate == Fate::AnswerLost || network.vanishes(recorder.process).await {
                return;
            }
            // Whoever asked may be gone.
            say.send(value).ok();
        };
        drop(self.network.clock.spawn("message", message));
        match self.clock.timeout(SILENCE, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(broken(operation, "the connection broke")),
            Err(_) => Err(broken(operation, "no answer")),
        }
    }

    /// A call that changes nothing and may take long: it ends with whoever asks.
    async fn watch<V>(&self, operation: &'static str, request: impl Future<Output = Result<V>> + Send) -> Result<V> {
        let passage = self.network.passage();
        self.clock.sleep(passage.there.min(SLOW)).await;
        if passage.fate == Fate::RequestLost || self.network.is_cut(self.process()) {
            return Err(broken(operation, "the connection broke"));
        }
        let value = request.await;
        self.clock.sleep(passage.back).await;
        if passage.fate == Fate::AnswerLost || self.network.is_cut(self.process()) {
            return Err(broken(operation, "the connection broke"));
        }
        value
    }
}

impl Network {
    fn is_cut(&self, process: ProcessNumber) -> bool {
        self.cut_off().contains_key(&process)
    }

    /// Whether a message meets a cut; if the cut is silent, after its sender has given it up.
    async fn vanishes(&self, process: ProcessNumber) -> bool {
        let cut = self.cut_off().get(&process).copied();
        if cut == Some(true) {
            self.clock.sleep(SILENCE).await;
        }
        cut.is_some()
    }
}

fn broken(operation: &'static str, text: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, operation, "the simulated broker").because(text)
}

#[async_trait]
impl Broker for Wire {
    fn capabilities(&self) -> Capabilities {
        self.recorder.capabilities()
    }

    async fn now(&self) -> Result<Timestamp> {
        self.call("ask the time of", |broker| Box::pin(async move { broker.now().await })).await
    }

    async fn enqueue(&self, queue: &QueueName, batch: BatchId, envelopes: &[Envelope]) -> Result<Vec<Accepted>> {
        let (name, owned) = (queue.clone(), envelopes.to_vec());
        let request = move |broker: Arc<Recorder>| -> BoxFuture<'static, _> {
            Box::pin(async move { broker.enqueue(&name, batch, &owned).await })
        };
        let accepted = self.call("enqueue to", request).await?;
        self.network.history.note(self.process(), Event::Told { batch });
        Ok(accepted)
    }

    async fn join(&self, owner: Owner, queue: &QueueName, lease: Duration) -> Result<()> {
        let name = queue.clone();
        self.call("join", move |broker| Box::pin(async move { broker.join(owner, &name, lease).await })).await
    }

    async fn beat(&self, beats: &[(Owner, QueueName)]) -> Result<Vec<BeatAnswer>> {
        let beats = beats.to_vec();
        self.call("beat", move |broker| Box::pin(async move { broker.beat(&beats).await })).await
    }

    async fn claim(&self, owner: Owner, queue: &QueueName, count: usize, number: ClaimNumber) -> Result<ClaimAnswer> {
        let name = queue.clone();
        let request = move |broker: Arc<Recorder>| -> BoxFuture<'static, _> {
            Box::pin(async move { broker.claim(owner, &name, count, number).await })
        };
        self.call("claim from", request).await
    }

    async fn held(&self, owner: Owner, queue: &QueueName, last: ClaimNumber) -> Result<Vec<Claimed>> {
        let name = queue.clone();
        let request = move |broker: Arc<Recorder>| -> BoxFuture<'static, _> {
            Box::pin(async move { broker.held(owner, &name, last).await })
        };
        self.call("list what is held in", request).await
    }

    async fn settle(&self, owner: Owner, queue: &QueueName, settlements: &[Settlement]) -> Result<Vec<Settled>> {
        let (name, owned) = (queue.clone(), settlements.to_vec());
        let request = move |broker: Arc<Recorder>| -> BoxFuture<'static, _> {
            Box::pin(async move { broker.settle(owner, &name, &owned).await })
        };
        self.call("settle in", request).await
    }

    async fn report(
        &self,
        owner: Owner,
        queue: &QueueName,
        key: &TaskKey,
        token: DeliveryToken,
        progress: &Progress,
    ) -> Result<Settled> {
        let (name, key, progress) = (queue.clone(), key.clone(), progress.clone());
        let request = move |broker: Arc<Recorder>| -> BoxFuture<'static, _> {
            Box::pin(async move { broker.report(owner, &name, &key, token, &progress).await })
        };
        self.call("report in", request).await
    }

    async fn leave(&self, owner: Owner, queue: &QueueName) -> Result<()> {
        let name = queue.clone();
        self.call("leave", move |broker| Box::pin(async move { broker.leave(owner, &name).await })).await
    }

    async fn sweep(&self, queue: &QueueName, limit: usize) -> Result<SweepAnswer> {
        let name = queue.clone();
        self.call("sweep", move |broker| Box::pin(async move { broker.sweep(&name, limit).await })).await
    }

    async fn cancel(&self, id: &TaskId) -> Result<CancelAnswer> {
        let wanted = id.clone();
        self.call("cancel", move |broker| Box::pin(async move { broker.cancel(&wanted).await })).await
    }

    async fn find(&self, id: &TaskId) -> Result<Option<Snapshot>> {
        let wanted = id.clone();
        self.call("look up", move |broker| Box::pin(async move { broker.find(&wanted).await })).await
    }

    async fn wait(&self, id: &TaskId, bound: Duration) -> Result<Option<Snapshot>> {
        self.watch("wait for", self.recorder.wait(id, bound)).await
    }

    async fn work_arrived(&self, worker: &[(Owner, QueueName)], bound: Duration) -> Result<Vec<Claimed>> {
        self.watch("wait for work in", self.recorder.work_arrived(worker, bound)).await
    }
}

#[async_trait]
impl Inspect for Wire {
    async fn queues(&self) -> Result<Vec<QueueName>> {
        self.watch("list queues of", self.recorder.queues()).await
    }

    async fn counts(&self, queue: &QueueName) -> Result<Counts> {
        self.watch("count tasks of", self.recorder.counts(queue)).await
    }

    async fn queue(&self, queue: &QueueName) -> Result<QueueView> {
        self.watch("look at", self.recorder.inspect.queue(queue)).await
    }

    async fn tasks(
        &self,
        queue: &QueueName,
        shelf: Shelf,
        after: Option<&PageToken>,
        count: usize,
    ) -> Result<TaskPage> {
        self.watch("list tasks of", self.recorder.inspect.tasks(queue, shelf, after, count)).await
    }

    async fn task(&self, id: &TaskId) -> Result<Option<TaskView>> {
        self.watch("look at", self.recorder.inspect.task(id)).await
    }

    async fn unique_holder(&self, queue: &QueueName, unique: &str) -> Result<Option<TaskKey>> {
        self.watch("look for a unique key in", self.recorder.inspect.unique_holder(queue, unique)).await
    }

    async fn examine(&self) -> Result<Vec<Finding>> {
        self.watch("examine", self.recorder.inspect.examine()).await
    }
}

#[async_trait]
impl Control for Wire {
    async fn replay(&self, id: &TaskId) -> Result<bool> {
        let wanted = id.clone();
        self.call("replay", move |broker| Box::pin(async move { broker.replay(&wanted).await })).await
    }

    async fn drop_dead(&self, id: &TaskId) -> Result<bool> {
        let wanted = id.clone();
        self.call("drop", move |broker| Box::pin(async move { broker.drop_dead(&wanted).await })).await
    }

    async fn run_now(&self, id: &TaskId) -> Result<bool> {
        let wanted = id.clone();
        self.call("run now", move |broker| Box::pin(async move { broker.run_now(&wanted).await })).await
    }

    async fn pause(&self, queue: &QueueName) -> Result<bool> {
        let name = queue.clone();
        self.call("pause", move |broker| Box::pin(async move { broker.pause(&name).await })).await
    }

    async fn resume(&self, queue: &QueueName) -> Result<bool> {
        let name = queue.clone();
        self.call("resume", move |broker| Box::pin(async move { broker.resume(&name).await })).await
    }

    async fn purge(&self, queue: &QueueName, what: Purge, limit: usize) -> Result<PurgeAnswer> {
        let name = queue.clone();
        self.call("purge", move |broker| Box::pin(async move { broker.purge(&name, what, limit).await })).await
    }
}

#[async_trait]
impl Leader for Wire {
    async fn stand(&self, candidate: CandidateId, term: Duration) -> Result<Standing> {
        self.call("stand", move |broker| Box::pin(async move { broker.leader.stand(candidate, term).await })).await
    }

    async fn renew(&self, candidate: CandidateId, token: FencingToken, term: Duration) -> Result<Renewal> {
        let request = move |broker: Arc<Recorder>| -> BoxFuture<'static, _> {
            Box::pin(async move { broker.leader.renew(candidate, token, term).await })
        };
        self.call("renew", request).await
    }

    async fn resign(&self, candidate: CandidateId, token: FencingToken) -> Result<()> {
        self.call("resign", move |broker| Box::pin(async move { broker.leader.resign(candidate, token).await })).await
    }

    async fn vacated(&self, bound: Duration) -> Result<()> {
        self.watch("wait for the leadership of", self.recorder.leader.vacated(bound)).await
    }

    async fn incumbent(&self) -> Result<Option<Incumbent>> {
        self.watch("find the leader of", self.recorder.leader.incumbent()).await
    }
}

/// Reports decide nothing, so no message of theirs is worth losing: they meet cuts alone.
#[async_trait]
impl Fleet for Wire {
    async fn check_in(&self, member: MemberId, report: &str, kept: Duration) -> Result<Option<Request>> {
        self.watch("check in at", self.recorder.fleet.check_in(member, report, kept)).await
    }

    async fn check_out(&self, member: MemberId) -> Result<()> {
        self.watch("check out at", self.recorder.fleet.check_out(member)).await
    }

    async fn members(&self, after: Option<MemberId>, count: usize) -> Result<Vec<Member>> {
        self.watch("list members of", self.recorder.fleet.members(after, count)).await
    }

    async fn ask(&self, member: MemberId, request: Request) -> Result<bool> {
        self.watch("ask a member of", self.recorder.fleet.ask(member, request)).await
    }
}

#[async_trait]
impl Schedules for Wire {
    async fn marks(&self) -> Result<Vec<(QueueName, Mark)>> {
        self.watch("list the entries of", self.recorder.schedules.marks()).await
    }

    async fn entries(&self, queue: &QueueName, after: Option<&EntryName>, count: usize) -> Result<Vec<StoredEntry>> {
        self.watch("list entries of", self.recorder.schedules.entries(queue, after, count)).await
    }

    async fn put(&self, author: Author, id: &EntryId, text: &str) -> Result<Written> {
        let (wanted, text) = (id.clone(), text.to_owned());
        let request = move |broker: Arc<Recorder>| -> BoxFuture<'static, _> {
            Box::pin(async move { broker.schedules.put(author, &wanted, &text).await })
        };
        self.call("put", request).await
    }

    async fn remove(&self, author: Author, id: &EntryId) -> Result<Written> {
        let wanted = id.clone();
        let request = move |broker: Arc<Recorder>| -> BoxFuture<'static, _> {
            Box::pin(async move { broker.schedules.remove(author, &wanted).await })
        };
        self.call("remove", request).await
    }

    async fn pause(&self, id: &EntryId) -> Result<bool> {
        let wanted = id.clone();
        self.call("pause", move |broker| Box::pin(async move { broker.schedules.pause(&wanted).await })).await
    }

    async fn resume(&self, id: &EntryId) -> Result<bool> {
        let wanted = id.clone();
        self.call("resume", move |broker| Box::pin(async move { broker.schedules.resume(&wanted).await })).await
    }

    async fn fire(&self, token: FencingToken, queue: &QueueName, ticks: &[Tick]) -> Result<Vec<Fired>> {
        let (name, owned) = (queue.clone(), ticks.to_vec());
        let request = move |broker: Arc<Recorder>| -> BoxFuture<'static, _> {
            Box::pin(async move { broker.schedules.fire(token, &name, &owned).await })
        };
        self.call("fire", request).await
    }
}

#[async_trait]
impl Documents for Wire {
    async fn read(&self, id: &DocumentId) -> Result<Option<Document>> {
        let wanted = id.clone();
        self.call("read", move |broker| Box::pin(async move { broker.documents.read(&wanted).await })).await
    }

    async fn save(&self, id: &DocumentId, expected: Option<Version>, text: &str) -> Result<Saved> {
        let (wanted, text) = (id.clone(), text.to_owned());
        let request = move |broker: Arc<Recorder>| -> BoxFuture<'static, _> {
            Box::pin(async move { broker.documents.save(&wanted, expected, &text).await })
        };
        self.call("save", request).await
    }

    async fn forget(&self, id: &DocumentId, expected: Version) -> Result<bool> {
        let wanted = id.clone();
        let request = move |broker: Arc<Recorder>| -> BoxFuture<'static, _> {
            Box::pin(async move { broker.documents.forget(&wanted, expected).await })
        };
        self.call("forget", request).await
    }

    async fn list(&self, queue: &QueueName, after: Option<&DocumentName>, count: usize) -> Result<Vec<Document>> {
        self.watch("list documents of", self.recorder.documents.list(queue, after, count)).await
    }
}

#[async_trait]
impl Logs for Wire {
    async fn append(&self, id: &TaskId, lines: &[LogLine]) -> Result<()> {
        let (wanted, lines) = (id.clone(), lines.to_vec());
        let request = move |broker: Arc<Recorder>| -> BoxFuture<'static, _> {
            Box::pin(async move { broker.logs.append(&wanted, &lines).await })
        };
        self.call("append log lines of", request).await
    }

    async fn lines(&self, id: &TaskId) -> Result<Vec<LogLine>> {
        self.watch("read log lines of", self.recorder.logs.lines(id)).await
    }
}

#[async_trait]
impl Events for Wire {
    async fn publish(&self, events: &[taskq_core::Event]) -> Result<()> {
        let events = events.to_vec();
        let request = move |broker: Arc<Recorder>| -> BoxFuture<'static, _> {
            Box::pin(async move { broker.events.publish(&events).await })
        };
        self.call("publish", request).await
    }

    async fn read(&self, after: Option<Cursor>, count: usize) -> Result<EventPage> {
        self.watch("read events of", self.recorder.events.read(after, count)).await
    }

    async fn last(&self) -> Result<Option<Cursor>> {
        self.watch("read events of", self.recorder.events.last()).await
    }
}
