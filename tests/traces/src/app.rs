//! A program of one line, whose traces the tests look at.

use std::process::ExitCode;

use taskq::task;

/// Adds.
#[task]
async fn add(a: i64, b: i64) -> i64 {
    a + b
}

#[tokio::main]
async fn main() -> ExitCode {
    taskq::app().main().await
}
