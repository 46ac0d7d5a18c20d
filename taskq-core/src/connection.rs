//! A connection: one broker and everything that is built on it.

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;

use crate::{
    broker::{Broker, memory::MemoryBroker},
    bug::Planted,
    client::Client,
    clock::Clock,
    control::Control,
    documents::Documents,
    durability::Durability,
    error::Result,
    figures::Figures,
    fleet::Fleet,
    inspect::Inspect,
    leader::Leader,
    logs::Logs,
    meter::Meter,
    propagator::Propagator,
    schedules::Schedules,
    seal::Keys,
};

/// Opens the same connection again.
pub type Opener = Arc<dyn Fn() -> BoxFuture<'static, Result<Connection>> + Send + Sync>;

/// An open broker. Cheap to clone; all clones share one connection.
#[derive(Clone)]
pub struct Connection {
    broker: Arc<dyn Broker>,
    leader: Arc<dyn Leader>,
    schedules: Arc<dyn Schedules>,
    documents: Arc<dyn Documents>,
    fleet: Arc<dyn Fleet>,
    logs: Arc<dyn Logs>,
    inspect: Arc<dyn Inspect>,
    control: Arc<dyn Control>,
    opener: Opener,
    clock: Clock,
    address: Arc<str>,
    /// The broker once more if it is the one in memory, for test kits.
    memory: Option<Arc<MemoryBroker>>,
    planted: Planted,
    keys: Option<Arc<dyn Keys>>,
    propagator: Option<Arc<dyn Propagator>>,
    durability: Durability,
    /// What its clients count.
    meter: Arc<Meter>,
}

impl Connection {
    /// A connection to what implements the eight contracts.
    ///
    /// `address` is shown in errors and logs, so it holds no secret. `opener` opens the same again.
    pub fn new<B>(broker: Arc<B>, address: impl Into<Arc<str>>, clock: Clock, opener: Opener) -> Self
    where
        B: Broker + Leader + Schedules + Documents + Fleet + Logs + Inspect + Control + 'static,
    {
        Self {
            broker: broker.clone(),
            leader: broker.clone(),
            schedules: broker.clone(),
            documents: broker.clone(),
            fleet: broker.clone(),
            logs: broker.clone(),
            inspect: broker.clone(),
            control: broker,
            opener,
            clock,
            address: address.into(),
            memory: None,
            planted: Planted::default(),
            keys: None,
            propagator: None,
            durability: Durability::default(),
            meter: Arc::default(),
        }
    }

    /// The same connection with keys: its clients seal what they enqueue, its workers open what they run.
    ///
    /// Give every connection that enqueues, runs or waits for the same tasks the keys that it needs.
    #[must_use]
    pub fn with_keys(self, keys: impl Keys + 'static) -> Self {
        Self { keys: Some(Arc::new(keys)), ..self }
    }

    /// The same connection, whose tasks carry the context of traces from whoever enqueues to whoever runs them.
    ///
    /// Give it to the connections of both.
    #[must_use]
    pub fn with_propagator(self, propagator: impl Propagator + 'static) -> Self {
        Self { propagator: Some(Arc::new(propagator)), ..self }
    }

    /// What carries the context of traces on this connection, if anything does.
    pub fn propagator(&self) -> Option<&dyn Propagator> {
        self.propagator.as_deref()
    }

    /// The same connection, whose clients acknowledge an enqueue only when it is that safe.
    #[must_use]
    pub fn with_durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// How safe a task is when its enqueueing returns, unless a client or an invocation says otherwise.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// What seals and opens on this connection, if anything does.
    pub fn keys(&self) -> Option<&dyn Keys> {
        self.keys.as_deref()
    }

    pub(crate) fn with_memory(self, broker: Arc<MemoryBroker>) -> Self {
        Self { memory: Some(broker), ..self }
    }

    /// The same connection, on which a bug is planted in clients and workers.
    #[doc(hidden)]
    #[must_use]
    pub fn with_bug(self, planted: Planted) -> Self {
        Self { planted, ..self }
    }

    /// The same broker as a process with this clock uses it, whose calls about schedules and documents go this way. For
    /// simulations.
    #[doc(hidden)]
    #[must_use]
    pub fn through<W: Leader + Schedules + Documents + 'static>(&self, clock: Clock, way: Arc<W>) -> Self {
        let same = Self { clock, leader: way.clone(), schedules: way.clone(), documents: way, ..self.clone() };
        let again = same.clone();
        let opener: Opener = Arc::new(move || Box::pin(std::future::ready(Ok(again.clone()))));
        Self { opener, ..same }
    }

    /// The bug that is planted in clients and workers.
    #[doc(hidden)]
    pub fn planted(&self) -> Planted {
        self.planted
    }

    pub(crate) fn memory(&self) -> Option<&MemoryBroker> {
        self.memory.as_deref()
    }

    /// A client on it.
    pub fn client(&self) -> Client {
        Client::new(self.clone())
    }

    /// The broker itself, for workers.
    pub fn broker(&self) -> &Arc<dyn Broker> {
        &self.broker
    }

    /// Decides which scheduler leads.
    pub fn leader(&self) -> &Arc<dyn Leader> {
        &self.leader
    }

    /// Keeps the entries of schedulers.
    pub fn schedules(&self) -> &Arc<dyn Schedules> {
        &self.schedules
    }

    /// Keeps small texts of programs.
    pub fn documents(&self) -> &Arc<dyn Documents> {
        &self.documents
    }

    /// Keeps the reports of workers and schedulers.
    pub fn fleet(&self) -> &Arc<dyn Fleet> {
        &self.fleet
    }

    /// Keeps what tasks say while they run.
    pub fn logs(&self) -> &Arc<dyn Logs> {
        &self.logs
    }

    /// Reads what the broker holds.
    pub fn inspect(&self) -> &Arc<dyn Inspect> {
        &self.inspect
    }

    /// Changes what the broker holds, for operators.
    pub fn control(&self) -> &Arc<dyn Control> {
        &self.control
    }

    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// What its clients have counted since it was opened: what they enqueued, by queue, broker calls that failed, and how
    /// often the way to the broker was opened again. All clones of a connection count together. What a worker on it counts
    /// is not in it.
    pub fn figures(&self) -> Figures {
        let mut figures = self.meter.figures();
        figures.reconnects = self.broker.reconnects();
        figures
    }

    /// The clock that everything on this connection uses.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Where the broker is, without secrets.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Opens the same broker again, on connections of its own: the heartbeat must not queue behind anything.
    pub async fn open_another(&self) -> Result<Self> {
        let again = (self.opener)().await?;
        Ok(Self { keys: self.keys.clone(), propagator: self.propagator.clone(), durability: self.durability, ..again })
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("address", &self.address).finish_non_exhaustive()
    }
}
