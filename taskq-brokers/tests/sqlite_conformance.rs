//! Every promise of the contract, on a SQLite file.

#![cfg(feature = "sqlite")]

use std::time::Duration;

use async_trait::async_trait;
use taskq_core::{Clock, Connection, Timestamp, broker_conformance, clock::Simulation, conformance::Harness};
use tempfile::TempDir;

struct SqliteHarness {
    connection: Connection,
    simulation: Simulation,
    _folder: TempDir,
}

#[async_trait]
impl Harness for SqliteHarness {
    fn connection(&self) -> Connection {
        self.connection.clone()
    }

    async fn advance(&self, duration: Duration) {
        self.simulation.advance(duration).await;
    }
}

async fn harness() -> SqliteHarness {
    let folder = tempfile::tempdir().expect("a folder");
    let (clock, simulation) = Clock::simulated(Timestamp::from_millis(1_790_000_000_000));
    let url = format!("sqlite://{}/taskq.db", folder.path().display());
    let connection = taskq_brokers::sqlite::connect(&url, clock).await.expect("opens");
    SqliteHarness { connection, simulation, _folder: folder }
}

broker_conformance!(crate::harness);
