//! What the tests stand on: real Redis servers, child processes and temporary folders.
//!
//! The promise: whatever a test starts through this crate is gone when the test ends, passed or
//! failed. Where a test process is itself killed, `cargo xtask test` finds what it left by the pid
//! files that every child writes below `TASKQ_TEST_DIR`.
//!
//! The crate is for tests, so its functions panic in a sentence instead of returning errors, and it
//! knows nothing of taskq: it must be able to judge taskq from outside.
//!
//! ```
//! use taskq_test_support::{Persistence, RedisServer};
//!
//! let mut server = RedisServer::builder().persistence(Persistence::AppendAlways).start();
//! server.command(&["SET", "greeting", "hello"]);
//! server.kill();
//! server.restart();
//! assert_eq!(server.command(&["GET", "greeting"]).text(), "hello");
//! ```

mod redis_server;
mod redis_server_builder;
mod redis_service;

mod certificates;
mod redis_connection;
mod redis_place;
mod redis_program;
mod reserved_port;

mod child_process;
mod fault_proxy;
mod pid_file;
mod printed_lines;

mod corpus;
mod example_program;
mod http_answer;
mod open_metrics;
mod program_run;
mod temp_folder;

pub use certificates::Certificates;
pub use child_process::ChildProcess;
pub use corpus::{corrupt, seeds};
pub use example_program::example_program;
pub use fault_proxy::{Fault, FaultProxy};
pub use http_answer::HttpAnswer;
pub use open_metrics::{MetricFamily, OpenMetrics, Sample};
pub use program_run::ProgramRun;
pub use redis_connection::{RedisConnection, Reply};
pub use redis_program::redis_program;
pub use redis_server::RedisServer;
pub use redis_server_builder::{Persistence, RedisServerBuilder};
pub use redis_service::RedisService;
pub use temp_folder::TempFolder;

/// The variable by which `cargo xtask test` names the folder of one test run: temporary folders
/// and pid files go there, and it is emptied when the run ends, however it ends.
pub const TEST_DIR_VARIABLE: &str = "TASKQ_TEST_DIR";
