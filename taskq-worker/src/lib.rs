//! The worker of taskq: claims tasks, runs them, settles them. One long-running loop, one file.
//!
//! ```text
//!            fetcher (one a lane)          runner (one an attempt)           settler
//! broker --> takes slots, claims   ------> layers, body, outcome   --------> batches, settles --> broker
//!            heartbeat (own thread): renews leases, hears of cancels and of work to sweep
//!            sweeper: due tasks, dead workers, old results        progress: latest reports
//! ```
//!
//! Users get it through the facade `taskq-rs`.

mod worker;

mod attempts;
mod batch;
mod fetcher;
mod handle;
mod heartbeat;
mod lane;
mod log_sender;
mod meter;
mod plain;
mod progress;
mod readiness;
mod registry;
mod report;
mod runner;
mod settler;
mod shutdown;
mod sweeper;
mod tally;
mod terms;

pub use handle::{Pulse, Stopper, WorkerHandle};
pub use lane::Order;
pub use readiness::Readiness;
pub use registry::check_tasks;
pub use tally::Tally;
pub use worker::{Worker, WorkerBuilder};
