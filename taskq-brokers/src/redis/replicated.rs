//! Writes that count only when replicas have them: `WAIT`, on connections of their own, since it holds up whatever is sent
//! behind it.
//!
//! What was written and what is waited for go over one connection, one behind the other. So both are of the same server: a
//! primary that was cut off and replaced has no replica that confirms, whatever its successor says.

use std::time::Duration;

use redis::{Cmd, Value};
use taskq_core::{Error, ErrorKind, QueueName, Result};

use super::{
    failure::breaks_connection,
    link::{Link, is_forgotten, refusal},
    reply,
    resting::Resting,
    script::Script,
};

/// How long replicas get to confirm. Each call is repeated until its deadline; this bounds one attempt on a primary that has
/// lost its replicas.
const CONFIRM: Duration = Duration::from_secs(1);

/// The connections on which was waited.
#[derive(Debug, Default)]
pub(super) struct Replicated(Resting);

impl Replicated {
    /// Runs a script, and answers when at least so many replicas have what it wrote.
    pub(super) async fn run(
        &self,
        link: &Link,
        script: Script,
        queue: &QueueName,
        prefix: &str,
        replicas: u8,
        arguments: impl FnOnce(&mut Cmd),
    ) -> Result<Value> {
        let generation = link.generation().await?;
        let mut command = link.call_of(script, prefix, arguments);
        let mut connection = match self.0.take(generation) {
            Some(rested) => rested,
            None => link.another().await?,
        };
        loop {
            let mut commands = redis::pipe();
            commands.add_command(command.clone());
            // A script that was repeated writes nothing, and what it wrote before is waited for by this.
            commands.cmd("SET").arg(format!("{prefix}rep")).arg(1).arg("EX").arg(60);
            commands.cmd("WAIT").arg(replicas).arg(CONFIRM.as_millis() as u64);
            let sent = connection.send_packed_commands(&commands, 0, 3).await;
            let answers = sent.map_err(|error| self.lost(link, generation, error))?;
            let [answer, mark, confirmed] =
                <[Value; 3]>::try_from(answers).map_err(|_| reply::wrong("three answers"))?;
            match refusal(Ok(answer)) {
                Err(error) if is_forgotten(&error) => command = link.with_source(&command, script),
                Err(error) => return Err(self.lost(link, generation, error)),
                Ok(answer) => {
                    refusal(Ok(mark)).map_err(|error| self.lost(link, generation, error))?;
                    let confirmed = refusal(Ok(confirmed)).map_err(|error| self.lost(link, generation, error))?;
                    self.0.put(generation, connection);
                    return match reply::integer(&confirmed)? {
                        confirmed if confirmed >= i64::from(replicas) => Ok(answer),
                        confirmed => Err(too_few(queue, confirmed, replicas)),
                    };
                }
            }
        }
    }

    fn lost(&self, link: &Link, generation: u64, error: redis::RedisError) -> Error {
        if breaks_connection(&error) {
            self.0.clear();
        }
        link.lost_beside("enqueue at", generation, error)
    }
}

fn too_few(queue: &QueueName, confirmed: i64, wanted: u8) -> Error {
    let text = format!(
        "accepted, and {confirmed} of {wanted} replicas have confirmed within {CONFIRM:?}; it is not safe yet. See \
         master_link_status in the replicas' INFO"
    );
    Error::new(ErrorKind::Unavailable, "enqueue to", queue).because(text)
}
