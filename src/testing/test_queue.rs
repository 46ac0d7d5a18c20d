//! One worker and one broker in simulated time, for ordinary tests.

use std::time::Duration;

use taskq_core::{
    Client, Clock, Connection, Counts, DeadLetter, Envelope, Invocation, QueueName, Result, TaskName, Timestamp,
    broker::memory, clock::Simulation, limits,
};
use taskq_worker::{Worker, WorkerBuilder, WorkerHandle};

/// How long `run_ready` waits, in real time, for bodies that wait for something real.
const REAL_PATIENCE: Duration = Duration::from_secs(10);

/// A worker, a broker and a clock for one test.
///
/// Time passes only in [`advance`](Self::advance): no test sleeps. Everything else is the shipped worker: layers,
/// timeouts, retries and drain work as in production.
#[derive(Debug)]
pub struct TestQueue {
    connection: Connection,
    simulation: Simulation,
    worker: WorkerHandle,
}

impl TestQueue {
    /// A worker with every task linked into the test, serving the queues that these tasks declare.
    pub async fn start() -> Result<Self> {
        Self::start_with(|worker| worker).await
    }

    /// The same with a worker of your making: an app, layers, its own queues.
    ///
    /// A worker without queues serves those that its tasks declare, with ten slots each.
    pub async fn start_with(build: impl FnOnce(WorkerBuilder) -> WorkerBuilder) -> Result<Self> {
        let (clock, simulation) = Clock::simulated(Timestamp::from_millis(1_800_000_000_000));
        let connection = memory::connect(clock);
        let worker = build(Worker::builder(connection.clone())).or_declared_queues().start().await?;
        Ok(Self { connection, simulation, worker })
    }

    /// A client on it.
    pub fn client(&self) -> Client {
        self.connection.client()
    }

    /// Its connection, for inspecting and controlling.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Its worker.
    pub fn worker(&self) -> &WorkerHandle {
        &self.worker
    }

    /// The simulated time.
    pub fn now(&self) -> Timestamp {
        self.connection.clock().now()
    }

    /// Runs everything that is ready now, and what that enqueues, until nothing is ready and nothing runs.
    ///
    /// # Panics
    /// If something still runs after ten seconds of real time: it waits for simulated time, so use
    /// [`advance`](Self::advance), or it hangs.
    pub async fn run_ready(&self) {
        let rest = async {
            loop {
                self.simulation.quiet().await;
                let counts = self.all_counts().await;
                if counts.ready == 0 && counts.running == 0 {
                    return;
                }
                // What runs waits for something outside simulated time; let the runtime's own events come in.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        if tokio::time::timeout(REAL_PATIENCE, rest).await.is_err() {
            let counts = self.all_counts().await;
            panic!(
                "run_ready: after {REAL_PATIENCE:?} still {counts:?}; what waits for simulated time needs `advance`"
            );
        }
    }

    /// Lets simulated time pass, running on the way everything that becomes due, in order.
    pub async fn advance(&self, duration: Duration) {
        self.simulation.advance(duration).await;
    }

    /// Tasks in all queues by state.
    pub async fn all_counts(&self) -> Counts {
        let mut all = Counts::default();
        for queue in self.queues().await {
            let counts = self.connection.inspect().counts(&queue).await.expect("memory always answers");
            all.ready += counts.ready;
            all.scheduled += counts.scheduled;
            all.retrying += counts.retrying;
            all.running += counts.running;
            all.dead += counts.dead;
        }
        all
    }

    /// The dead letters of all queues.
    pub async fn dead_letters(&self) -> Vec<DeadLetter> {
        let mut letters = Vec::new();
        for queue in self.queues().await {
            letters.extend(
                self.connection
                    .inspect()
                    .dead_letters(&queue, None, limits::MAX_PAGE)
                    .await
                    .expect("memory always answers"),
            );
        }
        letters
    }

    /// Fails the test unless this task with these arguments waits, runs or is scheduled.
    pub async fn assert_enqueued<T>(&self, invocation: &Invocation<T>) {
        let (name, args) = expected(invocation);
        let live = self.live().await;
        assert!(
            live.iter().any(|envelope| is(envelope, &name, &args)),
            "{name} is not enqueued with {args}; enqueued are: {}",
            shown(&live)
        );
    }

    /// Fails the test if this task with these arguments waits, runs or is scheduled.
    pub async fn assert_not_enqueued<T>(&self, invocation: &Invocation<T>) {
        let (name, args) = expected(invocation);
        let live = self.live().await;
        assert!(!live.iter().any(|envelope| is(envelope, &name, &args)), "{name} is enqueued with {args}");
    }

    /// Everything that has not ended, oldest first.
    pub async fn live(&self) -> Vec<Envelope> {
        memory::live(&self.connection).expect("a test queue is in memory")
    }

    /// Drains the worker as a deployment would, and returns what it did.
    pub async fn drain(self) -> taskq_worker::Tally {
        self.worker.drain();
        let ended = self.connection.clock().spawn("ending", self.worker.ended());
        while !ended.is_finished() {
            self.simulation.advance(Duration::from_millis(100)).await;
            tokio::task::yield_now().await;
        }
        ended.await.expect("the worker's end does not panic")
    }

    async fn queues(&self) -> Vec<QueueName> {
        self.connection.inspect().queues().await.expect("memory always answers")
    }
}

fn expected<T>(invocation: &Invocation<T>) -> (TaskName, String) {
    match (invocation.task_name(), invocation.payload()) {
        (Some(name), Some(payload)) => (name.clone(), payload.as_str().to_owned()),
        _ => panic!("the expected invocation is itself invalid: {:?}", invocation.clone().into_envelope().err()),
    }
}

fn is(envelope: &Envelope, name: &TaskName, args: &str) -> bool {
    envelope.task == *name && envelope.payload.as_str() == args
}

fn shown(live: &[Envelope]) -> String {
    let rows: Vec<_> = live.iter().map(|envelope| format!("{} {}", envelope.task, envelope.payload.as_str())).collect();
    if rows.is_empty() { "none".to_owned() } else { rows.join(", ") }
}
