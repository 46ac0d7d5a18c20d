//! A connection that nobody uses yet: it is checked before anybody does.

use std::time::Duration;

use redis::{AsyncConnectionConfig, Client, Cmd, Value, aio::MultiplexedConnection};
use taskq_core::Result;

use super::{failure::failed, script::Scripts};

/// How long a connection may take to open.
pub(super) const CONNECT: Duration = Duration::from_secs(3);

/// A connection before its first use.
#[derive(Debug)]
pub(super) struct Fresh<'a> {
    connection: MultiplexedConnection,
    shown: &'a str,
}

impl<'a> Fresh<'a> {
    /// Connects. A command may take as long as `response`; without one it may wait for ever.
    pub(super) async fn open(client: &Client, shown: &'a str, response: Option<Duration>) -> Result<Self> {
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(response);
        match client.get_multiplexed_async_connection_with_config(&config).await {
            Ok(connection) => Ok(Self { connection, shown }),
            Err(error) => Err(failed("connect to", shown, error)),
        }
    }

    pub(super) fn shown(&self) -> &str {
        self.shown
    }

    /// A plain command.
    pub(super) async fn command(&mut self, operation: &'static str, command: &Cmd) -> Result<Value> {
        match self.connection.send_packed_command(command).await {
            Ok(Value::ServerError(error)) => Err(failed(operation, self.shown, error.into())),
            Ok(value) => Ok(value),
            Err(error) => Err(failed(operation, self.shown, error)),
        }
    }

    /// Loads the scripts, in one round trip.
    pub(super) async fn load(&mut self, scripts: &Scripts) -> Result<()> {
        let mut load = redis::pipe();
        for source in scripts.sources() {
            load.cmd("SCRIPT").arg("LOAD").arg(source);
        }
        let names = load.query_async(&mut self.connection).await;
        scripts.named(names.map_err(|error| failed("load scripts at", self.shown, error))?);
        Ok(())
    }

    /// From here on it is in use.
    pub(super) fn into_connection(self) -> MultiplexedConnection {
        self.connection
    }
}
