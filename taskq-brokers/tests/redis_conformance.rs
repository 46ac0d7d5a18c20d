//! Redis keeps every promise of the contract. Its time is the server's own, shifted by the tests instead of waited for.
#![cfg(feature = "redis")]

use std::time::Duration;

use async_trait::async_trait;
use taskq_brokers::redis::connect_with_shifted_time;
use taskq_core::{Clock, Connection, broker_conformance, conformance::Harness};
use taskq_test_support::RedisServer;

struct Redis {
    connection: Connection,
    server: RedisServer,
}

#[async_trait]
impl Harness for Redis {
    fn connection(&self) -> Connection {
        self.connection.clone()
    }

    async fn advance(&self, duration: Duration) {
        let millis = duration.as_millis().to_string();
        self.server.command(&["INCRBY", "taskq:skew", &millis]);
    }
}

async fn redis() -> Redis {
    let server = RedisServer::start();
    let connection = connect_with_shifted_time(&server.url(), Clock::system()).await.expect("opens");
    Redis { connection, server }
}

broker_conformance!(super::redis);
