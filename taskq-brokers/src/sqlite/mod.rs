//! The embedded broker: one SQLite file, shared by any number of processes of one machine. What it acknowledged is on
//! disk.
//!
//! ```text
//!            Connection  (all clones share one of these)
//!                |
//!          SqliteBroker            broker.rs, inspect.rs, control.rs: the doors
//!           /    |     \
//!      Writer  Reader  Waiting     three threads: group commit; reads that block nobody; who waits for what
//!         |      |        |
//!      file.db (WAL)   file.db-bells/*     one unix datagram socket for each connection that waits
//! ```
//!
//! Every state change is a *step*: a function over an open transaction (`enqueue.rs`, `claim.rs`, `settle.rs`, `lease.rs`,
//! `sweep.rs`, `cancel.rs`, `entries.rs`, `leadership.rs`, `documents.rs`). The writer runs as many steps as are queued in one `BEGIN IMMEDIATE` transaction, each in a
//! savepoint of its own, commits once, answers all, then rings the bells of whoever waits. What gathers in the log is moved
//! into the file beside it (`checkpoint.rs`). `schema.sql` is the table of `state.rs` as columns.

mod address;
mod bell;
mod boot;
mod bounds;
mod broker;
mod busy;
mod cancel;
mod checkpoint;
mod claim;
mod control;
mod documents;
mod enqueue;
mod entries;
mod events;
mod examine;
mod failure;
mod file;
mod find;
mod fleet;
mod inspect;
mod layout;
mod leadership;
mod lease;
mod logs;
mod probe;
mod purge;
mod queue_row;
mod reader;
mod ringer;
mod settle;
mod shelves;
mod step;
mod sweep;
mod task_row;
mod waiting;
mod writer;

use std::{future::Future, path::PathBuf, pin::Pin, sync::Arc};

use taskq_core::{
    clock::Clock,
    connection::{Connection, Opener},
    error::Result,
};

use address::Address;
use broker::SqliteBroker;
use layout::Layout;

pub use probe::probe;

/// Opens, or creates, the SQLite file of `url`.
///
/// `sqlite://relative/path.db` or `sqlite:///absolute/path.db`, with the options `namespace=` (several apps in one file)
/// and `synchronous=full` (the default: what is acknowledged survives power loss) or `synchronous=normal` (it survives a
/// crash of the program, and power loss may take the last moments).
///
/// The file must be on a local disk, in a folder that exists. Anything wrong is an error that names the path and the cure.
pub async fn connect(url: &str, clock: Clock) -> Result<Connection> {
    connect_with(Address::parse(url)?, clock, Layout::present()).await
}

/// [`connect`] with a mistake in the statements.
#[cfg(feature = "seeded-bugs")]
#[doc(hidden)]
pub async fn connect_with_patch(url: &str, clock: Clock, patch: crate::patch::Patch) -> Result<Connection> {
    connect_with(Address { patch, ..Address::parse(url)? }, clock, Layout::present()).await
}

/// The file that a URL names, whether it exists or not.
///
/// # Errors
/// As [`connect`], for a URL that it would not read.
pub fn file_of(url: &str) -> Result<PathBuf> {
    Address::parse(url).map(|address| address.path)
}

/// [`connect`] for a version of the layout that a test chooses.
pub(crate) async fn connect_with(address: Address, clock: Clock, layout: Layout) -> Result<Connection> {
    let broker = SqliteBroker::open(&address, &clock, layout).await?;
    let shown = address.shown();
    let same_clock = clock.clone();
    let opener: Opener = Arc::new(move || open_again(address.clone(), same_clock.clone(), layout));
    Ok(Connection::new(Arc::new(broker), shown, clock, opener))
}

/// Boxed, because opening holds the way to open again.
fn open_again(
    address: Address,
    clock: Clock,
    layout: Layout,
) -> Pin<Box<dyn Future<Output = Result<Connection>> + Send>> {
    Box::pin(connect_with(address, clock, layout))
}
