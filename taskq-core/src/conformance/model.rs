//! Random histories: whatever is done in whatever order, a broker answers as the reference in memory does.
//!
//! `TASKQ_SEED` (a number) chooses other histories, `TASKQ_CASES` how many; a failure prints the seed and the smallest
//! history that still fails.

use std::{fmt, sync::Arc, time::Duration};

use proptest::{
    prelude::{Just, Strategy, any},
    prop_oneof,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use crate::{
    broker::{Accepted, CancelAnswer, Claimed, Ending, Settled, Settlement, Snapshot, memory},
    clock::{Clock, Simulation, Timestamp},
    conformance::{Stage, payload},
    connection::Connection,
    control::{ControlExt, Purge},
    envelope::Envelope,
    error::ErrorKind,
    id::{BatchId, ClaimNumber, Owner, QueueName, Siblings, TaskId, WorkerId},
    inspect::{Counts, QueueView, Shelf, TaskView},
    invocation::Unique,
    limits,
    state::{DeadReason, State},
};

const WORKERS: usize = 3;

/// One thing that a client, a worker or time does. Numbers choose among what there is.
#[derive(Clone, Debug)]
enum Step {
    Enqueue {
        kind: Kind,
        priority: u8,
    },
    EnqueueMany {
        count: u8,
        parted: bool,
    },
    RepeatLastBatch,
    Join(usize),
    Claim(usize),
    Settle {
        claim: usize,
        how: How,
    },
    /// This claim and those after it, as far as they are of the same worker.
    SucceedMany {
        claim: usize,
        count: u8,
    },
    Beat(usize),
    Leave(usize),
    Sweep,
    Advance(u8),
    Cancel(usize),
    Find(usize),
    Replay(usize),
    Drop(usize),
    Purge(Purge),
    RunNow(usize),
    Pause,
    Resume,
    Look,
    Show(usize),
}

#[derive(Clone, Debug)]
enum Kind {
    Plain,
    Untracked,
    Delayed(u8),
    Expiring(u8),
    Own(u8),
    UniqueEnd(u8),
    UniqueStart(u8),
    UniqueReplace(u8),
    UniqueFor(u8, u8),
}

#[derive(Clone, Copy, Debug)]
enum How {
    Succeed,
    Retry(u8),
    Die,
    Cancel,
    Release,
}

/// What a broker answered, in terms that do not depend on which broker it is.
#[derive(Debug, PartialEq)]
enum Answer {
    Nothing,
    Accepted(Vec<Accepted>),
    Claimed(Vec<(TaskId, u8, u32, u8)>),
    Fenced,
    Settled(Vec<Settled>),
    Beat { alive: bool, cancelled: Vec<String>, ready: bool },
    Cancel(CancelAnswer),
    Found(Option<Found>),
    Done(bool),
    Purged(u64),
    Seen(QueueView, Vec<(Shelf, Vec<Shown>)>),
    Shown(Option<Shown>),
}

/// Id, state, attempts, deliveries, and whether its arguments are there.
type Shown = (TaskId, State, u32, u8, bool);

type Found = (State, u32, Option<String>, Option<DeadReason>, Option<Owner>);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let kind = prop_oneof![
        4 => Just(Kind::Plain),
        2 => Just(Kind::Untracked),
        2 => (1..8u8).prop_map(Kind::Delayed),
        2 => (1..8u8).prop_map(Kind::Expiring),
        1 => (0..3u8).prop_map(Kind::Own),
        1 => (0..2u8).prop_map(Kind::UniqueEnd),
        1 => (0..2u8).prop_map(Kind::UniqueStart),
        1 => (0..2u8).prop_map(Kind::UniqueReplace),
        1 => (0..2u8, 1..6u8).prop_map(|(key, time)| Kind::UniqueFor(key, time)),
    ];
    let how = prop_oneof![
        4 => Just(How::Succeed),
        2 => (0..5u8).prop_map(How::Retry),
        1 => Just(How::Die),
        1 => Just(How::Cancel),
        1 => Just(How::Release),
    ];
    let index = || any::<u16>().prop_map(usize::from);
    let step = prop_oneof![
        6 => (kind, 0..=9u8).prop_map(|(kind, priority)| Step::Enqueue { kind, priority }),
        2 => (2..20u8, any::<bool>()).prop_map(|(count, parted)| Step::EnqueueMany { count, parted }),
        1 => Just(Step::RepeatLastBatch),
        2 => index().prop_map(Step::Join),
        5 => index().prop_map(Step::Claim),
        6 => (index(), how).prop_map(|(claim, how)| Step::Settle { claim, how }),
        3 => (index(), 1..20u8).prop_map(|(claim, count)| Step::SucceedMany { claim, count }),
        4 => index().prop_map(Step::Beat),
        1 => index().prop_map(Step::Leave),
        2 => Just(Step::Sweep),
        3 => (1..4u8).prop_map(Step::Advance),
        2 => index().prop_map(Step::Cancel),
        3 => index().prop_map(Step::Find),
        1 => index().prop_map(Step::Replay),
        1 => index().prop_map(Step::Drop),
        1 => prop_oneof![Just(Purge::Waiting), Just(Purge::DeadLetters)].prop_map(Step::Purge),
        1 => index().prop_map(Step::RunNow),
        1 => Just(Step::Pause),
        2 => Just(Step::Resume),
        2 => Just(Step::Look),
        2 => index().prop_map(Step::Show),
    ];
    proptest::collection::vec(step, 1..60)
}

/// Runs random histories side by side on the broker and on the reference.
pub async fn a_random_history_agrees_with_the_reference(stage: Stage) {
    let number =
        |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (seed, cases) = (number("TASKQ_SEED", 1), number("TASKQ_CASES", 60));
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    for case in 0..cases {
        let mut tree = steps().new_tree(&mut runner).expect("strategies without filters always give a value");
        if let Err(first) = run(&stage, tree.current()).await {
            let (smallest, difference) = shrink(&stage, &mut tree, first).await;
            panic!("TASKQ_SEED={seed}, case {case}: {difference}\nafter {smallest:#?}");
        }
    }
}

async fn shrink(stage: &Stage, tree: &mut impl ValueTree<Value = Vec<Step>>, first: String) -> (Vec<Step>, String) {
    let (mut smallest, mut difference) = (tree.current(), first);
    let mut tries = 0;
    while tries < 300 && tree.simplify() {
        loop {
            tries += 1;
            match run(stage, tree.current()).await {
                Err(still) => {
                    (smallest, difference) = (tree.current(), still);
                    break;
                }
                Ok(()) if tries < 300 && tree.complicate() => {}
                Ok(()) => return (smallest, difference),
            }
        }
    }
    (smallest, difference)
}

/// Plays one history on both; an error says at which step they differ.
async fn run(stage: &Stage, steps: Vec<Step>) -> Result<(), String> {
    let now = stage.now().await;
    let (clock, simulation) = Clock::simulated(now);
    let queue = QueueName::new(format!("model-{}", WorkerId::generate())).expect("a valid name");
    let mut tested = Player::new(stage.connection.clone(), Time::Stage(Box::new(stage.clone())));
    let mut reference = Player::new(memory::connect(clock), Time::Simulated(simulation));
    let mut script = Script::new(queue);
    for (number, step) in steps.iter().enumerate() {
        let action = script.action(step);
        let (got, expected) = (tested.play(&action).await, reference.play(&action).await);
        if got != expected {
            return Err(format!("step {number}, {step:?}:\n  broker    {got:?}\n  reference {expected:?}"));
        }
    }
    let inspect = |connection: &Connection| connection.inspect().clone();
    let counts = [inspect(&tested.connection), inspect(&reference.connection)];
    let got: Counts = counts[0].counts(&script.queue).await.map_err(|error| error.to_string())?;
    let expected = counts[1].counts(&script.queue).await.map_err(|error| error.to_string())?;
    match got == expected {
        true => Ok(()),
        false => Err(format!("counts at the end:\n  broker    {got:?}\n  reference {expected:?}")),
    }
}

/// Turns steps into actions: the same ids, owners and batches for both players.
struct Script {
    queue: QueueName,
    workers: Vec<Owner>,
    joined: [bool; WORKERS],
    ids: Vec<TaskId>,
    last_batch: Option<(BatchId, Vec<Envelope>)>,
    enqueued: u32,
    /// Every key is a sibling of others, so that brokers that keep siblings together show what they forget.
    siblings: [Siblings; 2],
}

#[derive(Clone, Debug)]
enum Action {
    Nothing,
    Enqueue(QueueName, BatchId, Vec<Envelope>),
    Join(QueueName, Owner),
    Claim(QueueName, Owner),
    Settle(QueueName, usize, How),
    SucceedMany(QueueName, usize, u8),
    Beat(QueueName, Owner),
    Leave(QueueName, Owner),
    Sweep(QueueName),
    Advance(Duration),
    Cancel(TaskId),
    Find(TaskId),
    Replay(TaskId),
    Drop(TaskId),
    Purge(QueueName, Purge),
    RunNow(TaskId),
    Pause(QueueName),
    Resume(QueueName),
    Look(QueueName),
    Show(TaskId),
}

impl Script {
    fn new(queue: QueueName) -> Self {
        let workers = (0..WORKERS).map(|_| Owner { worker: WorkerId::generate(), term: 0 }).collect();
        let siblings = [Siblings::new(false), Siblings::new(true)];
        Self { queue, workers, joined: [false; WORKERS], ids: Vec::new(), last_batch: None, enqueued: 0, siblings }
    }

    fn action(&mut self, step: &Step) -> Action {
        let queue = self.queue.clone();
        match step {
            Step::Enqueue { kind, priority } => {
                let envelope = self.envelope(kind, *priority);
                self.ids.push(envelope.id.clone());
                let batch = (BatchId::generate(), vec![envelope]);
                self.last_batch = Some(batch.clone());
                Action::Enqueue(queue, batch.0, batch.1)
            }
            Step::EnqueueMany { count, parted } => {
                if *parted {
                    self.siblings.iter_mut().for_each(Siblings::part);
                }
                let envelopes: Vec<_> = (0..*count).map(|number| self.one_of_many(number)).collect();
                self.ids.extend(envelopes.iter().map(|envelope| envelope.id.clone()));
                let batch = (BatchId::generate(), envelopes);
                self.last_batch = Some(batch.clone());
                Action::Enqueue(queue, batch.0, batch.1)
            }
            Step::RepeatLastBatch => match self.last_batch.clone() {
                Some((batch, envelopes)) => Action::Enqueue(queue, batch, envelopes),
                None => Action::Nothing,
            },
            Step::Join(worker) => {
                let index = worker % WORKERS;
                self.workers[index].term += u32::from(self.joined[index]);
                self.joined[index] = true;
                Action::Join(queue, self.workers[index])
            }
            Step::Claim(worker) => Action::Claim(queue, self.workers[worker % WORKERS]),
            Step::Settle { claim, how } => Action::Settle(queue, *claim, *how),
            Step::SucceedMany { claim, count } => Action::SucceedMany(queue, *claim, *count),
            Step::Beat(worker) => Action::Beat(queue, self.workers[worker % WORKERS]),
            Step::Leave(worker) => Action::Leave(queue, self.workers[worker % WORKERS]),
            Step::Sweep => Action::Sweep(queue),
            Step::Advance(seconds) => Action::Advance(Duration::from_secs(u64::from(*seconds))),
            Step::Cancel(index) => match self.about(*index, Action::Cancel) {
                // Whether an untracked task waits is what a broker need not know; `cancel.rs` has what it must do.
                Action::Cancel(id) if id.key.is_untracked() => Action::Nothing,
                action => action,
            },
            Step::Find(index) => self.about(*index, Action::Find),
            Step::Replay(index) => self.about(*index, Action::Replay),
            Step::Drop(index) => self.about(*index, Action::Drop),
            Step::Purge(what) => Action::Purge(queue, *what),
            Step::RunNow(index) => self.about(*index, Action::RunNow),
            Step::Pause => Action::Pause(queue),
            Step::Resume => Action::Resume(queue),
            Step::Look => Action::Look(queue),
            Step::Show(index) => self.about(*index, Action::Show),
        }
    }

    fn about(&self, index: usize, action: fn(TaskId) -> Action) -> Action {
        match self.ids.len() {
            0 => Action::Nothing,
            len => action(self.ids[index % len].clone()),
        }
    }

    /// Mostly alike, but for some that are untracked, keep their results for another time, or go first.
    fn one_of_many(&mut self, number: u8) -> Envelope {
        let kind = if number % 7 == 3 { Kind::Untracked } else { Kind::Plain };
        let mut envelope = self.envelope(&kind, if number % 5 == 4 { 9 } else { 5 });
        if number % 6 == 5 {
            envelope.result_ttl = Duration::from_secs(3_600);
        }
        envelope
    }

    fn envelope(&mut self, kind: &Kind, priority: u8) -> Envelope {
        self.enqueued += 1;
        // Half a second more keeps every due time and expiry away from the whole seconds at which time stands.
        let about = |seconds: &u8| Duration::from_millis(u64::from(*seconds) * 1_000 - 500);
        let invocation = crate::invocation::Invocation::named("noop", &serde_json::json!({ "number": self.enqueued }))
            .queue(self.queue.as_str())
            .priority(priority)
            .max_deliveries(2);
        let key = |key: &u8| Unique::key(format!("k{key}"));
        let invocation = match kind {
            Kind::Plain | Kind::Untracked => invocation,
            Kind::Delayed(seconds) => invocation.delay(about(seconds)),
            Kind::Expiring(seconds) => invocation.expires_in(about(seconds)),
            Kind::Own(id) => invocation.id(format!("own{id}")),
            Kind::UniqueEnd(id) => invocation.unique(key(id)),
            Kind::UniqueStart(id) => invocation.unique(key(id).until_start()),
            Kind::UniqueReplace(id) => invocation.unique(key(id).replace()),
            Kind::UniqueFor(id, seconds) => invocation.unique(key(id).for_duration(about(seconds))),
        };
        let [untracked, tracked] = &mut self.siblings;
        let mut envelope = invocation.into_envelope_as(|_| tracked.next_key()).expect("a valid invocation");
        if matches!(kind, Kind::Untracked) {
            envelope.id.key = untracked.next_key();
            envelope.stores_result = false;
        }
        envelope
    }
}

enum Time {
    Stage(Box<Stage>),
    Simulated(Simulation),
}

/// Plays actions on one broker and remembers its claims under numbers that both players share.
struct Player {
    connection: Connection,
    time: Time,
    claims: Vec<(Owner, Claimed)>,
}

impl Player {
    fn new(connection: Connection, time: Time) -> Self {
        Self { connection, time, claims: Vec::new() }
    }

    async fn play(&mut self, action: &Action) -> Answer {
        let broker = self.connection.broker().clone();
        let control = self.connection.control().clone();
        match action {
            Action::Nothing => Answer::Nothing,
            Action::Enqueue(queue, batch, envelopes) => {
                Answer::Accepted(expect(broker.enqueue(queue, *batch, envelopes).await))
            }
            Action::Join(queue, owner) => {
                expect(broker.join(*owner, queue, limits::LEASE).await);
                Answer::Nothing
            }
            Action::Claim(queue, owner) => self.claim(queue, *owner).await,
            Action::Settle(queue, claim, how) => self.settle(queue, *claim, *how).await,
            Action::SucceedMany(queue, claim, count) => self.succeed_many(queue, *claim, *count).await,
            Action::Beat(queue, owner) => {
                let answer = expect(broker.beat(&[(*owner, queue.clone())]).await).remove(0);
                let mut cancelled: Vec<_> = answer.cancelled.iter().map(ToString::to_string).collect();
                cancelled.sort();
                Answer::Beat { alive: answer.alive, cancelled, ready: answer.ready }
            }
            Action::Leave(queue, owner) => {
                expect(broker.leave(*owner, queue).await);
                Answer::Nothing
            }
            Action::Sweep(queue) => {
                while expect(broker.sweep(queue, limits::SWEEP_BATCH).await).more {}
                Answer::Nothing
            }
            Action::Advance(duration) => {
                match &self.time {
                    Time::Stage(stage) => stage.advance(*duration).await,
                    Time::Simulated(simulation) => simulation.advance(*duration).await,
                }
                Answer::Nothing
            }
            Action::Cancel(id) => Answer::Cancel(expect(broker.cancel(id).await)),
            Action::Find(id) => Answer::Found(expect(broker.find(id).await).map(found)),
            Action::Replay(id) => Answer::Done(expect(control.replay(id).await)),
            Action::Drop(id) => Answer::Done(expect(control.drop_dead(id).await)),
            Action::Purge(queue, what) => Answer::Purged(expect(control.purge_all(queue, *what, |_| {}).await)),
            Action::RunNow(id) => Answer::Done(expect(control.run_now(id).await)),
            Action::Pause(queue) => Answer::Done(expect(control.pause(queue).await)),
            Action::Resume(queue) => Answer::Done(expect(control.resume(queue).await)),
            Action::Look(queue) => self.look(queue).await,
            Action::Show(id) => Answer::Shown(expect(self.connection.inspect().task(id).await).map(shown)),
        }
    }

    /// Everything that can be listed; compared as sets, since a dead worker's tasks come back in any order. Times are left
    /// out, for the two clocks do not stand at the same milliseconds.
    async fn look(&self, queue: &QueueName) -> Answer {
        let inspect = self.connection.inspect();
        let view = expect(inspect.queue(queue).await);
        let without_times = QueueView { paused_at: None, oldest_ready: None, next_due: None, ..view };
        let mut shelves = Vec::new();
        for shelf in Shelf::ALL {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = expect(inspect.tasks(queue, shelf, after.as_ref(), 7).await);
                seen.extend(page.tasks.into_iter().map(shown));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            seen.sort();
            shelves.push((shelf, seen));
        }
        Answer::Seen(without_times, shelves)
    }

    /// Takes everything that is ready; compared as a set, since a dead worker's tasks come back in any order.
    async fn claim(&mut self, queue: &QueueName, owner: Owner) -> Answer {
        let mut claimed = match self.connection.broker().claim(owner, queue, limits::CLAIM_BATCH, ClaimNumber(1)).await
        {
            Ok(answer) => answer.claimed,
            Err(error) if error.kind() == ErrorKind::Fenced => return Answer::Fenced,
            Err(error) => panic!("claim: {error}"),
        };
        let priorities: Vec<_> = claimed.iter().map(|claimed| claimed.envelope.priority).collect();
        assert!(priorities.is_sorted_by(|first, second| first >= second), "strict priorities: {priorities:?}");
        claimed.sort_by(|first, second| first.envelope.id.cmp(&second.envelope.id));
        let seen = |claimed: &Claimed| {
            let Envelope { id, attempts, priority, .. } = &*claimed.envelope;
            (id.clone(), claimed.deliveries, *attempts, *priority)
        };
        let answer = Answer::Claimed(claimed.iter().map(seen).collect());
        self.claims.extend(claimed.into_iter().map(|claimed| (owner, claimed)));
        answer
    }

    /// Settles a claim of the past, which may be long over.
    async fn settle(&mut self, queue: &QueueName, claim: usize, how: How) -> Answer {
        let Some((owner, claimed)) = self.claims.get(claim % self.claims.len().max(1)) else {
            return Answer::Nothing;
        };
        let mut envelope = claimed.envelope.clone();
        let ending = match how {
            How::Succeed => Ending::Succeeded(payload(claim as u32 % 1_000)),
            How::Retry(seconds) => {
                Arc::make_mut(&mut envelope)
                    .record_failure(Timestamp::from_millis(1), &crate::task_error::TaskError::from("failed"));
                Ending::Retry(Duration::from_millis(u64::from(seconds) * 1_000 + 500))
            }
            How::Die => Ending::Dead(DeadReason::Fatal),
            How::Cancel => Ending::Cancelled,
            How::Release => Ending::Released,
        };
        let settlement = Settlement { token: claimed.token, envelope, ending };
        Answer::Settled(expect(self.connection.broker().settle(*owner, queue, &[settlement]).await))
    }

    /// Settles several claims of the past in one call.
    async fn succeed_many(&mut self, queue: &QueueName, claim: usize, count: u8) -> Answer {
        let first = claim % self.claims.len().max(1);
        let Some((owner, _)) = self.claims.get(first) else { return Answer::Nothing };
        let of_the_same = self.claims[first..].iter().enumerate().filter(|(_, (other, _))| other == owner);
        let settlements: Vec<_> = of_the_same
            .take(usize::from(count))
            .map(|(number, (_, claimed))| Settlement {
                token: claimed.token,
                envelope: claimed.envelope.clone(),
                ending: Ending::Succeeded(payload(((claim + number) % 1_000) as u32)),
            })
            .collect();
        Answer::Settled(expect(self.connection.broker().settle(*owner, queue, &settlements).await))
    }
}

fn shown(view: TaskView) -> Shown {
    let TaskView { id, snapshot, envelope, deliveries, .. } = view;
    (id, snapshot.state, snapshot.attempts, deliveries, envelope.is_some())
}

fn found(snapshot: Snapshot) -> Found {
    let result = snapshot.result.map(|result| result.as_str().to_owned());
    (snapshot.state, snapshot.attempts, result, snapshot.reason, snapshot.owner)
}

fn expect<V>(result: Result<V, impl fmt::Display>) -> V {
    match result {
        Ok(value) => value,
        Err(error) => panic!("a step failed: {error}"),
    }
}
