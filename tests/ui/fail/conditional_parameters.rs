//! Every program has to agree on the arguments of a task.

#![allow(unused)]

use taskq::task;

#[task]
fn send(#[cfg(unix)] path: String, #[cfg_attr(unix, serde(default))] mode: u32) {}

fn main() {}
