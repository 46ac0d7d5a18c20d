//! The reference broker keeps every promise of the contract.
#![cfg(feature = "conformance")]

use std::time::Duration;

use async_trait::async_trait;
use taskq_core::{
    Clock, Connection, Timestamp, broker::memory, broker_conformance, clock::Simulation, conformance::Harness,
};

struct Memory {
    connection: Connection,
    simulation: Simulation,
}

#[async_trait]
impl Harness for Memory {
    fn connection(&self) -> Connection {
        self.connection.clone()
    }

    async fn advance(&self, duration: Duration) {
        self.simulation.advance(duration).await;
    }
}

async fn memory() -> Memory {
    let (clock, simulation) = Clock::simulated(Timestamp::from_millis(1_800_000_000_000));
    Memory { connection: memory::connect(clock), simulation }
}

broker_conformance!(super::memory);
