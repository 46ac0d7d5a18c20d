//! Several worker processes, clients and a broker on one thread, in simulated time, with faults that only a seed decides.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use taskq_core::{
    Attempt, Client, Clock, Connection, Envelope, Invocation, Next, QueueName, TaskId, Timestamp,
    broker::memory,
    bug::Planted,
    clock::{Process, Simulation},
    invocation::Start,
};
use taskq_worker::{Stopper, Worker, WorkerBuilder};

use super::{
    checker::{Checked, Checker},
    dice::Dice,
    faults::{self, Faults},
    history::{Event, Happened, History, Names, ProcessNumber, Trouble},
    network::{Network, Wire},
    promise::{Promise, Violation},
    recorder::Recorder,
};

/// When simulated time begins: a day in 2027.
const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A client's deadline: longer than any fault lasts.
const CLIENT_DEADLINE: Duration = Duration::from_secs(60);

/// After the last fault everything that is due has this long to end.
const PATIENCE: Duration = Duration::from_secs(900);

/// How long it may take until somebody works on a task that finds idle workers.
const AT_ONCE: Duration = Duration::from_secs(1);

/// How long one of two probes is delayed: not a multiple of what anybody waits for by itself.
const DELAY: Duration = Duration::from_millis(700);

/// A process that could not start is started again after this long.
const RESTART: Duration = Duration::from_millis(300);

/// The name of the task with which it is seen whether workers listen. No worker knows it, so no code of yours runs.
const PROBE: &str = "taskq.probe";

/// So many lines of a history, and of broken promises, are shown.
const SHOWN: usize = 60;

/// Who looks at the broker directly, without a network in between.
const OBSERVER: ProcessNumber = ProcessNumber(0);

/// A simulation to be run; see [`Cluster::seeded`].
pub struct ClusterBuilder {
    seed: u64,
    workers: usize,
    build: Arc<Build>,
    faults: Faults,
    planted: Planted,
}

type Build = dyn Fn(WorkerBuilder) -> WorkerBuilder + Send + Sync;

impl ClusterBuilder {
    /// So many worker processes, each made by `build`, which is called again for each that is replaced. The default is
    /// three, serving the queues that the linked tasks declare.
    #[must_use]
    pub fn workers(
        mut self,
        count: usize,
        build: impl Fn(WorkerBuilder) -> WorkerBuilder + Send + Sync + 'static,
    ) -> Self {
        (self.workers, self.build) = (count, Arc::new(build));
        self
    }

    /// Which faults are made; the default is all of them.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Plants a bug in broker, clients and workers.
    #[doc(hidden)]
    #[must_use]
    pub fn bug(mut self, planted: Planted) -> Self {
        self.planted = planted;
        self
    }

    /// Runs `scenario` while faults are made; then heals everything, lets what was enqueued end, and checks what happened.
    ///
    /// It needs no runtime and must not be called within one.
    ///
    /// # Panics
    /// If a worker cannot be built, or the scenario panics.
    pub fn run(self, scenario: impl AsyncFnOnce(&Cluster)) -> Report {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime without sockets and timers can always be made");
        runtime.block_on(self.run_in_runtime(scenario))
    }

    async fn run_in_runtime(self, scenario: impl AsyncFnOnce(&Cluster)) -> Report {
        let simulation = Simulation::seeded(START, self.seed);
        let world = World::new(&simulation, &self);
        let dice = Dice::new(self.seed ^ 1);
        simulation
            .run(async {
                (0..self.workers).for_each(|_| world.start_worker());
                let faults = world.clock.spawn("faults", faults::make(Arc::clone(&world), self.faults, dice));
                let cluster = Cluster(Arc::clone(&world));
                scenario(&cluster).await;
                world.heal();
                faults.await.expect("making faults does not panic");
                world.until_idle().await;
                world.probe().await;
                world.look_everything_up().await;
            })
            .await;
        world.report(self.seed)
    }
}

impl fmt::Debug for ClusterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterBuilder").field("seed", &self.seed).field("faults", &self.faults).finish_non_exhaustive()
    }
}

/// Several worker processes, clients and a broker on one thread, in simulated time.
///
/// The workers are the shipped ones. What is simulated is the time, the processes (which are killed, stopped, cut off,
/// replaced), and the network between them and the broker. All that happens is checked against what taskq promises, and
/// the same seed makes the same happen again, as long as bodies are async functions that wait by [`Context::sleep`]: a
/// plain function runs on a real thread.
///
/// ```rust,standalone_crate
/// use std::time::Duration;
/// use taskq::{prelude::*, testing::Cluster};
///
/// #[task]
/// async fn deliver(ctx: &Context, parcel: u32) -> u32 {
///     ctx.sleep(Duration::from_millis(700)).await;
///     parcel
/// }
///
/// for seed in 0..20 {
///     let report = Cluster::seeded(seed).run(async |cluster| {
///         let client = cluster.client();
///         for parcel in 0..20 {
///             client.enqueue(deliver::with(parcel)).await.expect("the deadline is longer than any fault");
///             cluster.sleep(Duration::from_millis(300)).await;
///         }
///     });
///     report.assert_sound();
///     assert!(report.checked().executions >= 20);
/// }
/// ```
///
/// [`Context::sleep`]: crate::Context::sleep
#[derive(Clone)]
pub struct Cluster(Arc<World>);

impl Cluster {
    /// A simulation in which this seed decides everything.
    pub fn seeded(seed: u64) -> ClusterBuilder {
        ClusterBuilder {
            seed,
            workers: 3,
            build: Arc::new(|worker| worker),
            faults: Faults::default(),
            planted: Planted::default(),
        }
    }

    /// A client in a process of its own, over the simulated network. Its deadline is longer than any fault lasts.
    pub fn client(&self) -> Client {
        self.connection().client().with_deadline(CLIENT_DEADLINE)
    }

    /// The connection of a process of its own, for inspecting and controlling.
    pub fn connection(&self) -> Connection {
        let (number, process) = self.0.new_process();
        self.0.connection_of(number, &process)
    }

    /// Lets simulated time pass.
    pub async fn sleep(&self, duration: Duration) {
        self.0.sleep(duration).await;
    }

    /// The simulated time.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// Ends all faults for good: stopped processes go on, cuts are mended, ended workers are replaced.
    pub fn heal(&self) {
        self.0.heal();
    }

    /// Waits until nothing is left that is due, at most a quarter of an hour.
    pub async fn until_idle(&self) {
        self.0.until_idle().await;
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cluster")
    }
}

/// What a simulation consists of.
pub(super) struct World {
    simulation: Simulation,
    /// Of no process that anything happens to.
    pub(super) clock: Clock,
    broker: Connection,
    pub(super) network: Arc<Network>,
    history: History,
    build: Arc<Build>,
    workers: Mutex<Vec<WorkerProcess>>,
    processes: AtomicUsize,
    faults: AtomicU64,
    healed: AtomicBool,
    failure: Arc<Mutex<Option<String>>>,
}

/// One worker process.
#[derive(Clone)]
pub(super) struct WorkerProcess {
    pub(super) number: ProcessNumber,
    pub(super) process: Process,
    /// When its worker has started.
    stopper: Arc<Mutex<Option<Stopper>>>,
    ended: Arc<AtomicBool>,
}

impl WorkerProcess {
    /// Asks it to end.
    pub(super) fn drain(&self) {
        let stopper = self.stopper.lock().unwrap_or_else(PoisonError::into_inner);
        match &*stopper {
            Some(stopper) => stopper.drain(),
            // A program that has not come as far as listening for the signal is ended by it.
            None => self.process.kill(),
        }
    }

    fn has_ended(&self) -> bool {
        self.process.is_ended() || self.ended.load(Ordering::SeqCst)
    }
}

impl World {
    fn new(simulation: &Simulation, builder: &ClusterBuilder) -> Arc<Self> {
        let clock = simulation.process().clock();
        let history = History::new(clock.clone());
        let network = Network::new(clock.clone(), Dice::new(builder.seed), history.clone());
        Arc::new(Self {
            simulation: simulation.clone(),
            broker: memory::connect_with_bug(clock.clone(), builder.planted),
            clock,
            network: Arc::new(network),
            history,
            build: Arc::clone(&builder.build),
            workers: Mutex::default(),
            processes: AtomicUsize::new(OBSERVER.0 + 1),
            faults: AtomicU64::new(0),
            healed: AtomicBool::new(false),
            failure: Arc::default(),
        })
    }

    pub(super) async fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration).await;
    }

    pub(super) fn is_healed(&self) -> bool {
        self.healed.load(Ordering::SeqCst)
    }

    pub(super) fn count_fault(&self) {
        self.faults.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn trouble(&self, number: ProcessNumber, what: Trouble, lasting: Duration) {
        self.history.note(number, Event::Troubled { what, lasting });
    }

    /// Does something a while later, unless everything has been healed by then.
    pub(super) fn later(
        self: &Arc<Self>,
        name: &'static str,
        after: Duration,
        act: impl FnOnce(&Arc<Self>) + Send + 'static,
    ) {
        let world = Arc::clone(self);
        drop(self.clock.spawn(name, async move {
            world.sleep(after).await;
            if !world.is_healed() {
                act(&world);
            }
        }));
    }

    fn workers(&self) -> MutexGuard<'_, Vec<WorkerProcess>> {
        // Nothing panics while holding it.
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker process that runs, if one does.
    pub(super) fn some_worker(&self, dice: &mut Dice) -> Option<WorkerProcess> {
        let workers = self.workers();
        let running: Vec<_> =
            workers.iter().filter(|worker| worker.process.is_running() && !worker.has_ended()).collect();
        if running.is_empty() {
            return None;
        }
        Some(running[dice.below(running.len())].clone())
    }

    fn new_process(&self) -> (ProcessNumber, Process) {
        (ProcessNumber(self.processes.fetch_add(1, Ordering::SeqCst)), self.simulation.process())
    }

    fn recorder(&self, process: ProcessNumber) -> Recorder {
        Recorder {
            process,
            history: self.history.clone(),
            broker: Arc::clone(self.broker.broker()),
            leader: Arc::clone(self.broker.leader()),
            schedules: Arc::clone(self.broker.schedules()),
            documents: Arc::clone(self.broker.documents()),
            fleet: Arc::clone(self.broker.fleet()),
            logs: Arc::clone(self.broker.logs()),
            events: Arc::clone(self.broker.events()),
            inspect: Arc::clone(self.broker.inspect()),
            control: Arc::clone(self.broker.control()),
        }
    }

    fn connection_of(&self, number: ProcessNumber, process: &Process) -> Connection {
        Wire::connection(&self.network, &Arc::new(self.recorder(number)), &self.broker, &process.clock())
    }

    fn start_worker(self: &Arc<Self>) {
        let (number, process) = self.new_process();
        let worker =
            WorkerProcess { number, process, stopper: Arc::default(), ended: Arc::new(AtomicBool::new(false)) };
        self.workers().push(worker.clone());
        let connection = self.connection_of(number, &worker.process);
        let (build, history, failure) = (Arc::clone(&self.build), self.history.clone(), Arc::clone(&self.failure));
        let clock = worker.process.clock();
        // Its end is seen in `ended`, and its start in `stopper`.
        drop(clock.clone().spawn("main", async move {
            loop {
                let noted = history.clone();
                let note_start = move |attempt: Attempt, next: Next| {
                    let (id, token) = (attempt.context().id().clone(), attempt.context().token());
                    noted.note(number, Event::Started { id, token });
                    next.run(attempt)
                };
                let builder = build(Worker::builder(connection.clone()).layer(note_start)).or_declared_queues();
                match builder.start().await {
                    Ok(handle) => {
                        *worker.stopper.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle.stopper());
                        handle.ended().await;
                        break;
                    }
                    Err(error) if error.is_transient() => clock.sleep(RESTART).await,
                    Err(error) => {
                        failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error.to_string());
                        break;
                    }
                }
            }
            worker.ended.store(true, Ordering::SeqCst);
        }));
    }

    /// Starts a worker for each that has ended.
    pub(super) fn replace_ended(self: &Arc<Self>) {
        let ended = {
            let mut workers = self.workers();
            let before = workers.len();
            workers.retain(|worker| !worker.has_ended());
            before - workers.len()
        };
        (0..ended).for_each(|_| self.start_worker());
    }

    fn heal(self: &Arc<Self>) {
        self.healed.store(true, Ordering::SeqCst);
        self.network.set_mishaps(0);
        for worker in self.workers().iter() {
            worker.process.resume();
            self.network.mend(worker.number);
        }
        self.replace_ended();
    }

    async fn until_idle(self: &Arc<Self>) {
        let end = self.clock.monotonic() + PATIENCE;
        while self.clock.monotonic() < end && !self.is_idle().await {
            // Who was asked to end before the healing ends now.
            self.replace_ended();
            self.sleep(Duration::from_millis(500)).await;
        }
    }

    /// Whether nothing runs, and nothing will be due soon.
    async fn is_idle(&self) -> bool {
        for queue in self.queues() {
            let counts = self.broker.inspect().counts(&queue).await.expect("memory always answers");
            if counts.ready + counts.running + counts.scheduled + counts.retrying > 0 {
                return false;
            }
        }
        true
    }

    /// Every queue in which something was accepted.
    fn queues(&self) -> BTreeSet<QueueName> {
        self.ids().into_iter().map(|id| id.queue).collect()
    }

    fn ids(&self) -> BTreeSet<TaskId> {
        let happened = self.history.all();
        let accepted = happened.iter().filter_map(|happened| match &happened.event {
            Event::Enqueued { tasks, .. } => Some(tasks),
            _ => None,
        });
        accepted.flatten().map(|(envelope, _)| envelope.id.clone()).collect()
    }

    /// Enqueues tasks that no worker knows in each queue: idle workers have to notice them at once, or when they are due.
    async fn probe(self: &Arc<Self>) {
        // What is still on its way between workers and broker arrives.
        self.sleep(Duration::from_secs(30)).await;
        let client = Cluster(Arc::clone(self)).client();
        for queue in self.queues() {
            for delay in [Duration::ZERO, DELAY] {
                let probe = Invocation::named(PROBE, &BTreeMap::<String, ()>::new()).queue(queue.as_str());
                let probe = client.enqueue(probe.delay(delay)).await.expect("the network is healed");
                self.sleep(delay + AT_ONCE * 2).await;
                client.cancel(probe.id()).await.expect("the network is healed");
            }
        }
        self.until_idle().await;
    }

    async fn look_everything_up(&self) {
        use taskq_core::broker::Broker;
        let observer = self.recorder(OBSERVER);
        for id in self.ids() {
            observer.find(&id).await.expect("memory always answers");
        }
    }

    fn report(&self, seed: u64) -> Report {
        if let Some(failure) = &*self.failure.lock().unwrap_or_else(PoisonError::into_inner) {
            panic!("the simulation's workers cannot be started: {failure}");
        }
        let history = std::mem::take(&mut *self.history.all());
        let mut checker = Checker::default();
        history.iter().for_each(|happened| checker.read(happened));
        let late = late_probes(&checker, &history);
        let (checked, mut violations) = checker.finish(self.clock.monotonic(), self.clock.now());
        violations.extend(late);
        Report {
            seed,
            checked,
            faults: self.faults.load(Ordering::SeqCst),
            simulated: self.clock.monotonic(),
            violations,
            history,
        }
    }
}

/// Probes that idle workers did not take at once.
fn late_probes(checker: &Checker, history: &[Happened]) -> Vec<Violation> {
    let probes = history.iter().filter_map(|happened| match &happened.event {
        Event::Enqueued { tasks, .. } => {
            let probe = tasks.iter().find(|(envelope, _)| envelope.task.as_str() == PROBE);
            probe.map(|(envelope, _)| (happened.at, envelope))
        }
        _ => None,
    });
    let late = probes.filter_map(|(at, Envelope { id, start, .. })| {
        let waited = checker.time_to_first_claim(id);
        let bound =
            if matches!(start, Start::After(delay) if !delay.is_zero()) { DELAY } else { Duration::ZERO } + AT_ONCE;
        let text = || format!("{id}, to begin {start:?}, waited for {waited:?} while workers were idle");
        let is_late = waited.is_none_or(|waited| waited > bound);
        is_late.then(|| Violation { at, promise: Promise::StartsAtOnce, text: text() })
    });
    late.collect()
}

/// What a simulation found.
pub struct Report {
    seed: u64,
    checked: Checked,
    faults: u64,
    simulated: Duration,
    violations: Vec<Violation>,
    history: Vec<Happened>,
}

impl Report {
    /// The seed that makes the same happen again.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// What was counted on the way.
    pub fn checked(&self) -> Checked {
        self.checked
    }

    /// Faults that were made, not counting messages.
    pub fn faults(&self) -> u64 {
        self.faults
    }

    /// How much simulated time passed.
    pub fn simulated(&self) -> Duration {
        self.simulated
    }

    /// Broken promises, in the order of their discovery.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Everything that happened, a line each.
    pub fn history(&self) -> Vec<String> {
        let mut names = Names::default();
        self.history.iter().map(|happened| happened.line(&mut names)).collect()
    }

    /// Fails the test if a promise was broken, with the seed, and with what happened before the first one.
    ///
    /// # Panics
    /// If a promise was broken.
    pub fn assert_sound(&self) {
        let Some(first) = self.violations.first() else { return };
        let history = self.history();
        let until = self.history.partition_point(|happened| happened.at <= first.at);
        let before = history[until.saturating_sub(SHOWN)..until].join("\n");
        let broken: Vec<String> = self.violations.iter().take(SHOWN).map(ToString::to_string).collect();
        let (seed, count, broken) = (self.seed, self.violations.len(), broken.join("\n"));
        panic!("seed {seed}: {count} broken promises\n{before}\nbroken:\n{broken}");
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report")
            .field("seed", &self.seed)
            .field("checked", &self.checked)
            .field("violations", &self.violations)
            .finish_non_exhaustive()
    }
}
