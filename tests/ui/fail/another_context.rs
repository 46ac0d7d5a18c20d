//! A type that is only called like the context: the compiler shows where the two differ.

#![allow(unused)]

use taskq::task;

struct Context;

#[task]
fn draw(context: &Context, width: u32) {}

fn main() {}
