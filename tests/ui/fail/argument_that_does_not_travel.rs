//! An argument has to be `Serialize` and `Deserialize`.

#![allow(unused)]

use taskq::task;

struct Address;

#[task]
fn send(to: Address) {}

fn main() {}
