//! Literals that cannot be the value of their option.

#![allow(unused)]

use taskq::task;

#[task(
    name = 5,
    queue = "to:mail",
    retry = 5,
    timeout = 30,
    priority = 10,
    expires_in = "1h",
    max_deliveries = 0,
    unique = true,
    result_ttl = 1.5,
    no_result = true,
    crate = "taskq"
)]
fn literals() {}

#[task(name, queue, retry, timeout, priority, expires_in, max_deliveries, unique, result_ttl, crate)]
fn no_values() {}

#[task(priority = -1)]
fn negative() {}

#[task(priority = "high", name = "")]
fn text_for_a_number() {}

fn main() {}
