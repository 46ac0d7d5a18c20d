//! Waiting for work: a blocking pop of doorbells, never of tasks, on connections of their own.

use std::time::Duration;

use redis::{Pipeline, RedisResult, Value, aio::MultiplexedConnection};
use taskq_core::{QueueName, Result, id::Owner};

use super::{broker::prefix_of, link::Link, resting::Resting};

/// How much longer than asked a blocking pop may take before its connection counts as dead.
const WATCHDOG: Duration = Duration::from_secs(1);

/// The shortest block: zero would mean for ever.
const SHORTEST: Duration = Duration::from_millis(10);

/// The connections on which work was waited for.
#[derive(Debug, Default)]
pub(super) struct Bells(Resting);

/// Which bell rang, by its place among those waited for, and what it brought.
pub(super) type Ring = (usize, Vec<u8>);

impl Bells {
    /// Returns when one of the owner's bells has rung, or after `bound`.
    pub(super) async fn wait(
        &self,
        link: &Link,
        namespace: &str,
        waiting: &[(Owner, QueueName)],
        bound: Duration,
    ) -> Result<Option<Ring>> {
        if waiting.is_empty() {
            link.clock().sleep(bound).await;
            return Ok(None);
        }
        let bells = waiting.iter().map(|(owner, queue)| format!("{}bell:{owner}", prefix_of(namespace, queue)));
        let bells: Vec<String> = bells.collect();
        let mut commands = redis::pipe();
        if let [(owner, queue)] = waiting {
            // Whoever waits for one queue alone can be handed a task with the ring: a half more, see `hand` in the prelude.
            let idle = format!("{}idle", prefix_of(namespace, queue));
            commands.cmd("ZADD").arg(idle).arg("XX").arg("INCR").arg("0.5").arg(owner.to_string());
        }
        commands.cmd("BLPOP").arg(&bells).arg(bound.max(SHORTEST).as_secs_f64());
        let generation = link.generation().await?;
        let connection = match self.0.take(generation) {
            Some(rested) => rested,
            None => link.another().await?,
        };
        let rung = tokio::select! {
            rung = self.pop(link, generation, connection, &commands, bound) => rung,
            // The server may be another one now, and ring nobody here. What a ring brings comes again with the next claim.
            () = link.is_replaced(generation) => return Ok(None),
        };
        if rung.is_err() {
            self.0.clear();
        }
        let rung = rung.map_err(|error| link.lost_beside("wait for work at", generation, error))?;
        Ok(rung.and_then(|(bell, brought)| Some((bells.iter().position(|name| *name == bell)?, brought))))
    }

    /// One blocking pop. The connection rests afterwards if it answered, and is dropped if it did not.
    async fn pop(
        &self,
        link: &Link,
        generation: u64,
        mut connection: MultiplexedConnection,
        commands: &Pipeline,
        bound: Duration,
    ) -> RedisResult<Option<(String, Vec<u8>)>> {
        let count = commands.len();
        let answers = connection.send_packed_commands(commands, 0, count);
        // A connection that is dead without a word may have taken a ring with it.
        let Ok(answers) = link.clock().timeout(bound + WATCHDOG, answers).await else {
            return Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
        };
        let mut answers = answers?;
        for answer in &answers {
            if let Value::ServerError(error) = answer {
                return Err(error.clone().into());
            }
        }
        self.0.put(generation, connection);
        redis::from_redis_value(answers.pop().unwrap_or(Value::Nil)).map_err(Into::into)
    }
}
