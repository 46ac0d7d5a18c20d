//! What a driver has to say about its peer.

use std::{any::Any, future::Future, ops::Range, sync::Arc, time::SystemTime};

use bench_driver::{Job, Outcome};
use serde::{Deserialize, Serialize};

/// A peer connected to an empty broker; each clone may be used by another caller.
pub trait Peer: Clone + Send + Sync + Sized + 'static {
    /// How a caller names a task it enqueued.
    type Id: Send;

    /// Tasks in one call of [`Peer::enqueue_all`].
    const CHUNK: u64 = 200;

    /// Why this measurement cannot be made, asked before anything else.
    fn lacks(_job: &Job) -> impl Future<Output = Outcome<Option<&'static str>>> + Send {
        async { Ok(None) }
    }

    /// Connects to the broker, and makes what has to be there before the first task.
    fn connect(job: &Job) -> impl Future<Output = Outcome<Self>> + Send;

    /// Enqueues one task, and returns when the broker has it.
    fn enqueue(&mut self, number: u64) -> impl Future<Output = Outcome<Self::Id>> + Send;

    /// Enqueues a chunk of tasks the fastest way there is.
    fn enqueue_all(&mut self, numbers: Range<u64>) -> impl Future<Output = Outcome<()>> + Send;

    /// Enqueues a chunk of tasks that are due at `due`.
    fn enqueue_due(&mut self, numbers: Range<u64>, due: SystemTime) -> impl Future<Output = Outcome<()>> + Send;

    /// Called with a full queue before the worker of `drain` starts.
    fn before_drain(&mut self) -> impl Future<Output = Outcome<()>> + Send {
        async { Ok(()) }
    }

    /// Starts one worker; it works until the answer is dropped. Each task runs `body` and returns its number.
    fn work(&mut self, slots: usize, results: Results, body: Body) -> impl Future<Output = Outcome<Running>> + Send;

    /// Whether nothing waits and nothing is being worked on, as the broker sees it. An error if the worker has died.
    fn is_drained(&mut self) -> impl Future<Output = Outcome<bool>> + Send;

    /// Opens what [`Peer::wait`] needs; only called for `result`.
    fn listen(&mut self) -> impl Future<Output = Outcome<()>> + Send {
        async { Ok(()) }
    }

    /// Waits for the result of a task the way the peer's documentation says.
    fn wait(&mut self, id: Self::Id) -> impl Future<Output = Outcome<u64>> + Send;

    /// Reads a result that is there already; `None` if it is not.
    fn read(&mut self, id: Self::Id) -> impl Future<Output = Outcome<Option<u64>>> + Send;
}

/// Whether results are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Results {
    /// Nobody wants them.
    Discard,
    /// Each can be read by a caller.
    Store,
}

/// What a task does.
#[derive(Clone)]
pub struct Body(Arc<dyn Fn(u64) + Send + Sync>);

impl Body {
    pub(crate) fn new(run: impl Fn(u64) + Send + Sync + 'static) -> Self {
        Self(Arc::new(run))
    }

    /// Task `number` runs.
    pub fn run(&self, number: u64) {
        (self.0)(number);
    }
}

/// What keeps a worker alive.
pub type Running = Box<dyn Any + Send>;

/// The arguments of every measured task: about 45 bytes as JSON, those of the other drivers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Args {
    /// The number of the task.
    pub n: u64,
    /// Something to carry.
    pub text: String,
}

impl Args {
    /// Of task `number`.
    pub fn new(number: u64) -> Self {
        Self { n: number, text: "somebody@example.org".to_owned() }
    }
}
