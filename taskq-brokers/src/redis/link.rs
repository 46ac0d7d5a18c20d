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

use redis::{Arg, Client, Cmd, RedisError, ServerErrorKind, Value, aio::MultiplexedConnection};
use taskq_core::{Clock, Error, ErrorKind, Namespace, Result, retry::fraction};

use super::{
    address::Address,
    failure::{breaks_connection, failed},
    fresh::Fresh,
    layout::{DataId, Layout},
    script::{Script, Scripts, Time},
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

/// After a failed attempt to connect, the next one waits this long and up to as long again: at most four a second.
const RECONNECT: Duration = Duration::from_millis(250);

/// The connection for commands.
#[derive(Debug)]
pub(super) struct Link {
    client: Client,
    shown: String,
    clock: Clock,
    namespace: Namespace,
    layout: Layout,
    scripts: Scripts,
    present: RwLock<Option<Present>>,
    opening: tokio::sync::Mutex<()>,
    failed: Mutex<Option<Failed>>,
    /// What the server held when a connection was last opened.
    data: Mutex<Option<DataId>>,
}

#[derive(Clone, Debug)]
struct Present {
    generation: u64,
    connection: MultiplexedConnection,
    silence: Arc<Silence>,
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
        let now = self.link.clock.monotonic();
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

/// The last attempt to connect that failed.
#[derive(Debug)]
struct Failed {
    again_at: Duration,
    kind: ErrorKind,
    text: String,
}

impl Link {
    pub(super) async fn open(address: &Address, clock: Clock, time: Time, layout: Layout) -> Result<Self> {
        let link = Self {
            client: address.client()?,
            shown: address.shown().to_owned(),
            clock,
            namespace: address.namespace().clone(),
            layout,
            scripts: Scripts::new(time, address.namespace()),
            present: RwLock::new(None),
            opening: tokio::sync::Mutex::new(()),
            failed: Mutex::new(None),
            data: Mutex::new(None),
        };
        let mut first = Fresh::open(&link.client, &link.shown, Some(RESPONSE)).await?;
        server::check(&mut first).await?;
        let connection = link.prepare(first).await?;
        link.put(Present { generation: 0, connection, silence: Arc::default() });
        Ok(link)
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    pub(super) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Which connection is the present one; connects if there is none. What was learned on another may no longer hold.
    pub(super) async fn generation(&self) -> Result<u64> {
        let known = self.present.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(|it| it.generation);
        match known {
            Some(generation) => Ok(generation),
            None => Ok(self.connect_once().await?.generation),
        }
    }

    fn present(&self) -> Option<Present> {
        self.present.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn put(&self, present: Present) {
        *self.present.write().unwrap_or_else(PoisonError::into_inner) = Some(present);
    }

    async fn connected(&self) -> Result<Present> {
        match self.present() {
            Some(present) => Ok(present),
            None => self.connect_once().await,
        }
    }

    /// Opens the connection anew; many callers at once make one attempt.
    async fn connect_once(&self) -> Result<Present> {
        let _only = self.opening.lock().await;
        if let Some(present) = self.present() {
            return Ok(present);
        }
        self.recently_failed()?;
        let generation = self.clock.monotonic().as_nanos() as u64;
        match self.connect_again().await {
            Ok(connection) => {
                let present = Present { generation, connection, silence: Arc::default() };
                self.put(present.clone());
                Ok(present)
            }
            Err(error) => {
                self.remember(&error, generation);
                Err(error)
            }
        }
    }

    fn recently_failed(&self) -> Result<()> {
        match &*self.failed.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(failed) if self.clock.monotonic() < failed.again_at => {
                Err(Error::new(failed.kind, "connect to", &self.shown).because(failed.text.clone()))
            }
            _ => Ok(()),
        }
    }

    fn remember(&self, error: &Error, seed: u64) {
        let again_at = self.clock.monotonic() + RECONNECT + fraction(RECONNECT, seed);
        let text = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        let failed = Failed { again_at, kind: error.kind(), text };
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(failed);
    }

    async fn connect_again(&self) -> Result<MultiplexedConnection> {
        self.prepare(Fresh::open(&self.client, &self.shown, Some(RESPONSE)).await?).await
    }

    /// Checks a new connection and loads the scripts.
    async fn prepare(&self, mut fresh: Fresh<'_>) -> Result<MultiplexedConnection> {
        let data = self.layout.check(&mut fresh, &self.namespace).await?;
        self.compare(data);
        fresh.load(&self.scripts).await?;
        Ok(fresh.into_connection())
    }

    fn compare(&self, data: DataId) {
        let before = self.data.lock().unwrap_or_else(PoisonError::into_inner).replace(data.clone());
        if before.is_some_and(|before| before != data) {
            tracing::error!(
                server = self.shown,
                namespace = %self.namespace,
                "the server has lost its data: tasks and results from before are gone; set appendonly yes"
            );
        }
    }

    fn under_way(&self, present: &Present) -> UnderWay<'_> {
        let (silence, begun) = (Arc::clone(&present.silence), self.clock.monotonic());
        UnderWay { link: self, generation: present.generation, silence, begun, answered: false }
    }

    /// Forgets a broken connection, unless somebody has replaced it already.
    fn broken(&self, generation: u64) {
        let mut present = self.present.write().unwrap_or_else(PoisonError::into_inner);
        if present.as_ref().is_some_and(|present| present.generation == generation) {
            *present = None;
        }
    }

    /// A plain command.
    pub(super) async fn command(&self, operation: &'static str, command: &Cmd) -> Result<Value> {
        let mut present = self.connected().await?;
        let under_way = self.under_way(&present);
        let answer = refusal(present.connection.send_packed_command(command).await);
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
        let mut command = Cmd::with_capacity(12, 384);
        command.arg("EVALSHA");
        command.arg(self.scripts.name(script)).arg(1).arg(prefix);
        arguments(&mut command);
        let under_way = self.under_way(&present);
        let answer = present.connection.send_packed_command(&command).await;
        let answer = match refusal(answer) {
            // The server has forgotten its scripts: it was restarted or flushed. The source can be forgotten by nobody.
            Err(error) if error.kind() == redis::ErrorKind::Server(ServerErrorKind::NoScript) => {
                let whole = with_source(&command, &self.scripts.sources()[script as usize]);
                refusal(present.connection.send_packed_command(&whole).await)
            }
            answer => answer,
        };
        under_way.answered();
        answer.map_err(|error| self.lost(operation, present.generation, error))
    }

    fn lost(&self, operation: &'static str, generation: u64, error: RedisError) -> Error {
        if breaks_connection(&error) {
            self.broken(generation);
        }
        failed(operation, &self.shown, error)
    }
}

/// What the server refuses comes as a value.
fn refusal(answer: Result<Value, RedisError>) -> Result<Value, RedisError> {
    match answer {
        Ok(Value::ServerError(error)) => Err(error.into()),
        answer => answer,
    }
}

/// The same call of a script, with its source instead of its name.
fn with_source(command: &Cmd, source: &str) -> Cmd {
    let mut whole = redis::cmd("EVAL");
    whole.arg(source);
    for argument in command.args_iter().skip(2) {
        if let Arg::Simple(bytes) = argument {
            whole.arg(bytes);
        }
    }
    whole
}
