//! The program `taskq`: looks into a broker and operates it. It has no tasks of its own, so it runs none but health checks.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    taskq::app().main().await
}
