//! Workers call a task as an ordinary function.

#![allow(unused)]

use taskq::task;

#[task]
unsafe fn needs_a_promise() {}

#[task]
const fn at_compile_time() {}

#[task]
extern "C" fn from_c() {}

#[task]
pub async unsafe extern "Rust" fn all_at_once() {}

fn main() {}
