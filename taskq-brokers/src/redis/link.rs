//! One multiplexed connection to the server, rebuilt from scratch whenever it breaks.
//!
//! A new connection is checked before anybody uses it: the first one for the server's settings, every one for the layout
//! and for whether the server still holds the same data.

use std::{
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::{BoxFuture, join};
use redis::{Arg, Cmd, RedisError, ServerErrorKind, Value, aio::MultiplexedConnection};
use taskq_core::{Clock, Error, ErrorKind, Namespace, Result, counter::Counter};
use tokio::sync::watch;

use super::{
    address::Address,
    failure::{breaks_connection, failed, is_of_replica},
    fresh::Fresh,
    gate::Gate,
    layout::{DataId, Layout},
    origin::Origin,
    script::{Script, Scripts, Time},
    sentinels::Place,
    server,
};

/// How long a command may take; longer means that the connection is dead. The driver's own default of half a second is
/// shorter than a loaded server may need.
const RESPONSE: Duration = Duration::from_secs(5);

/// Callers give up sooner than that, and a call that is given up never comes to its bound. So a connection that owes
/// answers for this long is replaced when a caller gives up. It is less than a third of a lease, when a heartbeat gives
/// up: the next beat still comes in time, on another connection.
const SILENCE: Duration = Duration::from_millis(1_200);

/// A call given up sooner than this says nothing about the connection.
const IMPATIENCE: Duration = Duration::from_millis(100);

/// Where there are sentinels, nothing is acknowledged longer than this after they were asked whether the server is
/// still the primary: one that was cut off, or stopped for a while, does not know by itself that it no longer is.
const PROOF: Duration = Duration::from_secs(1);

/// The connection for commands.
#[derive(Debug)]
pub(super) struct Link {
    origin: Arc<Origin>,
    layout: Layout,
    scripts: Scripts,
    present: RwLock<Option<Present>>,
    /// The newest generation, for whoever has connections beside this one.
    newest: watch::Sender<u64>,
    opening: tokio::sync::Mutex<()>,
    reconnects: Counter,
    /// What the server held when a connection was last opened.
    data: Mutex<Option<DataId>>,
    /// When the present primary was last proven to be it, in milliseconds of the monotonic clock.
    proven: AtomicU64,
    proving: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug)]
struct Present {
    generation: u64,
    connection: MultiplexedConnection,
    silence: Arc<Silence>,
    /// Which server it is, if sentinels told.
    place: Option<Arc<Place>>,
}

/// Since when a connection has owed answers to callers who gave up: milliseconds of the monotonic clock, 0 if it does not.
#[derive(Debug, Default)]
struct Silence(AtomicU64);

/// A call that waits for its answer.
struct UnderWay<'a> {
    link: &'a Link,
    generation: u64,
    silence: Arc<Silence>,
    begun: Duration,
    answered: bool,
}

impl UnderWay<'_> {
    fn answered(mut self) {
        self.silence.0.store(0, Ordering::Relaxed);
        self.answered = true;
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let now = self.link.clock().monotonic();
        if self.answered || now.saturating_sub(self.begun) < IMPATIENCE {
            return;
        }
        let begun = u64::try_from(self.begun.as_millis()).unwrap_or(u64::MAX).max(1);
        let since = match self.silence.0.compare_exchange(0, begun, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => begun,
            Err(earlier) => earlier,
        };
        if now.saturating_sub(Duration::from_millis(since)) >= SILENCE {
            self.link.broken(self.generation);
        }
    }
}

impl Link {
    pub(super) async fn open(
        address: Address,
        clock: Clock,
        time: Time,
        layout: Layout,
        gate: Arc<Gate>,
    ) -> Result<Self> {
        let scripts = Scripts::new(time, address.namespace());
        let link = Self {
            origin: Arc::new(Origin::new(address, gate, clock)?),
            layout,
            scripts,
            present: RwLock::new(None),
            newest: watch::Sender::new(0),
            opening: tokio::sync::Mutex::new(()),
            reconnects: Counter::default(),
            data: Mutex::new(None),
            proven: AtomicU64::new(0),
            proving: tokio::sync::Mutex::new(()),
        };
        let first = link.origin.gate().pass(link.connect_first()).await?;
        link.put(first);
        Ok(link)
    }

    /// The way to the server, for connections beside this one.
    pub(super) fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }

    pub(super) fn clock(&self) -> &Clock {
        self.origin.clock()
    }

    pub(super) fn shown(&self) -> &str {
        self.origin.shown()
    }

    pub(super) fn namespace(&self) -> &Namespace {
        self.origin.address().namespace()
    }

    /// Which connection is the present one; connects if there is none. What was learned on another may no longer hold.
    pub(super) async fn generation(&self) -> Result<u64> {
        let known = self.present.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(|it| it.generation);
        match known {
            Some(generation) => Ok(generation),
            None => Ok(self.connect_once().await?.generation),
        }
    }

    /// How often it was opened again after it had broken.
    pub(super) fn reconnects(&self) -> u64 {
        self.reconnects.get()
    }

    /// The generations to come.
    pub(super) fn generations(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Returns when another connection has taken the place of that one.
    pub(super) async fn is_replaced(&self, generation: u64) {
        let mut generations = self.generations();
        // An error would mean that the sender is gone; it lives as long as self.
        drop(generations.wait_for(|newest| *newest != generation).await);
    }

    /// A connection beside this one, as soon as it is its turn. A command on it may wait for ever.
    pub(super) async fn another(&self) -> Result<MultiplexedConnection> {
        self.origin.another().await.map(Fresh::into_connection)
    }

    fn present(&self) -> Option<Present> {
        self.present.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn put(&self, present: Present) {
        let generation = present.generation;
        *self.present.write().unwrap_or_else(PoisonError::into_inner) = Some(present);
        self.newest.send_replace(generation);
    }

    async fn connected(&self) -> Result<Present> {
        match self.present() {
            Some(present) => Ok(present),
            None => self.connect_once().await,
        }
    }

    /// Opens the connection anew; many callers at once make one attempt, and hear of its failure at once.
    async fn connect_once(&self) -> Result<Present> {
        let gate = self.origin.gate();
        let seen = gate.failures();
        let _only = tokio::select! {
            biased;
            error = gate.failure_after(seen) => return Err(error),
            only = self.opening.lock() => only,
        };
        if let Some(present) = self.present() {
            return Ok(present);
        }
        let present = gate.pass(self.connect_again()).await?;
        self.put(present.clone());
        self.reconnects.add(1);
        Ok(present)
    }

    /// The first connection tells what kind of server it is.
    async fn connect_first(&self) -> Result<Present> {
        let (mut fresh, place) = self.origin.fresh(Some(RESPONSE)).await?;
        server::check(&mut fresh).await?;
        self.prepare(fresh, place).await
    }

    async fn connect_again(&self) -> Result<Present> {
        let (fresh, place) = self.origin.fresh(Some(RESPONSE)).await?;
        self.prepare(fresh, place).await
    }

    /// Checks a new connection and loads the scripts.
    async fn prepare(&self, mut fresh: Fresh<'_>, place: Option<Place>) -> Result<Present> {
        let generation = (self.clock().monotonic().as_nanos() as u64).max(1);
        self.proven.store(self.millis(), Ordering::Relaxed);
        let data = self.layout.check(&mut fresh, self.namespace()).await?;
        self.compare(data);
        fresh.load(&self.scripts).await?;
        let (connection, place) = (fresh.into_connection(), place.map(Arc::new));
        Ok(Present { generation, connection, silence: Arc::default(), place })
    }

    fn compare(&self, data: DataId) {
        let before = self.data.lock().unwrap_or_else(PoisonError::into_inner).replace(data.clone());
        if before.is_some_and(|before| before != data) {
            tracing::error!(
                server = self.shown(),
                namespace = %self.namespace(),
                "the server has lost its data: tasks and results from before are gone; set appendonly yes"
            );
        }
    }

    fn under_way(&self, present: &Present) -> UnderWay<'_> {
        let (silence, begun) = (Arc::clone(&present.silence), self.clock().monotonic());
        UnderWay { link: self, generation: present.generation, silence, begun, answered: false }
    }

    /// Forgets a broken connection, unless somebody has replaced it already.
    fn broken(&self, generation: u64) {
        let mut present = self.present.write().unwrap_or_else(PoisonError::into_inner);
        if present.as_ref().is_some_and(|present| present.generation == generation) {
            *present = None;
            drop(present);
            self.origin.gate().doubt();
        }
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.clock().monotonic().as_millis()).unwrap_or(u64::MAX)
    }

    fn is_proven(&self) -> bool {
        self.millis().saturating_sub(self.proven.load(Ordering::Relaxed)) < PROOF.as_millis() as u64
    }

    /// What has to be asked beside a call before its answer counts: `true` if the server is no longer the primary.
    fn doubt<'a>(&'a self, present: &Present) -> Option<BoxFuture<'a, bool>> {
        let place = present.place.clone()?;
        let (sentinels, generation) = (self.origin.sentinels()?, present.generation);
        if self.is_proven() {
            return None;
        }
        Some(Box::pin(async move {
            let _only = self.proving.lock().await;
            if self.present().is_none_or(|present| present.generation != generation) {
                return true;
            }
            if self.is_proven() {
                return false;
            }
            let is_demoted = sentinels.have_another_than(&place).await;
            self.proven.store(self.millis(), Ordering::Relaxed);
            if is_demoted {
                tracing::warn!(
                    server = self.shown(),
                    host = place.host,
                    port = place.port,
                    "it is no longer the primary"
                );
                self.broken(generation);
            }
            is_demoted
        }))
    }

    /// Asks the sentinels, if there are any, whether the server of this generation is still the primary; leaves it if not.
    pub(super) async fn prove(&self, generation: u64) {
        self.proven.store(0, Ordering::Relaxed);
        let present = self.present().filter(|present| present.generation == generation);
        if let Some(doubt) = present.and_then(|present| self.doubt(&present)) {
            doubt.await;
        }
    }

    /// A connection that was opened beside this generation is silent: so may be the link itself.
    pub(super) fn silent(&self, operation: &'static str, generation: u64) -> Error {
        self.broken(generation);
        Error::new(ErrorKind::Unavailable, operation, self.shown()).because("no answer")
    }

    /// Sends a command. An answer counts only if the server is the primary.
    async fn answer(&self, present: &mut Present, command: &Cmd) -> Result<Value, RedisError> {
        match self.doubt(present) {
            None => refusal(present.connection.send_packed_command(command).await),
            Some(doubt) => match join(present.connection.send_packed_command(command), doubt).await {
                (answer, false) => refusal(answer),
                (_, true) => Err((redis::ErrorKind::Io, "the sentinels name another primary").into()),
            },
        }
    }

    /// A plain command.
    pub(super) async fn command(&self, operation: &'static str, command: &Cmd) -> Result<Value> {
        let mut present = self.connected().await?;
        let under_way = self.under_way(&present);
        let answer = self.answer(&mut present, command).await;
        under_way.answered();
        answer.map_err(|error| self.lost(operation, present.generation, error))
    }

    /// Runs a script on a queue's prefix; `arguments` are added to the command.
    pub(super) async fn script(
        &self,
        operation: &'static str,
        script: Script,
        prefix: &str,
        arguments: impl FnOnce(&mut Cmd),
    ) -> Result<Value> {
        let mut present = self.connected().await?;
        let command = self.call_of(script, prefix, arguments);
        let under_way = self.under_way(&present);
        let answer = match self.answer(&mut present, &command).await {
            // The server has forgotten its scripts: it was restarted or flushed. The source can be forgotten by nobody.
            Err(error) if is_forgotten(&error) => {
                let whole = self.with_source(&command, script);
                self.answer(&mut present, &whole).await
            }
            answer => answer,
        };
        under_way.answered();
        answer.map_err(|error| self.lost(operation, present.generation, error))
    }

    /// The call of a script by its name.
    pub(super) fn call_of(&self, script: Script, prefix: &str, arguments: impl FnOnce(&mut Cmd)) -> Cmd {
        let mut command = Cmd::with_capacity(12, 384);
        command.arg("EVALSHA");
        command.arg(self.scripts.name(script)).arg(1).arg(prefix);
        arguments(&mut command);
        command
    }

    /// The same call with the script's source instead of its name.
    pub(super) fn with_source(&self, command: &Cmd, script: Script) -> Cmd {
        let mut whole = redis::cmd("EVAL");
        whole.arg(&self.scripts.sources()[script as usize]);
        for argument in command.args_iter().skip(2) {
            if let Arg::Simple(bytes) = argument {
                whole.arg(bytes);
            }
        }
        whole
    }

    fn lost(&self, operation: &'static str, generation: u64, error: RedisError) -> Error {
        if breaks_connection(&error) {
            self.broken(generation);
        }
        failed(operation, self.shown(), error)
    }

    /// The same of a connection that was opened beside that generation: what broke may be that connection alone.
    pub(super) fn lost_beside(&self, operation: &'static str, generation: u64, error: RedisError) -> Error {
        if is_of_replica(&error) {
            self.broken(generation);
        } else if breaks_connection(&error) {
            self.origin.gate().doubt();
        }
        failed(operation, self.shown(), error)
    }
}

/// Whether the server does not know the script: it was restarted, flushed, or is another one.
pub(super) fn is_forgotten(error: &RedisError) -> bool {
    error.kind() == redis::ErrorKind::Server(ServerErrorKind::NoScript)
}

/// What the server refuses comes as a value.
pub(super) fn refusal(answer: Result<Value, RedisError>) -> Result<Value, RedisError> {
    match answer {
        Ok(Value::ServerError(error)) => Err(error.into()),
        answer => answer,
    }
}
