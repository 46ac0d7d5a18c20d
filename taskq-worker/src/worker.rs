//! The worker: what it runs, where it claims, how it starts and ends.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use taskq_core::{
    Client, Clock, Connection, Envelope, Error, ErrorKind, Figures, Layer, Logs, QueueName, Registration, Report,
    Result, What, WorkerId,
    broker::{Broker, Ending, Settlement},
    bug::Planted,
    events::Outlet,
    figures::Slots,
    fleet::MemberKind,
    id::Owner,
    limits,
    own_thread::OwnThread,
    retry::{fraction, scramble},
    signals::Stops,
    task::AppType,
};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    attempts::Attempts,
    fetcher::Fetcher,
    handle::WorkerHandle,
    heartbeat,
    lane::{Lane, Order},
    log_sender::{self, Said},
    meter::Meter,
    plain::PlainThreads,
    progress::{self, Reports},
    readiness::Ears,
    registry::{self, Registry, TaskNumber},
    settler::{self, Finished},
    shutdown::{self, Ended, Phase, Phases},
    sweeper::{self, Plan},
    tally::{Counters, Tally},
    terms::Terms,
};

/// A worker, ready to start.
///
/// ```no_run
/// # async fn example(connection: taskq_core::Connection) -> taskq_core::Result<()> {
/// use taskq_worker::Worker;
///
/// Worker::builder(connection).queue("mail", 20).queue("default", 50).run().await
/// # }
/// ```
#[derive(Debug)]
pub struct Worker;

impl Worker {
    /// A worker on `connection`, with every task linked into this program.
    pub fn builder(connection: Connection) -> WorkerBuilder {
        WorkerBuilder {
            connection,
            app: Arc::new(()),
            app_type: AppType::of::<()>(),
            also: HashMap::new(),
            brought: Vec::new(),
            lanes: Vec::new(),
            tasks: None,
            layers: Vec::new(),
            drain: limits::DRAIN,
            lease: limits::LEASE,
            default_timeout: limits::DEFAULT_TIMEOUT,
            unregistered_bound: limits::UNREGISTERED_BOUND,
            plain_threads: None,
        }
    }
}

/// Says what a worker runs and where it claims.
pub struct WorkerBuilder {
    connection: Connection,
    app: Arc<dyn Any + Send + Sync>,
    app_type: AppType,
    also: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
    brought: Vec<Registration>,
    lanes: Vec<WantedLane>,
    tasks: Option<Vec<Registration>>,
    layers: Vec<Arc<dyn Layer>>,
    drain: Duration,
    lease: Duration,
    default_timeout: Duration,
    unregistered_bound: Duration,
    plain_threads: Option<usize>,
}

/// Slots and queues as they were asked for, before they are checked.
#[derive(Debug)]
struct WantedLane {
    slots: usize,
    order: Order,
    queues: Vec<(String, u32)>,
}

impl WorkerBuilder {
    /// Lends `app` to the bodies that ask for `&Context<App>`.
    #[must_use]
    pub fn app<App: Send + Sync + 'static>(mut self, app: App) -> Self {
        self.app = Arc::new(app);
        self.app_type = AppType::of::<App>();
        self
    }

    /// Serves a queue with slots of its own: a slow queue cannot starve another.
    #[must_use]
    pub fn queue(mut self, queue: impl Into<String>, slots: usize) -> Self {
        self.lanes.push(WantedLane { slots, order: Order::Strict, queues: vec![(queue.into(), 1)] });
        self
    }

    /// Serves several queues with shared slots, the first as long as it has work, then the next.
    #[must_use]
    pub fn strict<Q: Into<String>>(mut self, slots: usize, queues: impl IntoIterator<Item = Q>) -> Self {
        let queues = queues.into_iter().map(|queue| (queue.into(), 1)).collect();
        self.lanes.push(WantedLane { slots, order: Order::Strict, queues });
        self
    }

    /// Serves several queues with shared slots, each asked first as often as its weight says.
    #[must_use]
    pub fn weighted<Q: Into<String>>(mut self, slots: usize, queues: impl IntoIterator<Item = (Q, u32)>) -> Self {
        let queues = queues.into_iter().map(|(queue, weight)| (queue.into(), weight)).collect();
        self.lanes.push(WantedLane { slots, order: Order::Weighted, queues });
        self
    }

    /// Whether it was told to serve this queue.
    #[must_use]
    pub fn serves(&self, queue: &str) -> bool {
        self.lanes.iter().any(|lane| lane.queues.iter().any(|(served, _)| served == queue))
    }

    /// Runs only these tasks instead of every task linked into this program.
    #[must_use]
    pub fn tasks(mut self, tasks: impl IntoIterator<Item = Registration>) -> Self {
        self.tasks = Some(tasks.into_iter().collect());
        self
    }

    /// Adds a task beside those of the program, and lends `app` to it: for libraries that bring tasks with what these need.
    #[must_use]
    pub fn bring<App: Send + Sync + 'static>(mut self, task: Registration, app: Arc<App>) -> Self {
        self.brought.push(task);
        self.also.insert(TypeId::of::<App>(), app);
        self
    }

    /// Unless queues were named: serves every queue that its tasks declare, with ten slots each.
    #[must_use]
    pub fn or_declared_queues(self) -> Self {
        if !self.lanes.is_empty() {
            return self;
        }
        let tasks = self.tasks.clone().unwrap_or_else(Registration::linked);
        let declared = tasks
            .iter()
            .chain(&self.brought)
            .map(|task| (task.options)().queue.unwrap_or_else(|| limits::DEFAULT_QUEUE.to_owned()));
        let queues: std::collections::BTreeSet<String> = declared.collect();
        queues.into_iter().fold(self, |worker, queue| worker.queue(queue, limits::DEFAULT_SLOTS))
    }

    /// Puts a layer around every attempt, inside the layers added before.
    #[must_use]
    pub fn layer(mut self, layer: impl Layer) -> Self {
        self.layers.push(Arc::new(layer));
        self
    }

    /// How long running tasks get to finish when the worker ends; the default is 25 s.
    #[must_use]
    pub fn drain(mut self, bound: Duration) -> Self {
        self.drain = bound;
        self
    }

    /// How long this worker is trusted after its last heartbeat; the default is 4.5 s, the least 600 ms, the most 10
    /// minutes. If it dies, what it held is back in work that much later and a little more.
    ///
    /// It beats three times a lease while it works, so a shorter lease costs more commands, and a machine or network that
    /// stands still for longer costs the lease of a worker that is well: what it held runs again elsewhere.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// The timeout of tasks that declare none; the default is 30 minutes.
    #[must_use]
    pub fn default_timeout(mut self, timeout: Duration) -> Self {
        self.default_timeout = timeout;
        self
    }

    /// How long a task of a name that no worker knows is handed back before it becomes a dead letter `unregistered`;
    /// the default is a day.
    #[must_use]
    pub fn unregistered_bound(mut self, bound: Duration) -> Self {
        self.unregistered_bound = bound;
        self
    }

    /// Most threads for plain bodies; the default is as many as there are slots, up to 512.
    #[must_use]
    pub fn plain_threads(mut self, threads: usize) -> Self {
        self.plain_threads = Some(threads);
        self
    }

    /// Starts it and returns a handle. Installs no signal handlers, so it fits inside another server.
    ///
    /// Fails if there are no tasks, two have one name, or one needs an app that is not lent; if a queue has no slots or
    /// two lanes; or if the broker cannot be reached.
    pub async fn start(self) -> Result<WorkerHandle> {
        let drain = self.drain;
        let connection = self.connection.clone();
        let (shared, finished) = self.check()?;
        join_all(&shared).await?;
        let heartbeat = heartbeat::start(Arc::clone(&shared), &connection).await?;
        let now = shared.clock.monotonic();
        shared.ears.heartbeat.heard(now);
        shared.lanes.iter().for_each(|lane| lane.ear.heard(now));
        let loops = start_loops(&shared, finished);
        let supervisor = shared.clock.spawn("supervisor", supervise(Arc::clone(&shared), drain, heartbeat, loops));
        tell_up(&shared);
        tracing::info!(worker = %shared.terms.worker(), tasks = shared.registry.len(), at = connection.address(), "worker started");
        Ok(WorkerHandle::new(shared, supervisor))
    }

    /// Runs until `stop` returns, then drains.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Result<()> {
        let handle = self.start().await?;
        stop.await;
        handle.drain();
        handle.ended().await;
        Ok(())
    }

    /// Runs until SIGTERM or ctrl-c, then drains; a second signal aborts the drain.
    pub async fn run(self) -> Result<()> {
        // Before it starts: what runs already must not be torn off by a signal that nobody hears yet.
        let stops = Stops::listen();
        self.start().await?.run(stops).await;
        Ok(())
    }

    fn check(mut self) -> Result<(Arc<Shared>, mpsc::Receiver<Finished>)> {
        let mut tasks = self.tasks.take().unwrap_or_else(Registration::linked);
        tasks.append(&mut self.brought);
        let also: Vec<_> = self.also.keys().copied().collect();
        let registry = registry::check(tasks, self.app_type, &also)?;
        if self.lanes.is_empty() {
            self = self.queue(limits::DEFAULT_QUEUE, limits::DEFAULT_SLOTS);
        }
        let lanes = check_lanes(&self.lanes)?;
        check_lease(self.lease)?;
        let slots: usize = lanes.iter().map(|lane| lane.size).sum();
        let plain_threads = self.plain_threads.unwrap_or(slots).clamp(1, limits::MAX_PLAIN_THREADS);
        let (finish, finished) = mpsc::channel(limits::SETTLE_BACKLOG);
        let worker = WorkerId::generate();
        let served = lanes.iter().flat_map(|lane| lane.queues.iter().map(|(queue, _)| queue));
        let meter = Meter::new(served, &registry);
        let shared = Shared {
            broker: Arc::clone(self.connection.broker()),
            client: self.connection.client(),
            clock: self.connection.clock().clone(),
            app: self.app,
            also: self.also,
            registry,
            layers: self.layers.into(),
            lanes,
            terms: Terms::new(worker),
            planted: self.connection.planted(),
            attempts: Attempts::default(),
            reports: Reports::default(),
            said: Said::default(),
            logs: Arc::clone(self.connection.logs()),
            sweeps: Plan::default(),
            phases: Phases::new(),
            plain: PlainThreads::new(plain_threads),
            counters: Counters::default(),
            meter,
            ears: Ears::default(),
            lease: self.lease,
            default_timeout: self.default_timeout,
            unregistered_bound: self.unregistered_bound,
            threads: tokio::runtime::Handle::current().metrics().num_workers().max(1),
            seed: AtomicU64::new(self.connection.clock().seed()),
            finish: std::sync::Mutex::new(Some(finish)),
        };
        Ok((Arc::new(shared), finished))
    }
}

impl fmt::Debug for WorkerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerBuilder")
            .field("connection", &self.connection)
            .field("lanes", &self.lanes)
            .finish_non_exhaustive()
    }
}

fn check_lanes(lanes: &[WantedLane]) -> Result<Vec<Arc<Lane>>> {
    let mut seen = std::collections::HashSet::new();
    let mut checked = Vec::with_capacity(lanes.len());
    for WantedLane { slots, order, queues } in lanes {
        let mut named = Vec::with_capacity(queues.len());
        for (queue, weight) in queues {
            let queue = QueueName::new(queue)?;
            if *slots == 0 || *weight == 0 {
                return Err(wrong_queue(&queue, "it has no slots or no weight; give it at least one"));
            }
            if !seen.insert(queue.clone()) {
                return Err(wrong_queue(&queue, "it is served twice; name it once"));
            }
            named.push((queue, *weight));
        }
        checked.push(Arc::new(Lane::new(*slots, *order, named)));
    }
    Ok(checked)
}

fn check_lease(lease: Duration) -> Result<()> {
    if (limits::MIN_LEASE..=limits::MAX_LEASE).contains(&lease) {
        return Ok(());
    }
    let cure = format!("use {:?} to {:?}", limits::MIN_LEASE, limits::MAX_LEASE);
    Err(Error::new(ErrorKind::Config, "start worker:", format!("lease of {lease:?}")).because(cure))
}

fn wrong_queue(queue: &QueueName, cure: &'static str) -> Error {
    Error::new(ErrorKind::Config, "start worker:", format!("queue \"{queue}\"")).because(cure)
}

/// What all loops of a worker share.
pub(crate) struct Shared {
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) client: Client,
    pub(crate) clock: Clock,
    pub(crate) app: Arc<dyn Any + Send + Sync>,
    pub(crate) also: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
    pub(crate) registry: Registry,
    pub(crate) layers: Arc<[Arc<dyn Layer>]>,
    pub(crate) lanes: Vec<Arc<Lane>>,
    pub(crate) terms: Terms,
    pub(crate) attempts: Attempts,
    pub(crate) reports: Reports,
    pub(crate) said: Said,
    pub(crate) logs: Arc<dyn Logs>,
    pub(crate) sweeps: Plan,
    pub(crate) phases: Phases,
    pub(crate) plain: PlainThreads,
    pub(crate) counters: Counters,
    pub(crate) meter: Meter,
    pub(crate) ears: Ears,
    /// How long each lease of this worker is.
    pub(crate) lease: Duration,
    pub(crate) default_timeout: Duration,
    pub(crate) unregistered_bound: Duration,
    /// A mistake that a test wants to see noticed.
    pub(crate) planted: Planted,
    /// Of the runtime: how many attempts can compute at once.
    pub(crate) threads: usize,
    seed: AtomicU64,
    /// Taken away at the end, so that the settler knows that nothing more comes.
    finish: std::sync::Mutex<Option<mpsc::Sender<Finished>>>,
}

impl Shared {
    /// The next of this worker's pseudo-random numbers; different workers draw different ones.
    pub(crate) fn next_seed(&self) -> u64 {
        scramble(self.seed.fetch_add(1, Ordering::Relaxed))
    }

    /// Where it tells what happens, if it does.
    pub(crate) fn outlet(&self) -> Option<&Outlet> {
        self.client.connection().outlet()
    }

    pub(crate) fn ended(&self) -> Ended {
        self.phases.ended()
    }

    pub(crate) fn backoff(&self) -> Backoff {
        Backoff { pause: limits::LOOP_BACKOFF }
    }

    /// Tells the lane that serves a queue to look again.
    pub(crate) fn nudge(&self, queue: &QueueName) {
        self.lanes.iter().filter(|lane| lane.serves(queue)).for_each(|lane| lane.nudge.notify_one());
    }

    /// What was held in this queue runs elsewhere: stop it, and come back with the next term.
    pub(crate) fn lease_lost(&self, queue: &QueueName, owner: Owner) {
        if !self.terms.lost(queue, owner) {
            return;
        }
        self.counters.leases_lost.add(1);
        self.meter.queue(queue).leases_lost.add(1);
        tracing::warn!(%queue, %owner, "the lease is lost; what was held there is handed out again");
        self.attempts.stop_lost(queue, owner);
        self.nudge(queue);
    }

    /// A broker call failed; the loops repeat it. The broker's trouble is never the task's trouble.
    pub(crate) fn broker_trouble(&self, operation: &'static str, error: &Error) {
        self.counters.broker_errors.add(1);
        tracing::warn!(operation, %error, "broker trouble");
    }

    /// How long an attempt of this task, which the worker may not know, may take.
    pub(crate) fn timeout_of(&self, envelope: &Envelope, task: Option<TaskNumber>) -> Duration {
        let declared = || self.registry.get(task?).options.timeout;
        envelope.timeout.or_else(declared).unwrap_or(self.default_timeout)
    }

    /// Passes ended attempts on; waits while too many wait to be settled.
    pub(crate) async fn finish(&self, finished: Finished) {
        let finish = self.finish.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        // Without a settler the worker has left its queues, which gave the task back.
        let is_success = |settlement: &&Settlement| matches!(settlement.ending, Ending::Succeeded(_));
        self.counters.succeeded.add(finished.attempts.settlements.iter().filter(is_success).count() as u64);
        if let Some(finish) = finish
            && !finished.attempts.settlements.is_empty()
            && finish.send(finished).await.is_err()
        {
            tracing::debug!("attempts ended after their worker");
        }
    }

    pub(crate) fn tally(&self) -> Tally {
        self.counters.tally(self.plain.stuck())
    }

    pub(crate) fn figures(&self) -> Figures {
        let mut figures = Figures::default();
        figures.queues = self.meter.figures();
        figures.lanes = self.lanes.iter().map(|lane| (lane.name(), self.slots_of(lane))).collect();
        figures.broker_errors = self.counters.broker_errors.get();
        figures
    }

    /// Permits would not tell: a claim takes those of all free slots while it is under way.
    fn slots_of(&self, lane: &Lane) -> Slots {
        let held: usize = lane.queues.iter().map(|(queue, _)| self.attempts.count(queue)).sum();
        // What has ended and waits for the broker to settle it has no slot any more.
        Slots { all: lane.size as u64, busy: held.min(lane.size) as u64 }
    }

    fn close_finish(&self) {
        self.finish.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("worker", &self.terms.worker()).finish_non_exhaustive()
    }
}

/// The pauses of a loop whose broker calls fail: growing, with full jitter.
pub(crate) struct Backoff {
    pause: Duration,
}

impl Backoff {
    pub(crate) fn reset(&mut self) {
        self.pause = limits::LOOP_BACKOFF;
    }

    fn next(&mut self, shared: &Shared) -> Duration {
        let pause = self.pause / 4 + fraction(self.pause * 3 / 4, shared.next_seed());
        self.pause = (self.pause * 2).min(limits::LOOP_BACKOFF_CAP);
        pause
    }

    /// Pauses; false if the worker ended meanwhile.
    pub(crate) async fn pause(&mut self, shared: &Shared, ended: &mut Ended) -> bool {
        let pause = self.next(shared);
        tokio::select! {
            biased;
            () = shared.clock.sleep(pause) => true,
            () = ended.wait() => false,
        }
    }

    /// Pauses; at once over when the worker drains.
    pub(crate) async fn pause_unless_draining(&mut self, shared: &Shared) {
        let pause = self.next(shared);
        tokio::select! {
            biased;
            () = shared.clock.sleep(pause) => {}
            () = shared.phases.reached(Phase::Draining) => {}
        }
    }

    /// Pauses; false if the worker does not wait any longer.
    pub(crate) async fn pause_unless_aborted(&mut self, shared: &Shared) -> bool {
        let pause = self.next(shared);
        tokio::select! {
            biased;
            () = shared.clock.sleep(pause) => true,
            () = shared.phases.reached(Phase::Aborting) => false,
        }
    }
}

/// Tells that it works, if anybody is to know.
fn tell_up(shared: &Shared) {
    let Some(outlet) = shared.outlet() else { return };
    let Report { program, host, pid, .. } = Report::of_this_process(MemberKind::Worker, shared.clock.now());
    let queues = shared.lanes.iter().flat_map(|lane| lane.queues.iter().map(|(queue, _)| queue.clone()));
    let queues = queues.take(limits::EVENT_QUEUES).collect();
    outlet.tell(What::WorkerUp { worker: shared.terms.worker(), program, host, pid, queues });
}

/// Joins every queue, so that a broker that cannot be used is an error of the start.
async fn join_all(shared: &Shared) -> Result<()> {
    for (queue, _) in shared.lanes.iter().flat_map(|lane| &lane.queues) {
        if let Err(owner) = shared.terms.present(queue) {
            shared.broker.join(owner, queue, shared.lease).await?;
            shared.terms.joined(queue, owner);
        }
    }
    Ok(())
}

/// The loops besides the heartbeat, in the order in which they end.
struct Loops {
    fetchers: Vec<JoinHandle<()>>,
    settler: JoinHandle<()>,
    sweeper: JoinHandle<()>,
    progress: JoinHandle<()>,
    log_sender: JoinHandle<()>,
}

fn start_loops(shared: &Arc<Shared>, finished: mpsc::Receiver<Finished>) -> Loops {
    let clock = &shared.clock;
    let fetcher = |lane: &Arc<Lane>| clock.spawn("fetcher", Fetcher::new(Arc::clone(shared), Arc::clone(lane)).run());
    Loops {
        fetchers: shared.lanes.iter().map(fetcher).collect(),
        settler: clock.spawn("settler", settler::run(Arc::clone(shared), finished)),
        sweeper: clock.spawn("sweeper", sweeper::run(Arc::clone(shared))),
        progress: clock.spawn("progress", progress::run(Arc::clone(shared))),
        log_sender: clock.spawn("log sender", log_sender::run(Arc::clone(shared))),
    }
}

/// Waits for the wish to end, then ends everything in order.
async fn supervise(shared: Arc<Shared>, drain: Duration, heartbeat: OwnThread, loops: Loops) {
    shared.phases.reached(Phase::Draining).await;
    for fetcher in loops.fetchers {
        ended("fetcher", fetcher).await;
    }
    tokio::select! {
        biased;
        () = shutdown::drain(&shared, drain) => {}
        () = shared.phases.reached(Phase::Aborting) => tracing::warn!("drain aborted; giving back what still runs"),
    }
    shared.phases.reach(Phase::Aborting);
    // Give the leases back before stopping the bodies: running twice is allowed, losing is not.
    shutdown::leave(&shared).await;
    shared.attempts.stop_all();
    shutdown::drain(&shared, limits::CANCEL_GRACE).await;
    shared.phases.reach(Phase::Ended);
    shared.close_finish();
    ended("settler", loops.settler).await;
    ended("sweeper", loops.sweeper).await;
    ended("progress", loops.progress).await;
    ended("log sender", loops.log_sender).await;
    heartbeat.ended().await;
    shared.plain.close();
    if let Some(outlet) = shared.outlet() {
        outlet.tell(What::WorkerDown { worker: shared.terms.worker() });
        outlet.flush().await;
    }
    tracing::info!(worker = %shared.terms.worker(), "worker ended");
}

async fn ended(name: &'static str, handle: JoinHandle<()>) {
    if handle.await.is_err() {
        tracing::error!(name, "a loop of the worker panicked");
    }
}
