//! Doors to the hot private parts, for the gate on their instruction counts (`benches/instructions`) and for nobody else.

use taskq_core::{
    Envelope, QueueName, Result,
    broker::Settlement,
    id::{DeliveryToken, Owner},
};

use super::{element, held, successes::Successes};

/// The element that is kept of a new task.
pub fn encode_element(envelope: &Envelope) -> Vec<u8> {
    element::encode(envelope, None)
}

/// The task of an element.
pub fn decode_element(queue: &QueueName, element: &[u8]) -> Result<Envelope> {
    element::decode(queue, element)?.envelope
}

/// The token of a task by its position in a claimed batch.
pub fn token(batch: u64, position: u8) -> DeliveryToken {
    held::token(batch, position)
}

/// The command that settles successes, as it goes to the server.
pub fn settle_command(settlements: &[Settlement], owner: Owner) -> Vec<u8> {
    let mut command = redis::cmd("EVALSHA");
    Successes::new(settlements).arguments(&mut command, owner);
    command.get_packed_command()
}
