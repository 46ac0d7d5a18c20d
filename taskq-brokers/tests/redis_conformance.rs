//! Redis keeps every promise of the contract, for whoever may do everything and for a user with the rights of a worker. Its
//! time is the server's own, shifted by the tests instead of waited for.
#![cfg(feature = "redis")]

#[path = "redis/rights.rs"]
mod rights;

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

/// A server for whoever may do everything.
async fn redis() -> Redis {
    on(RedisServer::start()).await
}

/// A server whose only way in is the user for workers, as the document has it.
async fn redis_for_a_worker() -> Redis {
    on(RedisServer::builder().user("shop-worker", "pw", &rights::rights_of("shop-worker")).start()).await
}

async fn on(server: RedisServer) -> Redis {
    let connection = connect_with_shifted_time(&server.url(), Clock::system()).await.expect("opens");
    Redis { connection, server }
}

broker_conformance!(super::redis);

mod with_the_rights_of_a_worker {
    taskq_core::broker_conformance!(crate::redis_for_a_worker);
}
