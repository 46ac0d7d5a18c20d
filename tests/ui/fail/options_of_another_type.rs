//! Expressions that are not of the type of their option: the compiler says so at the expression.

#![allow(unused)]

use std::time::Duration;

use taskq::task;

const SECONDS: u64 = 30;

#[task(timeout = SECONDS)]
fn seconds() {}

#[task(retry = Duration::from_secs(SECONDS))]
fn duration() {}

#[task(name = SECONDS)]
fn number_as_name() {}

fn main() {}
