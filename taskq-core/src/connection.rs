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
    events::{Events, EventsMode, Outlet, Telling},
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
pub struct Connection(Arc<Parts>);

/// What a connection is made of. Behind one pointer, since every handle of every task has a clone of it.
#[derive(Clone)]
struct Parts {
    broker: Arc<dyn Broker>,
    leader: Arc<dyn Leader>,
    schedules: Arc<dyn Schedules>,
    documents: Arc<dyn Documents>,
    fleet: Arc<dyn Fleet>,
    logs: Arc<dyn Logs>,
    events: Arc<dyn Events>,
    inspect: Arc<dyn Inspect>,
    control: Arc<dyn Control>,
    /// The same, and it tells what it changes, if anything is told.
    telling: Option<Arc<dyn Control>>,
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
    /// Where it tells what happens, if it does.
    outlet: Option<Arc<Outlet>>,
}

impl Connection {
    /// A connection to what implements the nine contracts.
    ///
    /// `address` is shown in errors and logs, so it holds no secret. `opener` opens the same again.
    pub fn new<B>(broker: Arc<B>, address: impl Into<Arc<str>>, clock: Clock, opener: Opener) -> Self
    where
        B: Broker + Leader + Schedules + Documents + Fleet + Logs + Events + Inspect + Control + 'static,
    {
        Self(Arc::new(Parts {
            broker: broker.clone(),
            leader: broker.clone(),
            schedules: broker.clone(),
            documents: broker.clone(),
            fleet: broker.clone(),
            logs: broker.clone(),
            events: broker.clone(),
            inspect: broker.clone(),
            control: broker,
            telling: None,
            opener,
            clock,
            address: address.into(),
            memory: None,
            planted: Planted::default(),
            keys: None,
            propagator: None,
            durability: Durability::default(),
            meter: Arc::default(),
            outlet: None,
        }))
    }

    /// The same connection, of which something is different.
    fn changed(self, change: impl FnOnce(Parts) -> Parts) -> Self {
        Self(Arc::new(change(Arc::unwrap_or_clone(self.0))))
    }

    /// The same connection with keys: its clients seal what they enqueue, its workers open what they run.
    ///
    /// Give every connection that enqueues, runs or waits for the same tasks the keys that it needs.
    #[must_use]
    pub fn with_keys(self, keys: impl Keys + 'static) -> Self {
        self.changed(|parts| Parts { keys: Some(Arc::new(keys)), ..parts })
    }

    /// The same connection, whose tasks carry the context of traces from whoever enqueues to whoever runs them.
    ///
    /// Give it to the connections of both.
    #[must_use]
    pub fn with_propagator(self, propagator: impl Propagator + 'static) -> Self {
        self.changed(|parts| Parts { propagator: Some(Arc::new(propagator)), ..parts })
    }

    /// The same connection, on which clients, workers and schedulers tell what happens; or none of them, which is the default.
    ///
    /// Read it with [`Client::events`]. Telling delays no task: see [`EventsMode::On`] for how much of it is told.
    #[must_use]
    pub fn with_events(self, mode: EventsMode) -> Self {
        let outlet = || Arc::new(Outlet::new(Arc::clone(&self.0.events), self.0.clock.clone()));
        let outlet = (mode == EventsMode::On).then(outlet);
        self.changed(|parts| parts.telling(outlet))
    }

    /// Where it tells what happens, if it does: for clients, workers and schedulers.
    #[doc(hidden)]
    pub fn outlet(&self) -> Option<&Outlet> {
        self.0.outlet.as_deref()
    }

    /// Waits until what was told on this connection so far is published or given up: call it before a short program ends, or
    /// its last events are lost. Two seconds at most; at once if no events are told.
    pub async fn flush_events(&self) {
        if let Some(outlet) = self.outlet() {
            outlet.flush().await;
        }
    }

    /// What carries the context of traces on this connection, if anything does.
    pub fn propagator(&self) -> Option<&dyn Propagator> {
        self.0.propagator.as_deref()
    }

    /// The same connection, whose clients acknowledge an enqueue only when it is that safe.
    #[must_use]
    pub fn with_durability(self, durability: Durability) -> Self {
        self.changed(|parts| Parts { durability, ..parts })
    }

    /// How safe a task is when its enqueueing returns, unless a client or an invocation says otherwise.
    pub fn durability(&self) -> Durability {
        self.0.durability
    }

    /// What seals and opens on this connection, if anything does.
    pub fn keys(&self) -> Option<&dyn Keys> {
        self.0.keys.as_deref()
    }

    pub(crate) fn with_memory(self, broker: Arc<MemoryBroker>) -> Self {
        self.changed(|parts| Parts { memory: Some(broker), ..parts })
    }

    /// The same connection, on which a bug is planted in clients and workers.
    #[doc(hidden)]
    #[must_use]
    pub fn with_bug(self, planted: Planted) -> Self {
        self.changed(|parts| Parts { planted, ..parts })
    }

    /// The same broker as a process with this clock uses it, whose calls about schedules and documents go this way. For
    /// simulations.
    #[doc(hidden)]
    #[must_use]
    pub fn through<W: Leader + Schedules + Documents + 'static>(&self, clock: Clock, way: Arc<W>) -> Self {
        let same = self.clone().changed(|parts| Parts {
            clock,
            leader: way.clone(),
            schedules: way.clone(),
            documents: way,
            ..parts
        });
        let again = same.clone();
        let opener: Opener = Arc::new(move || Box::pin(std::future::ready(Ok(again.clone()))));
        same.changed(|parts| Parts { opener, ..parts })
    }

    /// The bug that is planted in clients and workers.
    #[doc(hidden)]
    pub fn planted(&self) -> Planted {
        self.0.planted
    }

    pub(crate) fn memory(&self) -> Option<&MemoryBroker> {
        self.0.memory.as_deref()
    }

    /// A client on it.
    pub fn client(&self) -> Client {
        Client::new(self.clone())
    }

    /// The broker itself, for workers.
    pub fn broker(&self) -> &Arc<dyn Broker> {
        &self.0.broker
    }

    /// Decides which scheduler leads.
    pub fn leader(&self) -> &Arc<dyn Leader> {
        &self.0.leader
    }

    /// Keeps the entries of schedulers.
    pub fn schedules(&self) -> &Arc<dyn Schedules> {
        &self.0.schedules
    }

    /// Keeps small texts of programs.
    pub fn documents(&self) -> &Arc<dyn Documents> {
        &self.0.documents
    }

    /// Keeps the reports of workers and schedulers.
    pub fn fleet(&self) -> &Arc<dyn Fleet> {
        &self.0.fleet
    }

    /// Keeps what tasks say while they run.
    pub fn logs(&self) -> &Arc<dyn Logs> {
        &self.0.logs
    }

    /// Keeps what happened of late.
    pub fn events(&self) -> &Arc<dyn Events> {
        &self.0.events
    }

    /// Reads what the broker holds.
    pub fn inspect(&self) -> &Arc<dyn Inspect> {
        &self.0.inspect
    }

    /// Changes what the broker holds, for operators.
    pub fn control(&self) -> &Arc<dyn Control> {
        self.0.telling.as_ref().unwrap_or(&self.0.control)
    }

    pub(crate) fn meter(&self) -> &Meter {
        &self.0.meter
    }

    /// What its clients have counted since it was opened: what they enqueued, by queue, broker calls that failed, and how
    /// often the way to the broker was opened again. All clones of a connection count together. What a worker on it counts
    /// is not in it.
    pub fn figures(&self) -> Figures {
        let mut figures = self.0.meter.figures();
        figures.reconnects = self.0.broker.reconnects();
        figures
    }

    /// The clock that everything on this connection uses.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Where the broker is, without secrets.
    pub fn address(&self) -> &str {
        &self.0.address
    }

    /// Opens the same broker again, on connections of its own: the heartbeat must not queue behind anything.
    pub async fn open_another(&self) -> Result<Self> {
        let (keys, propagator, durability) = (self.0.keys.clone(), self.0.propagator.clone(), self.durability());
        // A process tells everything in one place.
        let outlet = self.0.outlet.clone();
        let another = (self.0.opener)().await?;
        Ok(another.changed(|parts| Parts { keys, propagator, durability, ..parts }.telling(outlet)))
    }
}

impl Parts {
    /// The same, which tells there what happens.
    fn telling(self, outlet: Option<Arc<Outlet>>) -> Self {
        let telling = outlet
            .clone()
            .map(|outlet| -> Arc<dyn Control> { Arc::new(Telling::new(Arc::clone(&self.control), outlet)) });
        Self { telling, outlet, ..self }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("address", &self.0.address).finish_non_exhaustive()
    }
}
