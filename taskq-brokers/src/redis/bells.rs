//! Waiting for work: a blocking pop of doorbells, never of tasks, on connections of their own.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::{Cmd, RedisError, Value, aio::MultiplexedConnection};
use taskq_core::{QueueName, Result, id::Owner};

use super::{
    broker::prefix_of,
    failure::{breaks_connection, failed},
    fresh::Fresh,
    link::Link,
};

/// How much longer than asked a blocking pop may take before its connection counts as dead.
const WATCHDOG: Duration = Duration::from_secs(1);

/// The shortest block: zero would mean for ever.
const SHORTEST: Duration = Duration::from_millis(10);

/// Most connections that rest: more than a worker has lanes.
const RESTING: usize = 16;

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
        let mut pop = redis::cmd("BLPOP");
        for (owner, queue) in waiting {
            pop.arg(format!("{}bell:{owner}", prefix_of(namespace, queue)));
        }
        pop.arg(bound.max(SHORTEST).as_secs_f64());
        if let Some(rested) = self.rested() {
            match self.pop(link, rested, &pop, bound).await {
                // It broke while it rested, and so did those that rested beside it.
                Err(error) if breaks_connection(&error) => self.resting().clear(),
                answer => return answer.map_err(|error| failed("wait for work at", link.shown(), error)),
            }
        }
        let opened = Fresh::open(link.client(), link.shown(), None).await?.into_connection();
        let answer = self.pop(link, opened, &pop, bound).await;
        answer.map_err(|error| failed("wait for work at", link.shown(), error))
    }

    /// One blocking pop. The connection rests afterwards if it answered, and is dropped if it did not.
    async fn pop(
        &self,
        link: &Link,
        mut connection: MultiplexedConnection,
        pop: &Cmd,
        bound: Duration,
    ) -> Result<(), RedisError> {
        match link.clock().timeout(bound + WATCHDOG, connection.send_packed_command(pop)).await {
            Ok(Ok(Value::ServerError(error))) => Err(error.into()),
            Ok(Ok(_)) => {
                self.rest(connection);
                Ok(())
            }
            Ok(Err(error)) => Err(error),
            // The connection is dead without a word. It is dropped, and the caller looks for itself.
            Err(_) => Ok(()),
        }
    }

    fn rested(&self) -> Option<MultiplexedConnection> {
        self.resting().pop()
    }

    fn rest(&self, connection: MultiplexedConnection) {
        let mut resting = self.resting();
        if resting.len() < RESTING {
            resting.push(connection);
        }
    }

    fn resting(&self) -> MutexGuard<'_, Vec<MultiplexedConnection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
