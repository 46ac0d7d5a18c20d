//! Testing tasks: the real worker on the broker in memory, under a clock that stands still until told.
//!
//! [`TestQueue`] is one worker for ordinary tests. [`Cluster`] is several, which are killed, stopped and cut off while
//! your tasks run, and everything that happens is checked.
//!
//! ```rust,standalone_crate
//! use std::time::Duration;
//! use taskq::{prelude::*, testing::TestQueue};
//!
//! #[task]
//! async fn remind(ctx: &Context, who: String) -> TaskResult<String> {
//!     ctx.client().enqueue(greet::with(who.clone()).delay(Duration::from_secs(3600))).await?;
//!     Ok(who)
//! }
//!
//! #[task]
//! fn greet(who: String) -> String {
//!     format!("hello {who}")
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let queue = TestQueue::start().await?;
//! queue.client().enqueue(remind::with("ann".into())).await?;
//! queue.run_ready().await;
//! queue.assert_enqueued(&greet::with("ann".into())).await;
//! queue.advance(Duration::from_secs(3600)).await;
//! queue.assert_not_enqueued(&greet::with("ann".into())).await;
//! # Ok(()) }
//! ```

mod checker;
mod cluster;
mod dice;
mod faults;
mod history;
mod network;
mod promise;
mod recorder;
mod test_queue;

pub use checker::Checked;
pub use cluster::{Cluster, ClusterBuilder, Report};
pub use faults::Faults;
pub use promise::{Promise, Violation};
pub use test_queue::TestQueue;
