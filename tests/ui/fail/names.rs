//! Names that no broker takes.

#![allow(unused)]

use taskq::task;

#[task(name = "mail/send")]
fn slash() {}

#[task]
fn größe(meter: u32) -> u32 {
    meter
}

#[task(queue = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")]
fn long() {}

fn main() {}
