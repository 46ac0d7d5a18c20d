//! The body of an async task moves between threads.

#![allow(unused)]

use std::rc::Rc;

use taskq::task;

async fn pause() {}

#[task]
async fn count() -> usize {
    let shared = Rc::new(1);
    pause().await;
    *shared
}

fn main() {}
