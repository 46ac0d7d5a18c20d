//! Waiting for work: a blocking pop of doorbells, never of tasks, on connections of their own.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use redis::{AsyncConnectionConfig, Value, aio::MultiplexedConnection};
use taskq_core::{QueueName, Result, id::Owner};

use super::{broker::prefix_of, failure::failed, link::Link};

/// How much longer than asked a blocking pop may take before its connection counts as dead.
const WATCHDOG: Duration = Duration::from_secs(1);

/// The shortest block: zero would mean for ever.
const SHORTEST: Duration = Duration::from_millis(10);

/// Connections that nobody waits on at the moment. One that is waited on belongs to its waiter, and is dropped with it:
/// a driver that gives up on a blocking command leaves it running on the server.
#[derive(Debug, Default)]
pub(super) struct Bells(Mutex<Vec<MultiplexedConnection>>);

impl Bells {
    /// Returns when one of the owner's bells has rung, or after `bound`.
    pub(super) async fn wait(
        &self,
        link: &Link,
        namespace: &str,
        waiting: &[(Owner, QueueName)],
        bound: Duration,
    ) -> Result<()> {
        if waiting.is_empty() {
            link.clock().sleep(bound).await;
            return Ok(());
        }
        let mut connection = self.connection(link).await?;
        let mut pop = redis::cmd("BLPOP");
        for (owner, queue) in waiting {
            pop.arg(format!("{}bell:{owner}", prefix_of(namespace, queue)));
        }
        pop.arg(bound.max(SHORTEST).as_secs_f64());
        let popped = connection.send_packed_command(&pop);
        match link.clock().timeout(bound + WATCHDOG, popped).await {
            Ok(Ok(Value::ServerError(error))) => Err(failed("wait for work at", link.shown(), error.into())),
            Ok(Ok(_)) => {
                self.0.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
                Ok(())
            }
            Ok(Err(error)) => Err(failed("wait for work at", link.shown(), error)),
            // The connection is dead without a word. It is dropped, and the caller looks for itself.
            Err(_) => Ok(()),
        }
    }

    async fn connection(&self, link: &Link) -> Result<MultiplexedConnection> {
        let resting = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(connection) = resting {
            return Ok(connection);
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(3)))
            .set_response_timeout(None);
        let opened = link.client().get_multiplexed_async_connection_with_config(&config).await;
        opened.map_err(|error| failed("connect to", link.shown(), error))
    }
}
