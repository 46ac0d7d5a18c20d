//! Counts the commands that clients send, as the server's own `MONITOR` shows them.

use bench_driver::Outcome;
use taskq_test_support::{RedisConnection, RedisServer, Reply};

/// Says that everything before it has been seen.
const END: &str = "taskq-bench: the end";

/// Counts from its start on.
pub(crate) struct Monitor {
    connection: RedisConnection,
}

impl Monitor {
    pub(crate) fn start(server: &RedisServer) -> Outcome<Self> {
        let mut connection = server.connect()?;
        match connection.command(&["MONITOR"])? {
            Reply::Text(ok) if ok == "OK" => Ok(Self { connection }),
            other => Err(format!("the server refuses MONITOR: {other:?}").into()),
        }
    }

    /// How many commands clients have sent since.
    pub(crate) fn count(mut self, server: &RedisServer) -> Outcome<u64> {
        server.command(&["ECHO", END]);
        let mut sent = 0;
        loop {
            let reply = self.connection.next_reply()?;
            match &reply {
                Reply::Text(line) if line.contains(END) => return Ok(sent),
                // Commands that scripts call are not sent by anybody.
                Reply::Text(line) if line.contains(" lua]") => {}
                _ => sent += 1,
            }
        }
    }
}
