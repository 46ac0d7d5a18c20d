//! Everything that is wrong is told at once.

#![allow(unused)]

use taskq::{Context, task};

#[task(queu = "mail", priority = 10)]
unsafe fn send<T>(to: &str, (a, b): (u8, u8), ctx: &Context<T>, body: impl Into<String>) -> impl Clone {
    1
}

fn main() {}
