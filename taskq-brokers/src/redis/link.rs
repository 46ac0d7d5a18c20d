//! One multiplexed connection to the server, rebuilt from scratch whenever it breaks.

use std::{
    sync::{Mutex, PoisonError, RwLock},
    time::Duration,
};

use redis::{AsyncConnectionConfig, Client, Cmd, RedisError, ServerErrorKind, Value, aio::MultiplexedConnection};
use taskq_core::{Clock, Error, ErrorKind, Result, retry::fraction};

use super::{
    address::Address,
    failure::{breaks_connection, failed},
    script::{Script, Scripts, Time},
};

/// How long a connection may take to open.
const CONNECT: Duration = Duration::from_secs(3);

/// How long a command may take; longer means that the connection is dead. The driver's own default of half a second is
/// shorter than a loaded server may need.
const RESPONSE: Duration = Duration::from_secs(5);

/// After a failed attempt to connect, the next one waits this long and up to as long again: at most four a second.
const RECONNECT: Duration = Duration::from_millis(250);

/// The connection for commands.
#[derive(Debug)]
pub(super) struct Link {
    client: Client,
    shown: String,
    clock: Clock,
    scripts: Scripts,
    present: RwLock<Option<Present>>,
    opening: tokio::sync::Mutex<()>,
    failed: Mutex<Option<Failed>>,
}

#[derive(Clone, Debug)]
struct Present {
    generation: u64,
    connection: MultiplexedConnection,
}

/// The last attempt to connect that failed.
#[derive(Debug)]
struct Failed {
    again_at: Duration,
    kind: ErrorKind,
    text: String,
}

impl Link {
    pub(super) async fn open(address: &Address, clock: Clock, time: Time) -> Result<Self> {
        let link = Self {
            client: address.client()?,
            shown: address.shown().to_owned(),
            clock,
            scripts: Scripts::new(time, address.namespace()),
            present: RwLock::new(None),
            opening: tokio::sync::Mutex::new(()),
            failed: Mutex::new(None),
        };
        link.connect(0).await?;
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

    fn present(&self) -> Option<Present> {
        self.present.read().unwrap_or_else(PoisonError::into_inner).clone()
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
        self.connect(self.clock.monotonic().as_nanos() as u64).await
    }

    fn recently_failed(&self) -> Result<()> {
        match &*self.failed.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(failed) if self.clock.monotonic() < failed.again_at => {
                Err(Error::new(failed.kind, "connect to", &self.shown).because(failed.text.clone()))
            }
            _ => Ok(()),
        }
    }

    async fn connect(&self, generation: u64) -> Result<Present> {
        match self.try_connect(generation).await {
            Ok(present) => {
                *self.present.write().unwrap_or_else(PoisonError::into_inner) = Some(present.clone());
                Ok(present)
            }
            Err(error) => {
                let error = failed("connect to", &self.shown, error);
                let again_at = self.clock.monotonic() + RECONNECT + fraction(RECONNECT, generation);
                let text = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                let failed = Failed { again_at, kind: error.kind(), text };
                *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(failed);
                Err(error)
            }
        }
    }

    async fn try_connect(&self, generation: u64) -> Result<Present, RedisError> {
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(RESPONSE));
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        let mut load = redis::pipe();
        for source in self.scripts.sources() {
            load.cmd("SCRIPT").arg("LOAD").arg(source);
        }
        self.scripts.named(load.query_async(&mut connection).await?);
        Ok(Present { generation, connection })
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
        match present.connection.send_packed_command(command).await {
            Ok(Value::ServerError(error)) => Err(failed(operation, &self.shown, error.into())),
            Ok(value) => Ok(value),
            Err(error) => Err(self.lost(operation, present.generation, error)),
        }
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
        let mut command = redis::cmd("EVALSHA");
        command.arg(self.scripts.name(script)).arg(1).arg(prefix);
        arguments(&mut command);
        for reloaded in [false, true] {
            let error = match present.connection.send_packed_command(&command).await {
                Ok(Value::ServerError(error)) => error.into(),
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if error.kind() != redis::ErrorKind::Server(ServerErrorKind::NoScript) || reloaded {
                return Err(self.lost(operation, present.generation, error));
            }
            // The server has forgotten its scripts: it was restarted or flushed.
            let mut load = redis::cmd("SCRIPT");
            load.arg("LOAD").arg(&self.scripts.sources()[script as usize]);
            if let Err(error) = present.connection.send_packed_command(&load).await {
                return Err(self.lost(operation, present.generation, error));
            }
        }
        Err(Error::new(ErrorKind::Internal, operation, &self.shown).because("a script was loaded and not found"))
    }

    fn lost(&self, operation: &'static str, generation: u64, error: RedisError) -> Error {
        if breaks_connection(&error) {
            self.broken(generation);
        }
        failed(operation, &self.shown, error)
    }
}
