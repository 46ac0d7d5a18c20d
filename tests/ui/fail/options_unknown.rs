//! Options that there are not, and options given twice.

#![allow(unused)]

use taskq::task;

#[task(queu = "mail")]
fn nearly_right() {}

#[task(concurrency = 5)]
fn far_off() {}

#[task(queue = "mail", priority = 1, queue = "news")]
fn twice() {}

#[task(no_result, result_ttl = std::time::Duration::from_secs(60))]
fn contradiction() {}

#[task(retry(5))]
fn another_shape() {}

#[task("mail")]
fn no_option() {}

fn main() {}
