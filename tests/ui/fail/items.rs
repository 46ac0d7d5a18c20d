//! Only functions are tasks.

#![allow(unused)]

use taskq::task;

#[task]
struct SendEmail {
    to: String,
}

#[task]
impl SendEmail {}

#[task]
pub mod mail {}

#[task]
const COUNT: u8 = 1;

fn main() {}
