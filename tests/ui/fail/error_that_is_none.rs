//! The error of a body has to be an error.

#![allow(unused)]

use taskq::task;

struct NoError;

#[task]
fn own_type() -> Result<u8, NoError> {
    Ok(1)
}

#[task]
async fn not_send() -> Result<(), Box<dyn std::error::Error>> {
    Ok(())
}

fn main() {}
