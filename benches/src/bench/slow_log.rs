//! The longest command by the server's own account. Unlike a PING, it does not see what else the machine does.

use std::time::Duration;

use bench_driver::Outcome;
use taskq_test_support::{RedisServer, Reply};

/// Shorter ones are not noted, so that noting is no load.
const NOTED_FROM: &str = "500";

/// So many are kept: more than there are in any measurement.
const KEPT: &str = "100000";

/// Notes long commands from its start on.
pub(crate) struct SlowLog(());

impl SlowLog {
    pub(crate) fn start(server: &RedisServer) -> Self {
        server.command(&["CONFIG", "SET", "slowlog-log-slower-than", NOTED_FROM, "slowlog-max-len", KEPT]);
        server.command(&["SLOWLOG", "RESET"]);
        Self(())
    }

    /// How long the longest command took; zero if all were short.
    pub(crate) fn longest(self, server: &RedisServer) -> Outcome<Duration> {
        let noted = server.command(&["SLOWLOG", "GET", "-1"]);
        let micros = noted.array().iter().map(|entry| match entry.array() {
            [_number, _time, micros, ..] => Ok(micros.integer().unsigned_abs()),
            other => Err(format!("the server's slow log has {other:?}")),
        });
        let longest = micros.collect::<Result<Vec<u64>, String>>()?.into_iter().max().unwrap_or(0);
        match server.command(&["CONFIG", "SET", "slowlog-log-slower-than", "-1"]) {
            Reply::Error(reason) => Err(reason.into()),
            _ => Ok(Duration::from_micros(longest)),
        }
    }
}
