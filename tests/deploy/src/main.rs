//! The program that units, images and manifests in `deploy/` start, under the name that it has there.

use std::process::ExitCode;

use taskq::prelude::*;

/// Something to do in the queue `default`.
#[task]
async fn greet(name: String) -> String {
    format!("hello, {name}")
}

/// Something to do in the queue `mail`.
#[task(queue = "mail")]
async fn send(to: String) -> String {
    to
}

#[tokio::main]
async fn main() -> ExitCode {
    taskq::app().main().await
}
