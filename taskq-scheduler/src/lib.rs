//! The scheduler of taskq: enqueues tasks by schedules, each tick exactly once, however many schedulers run.
//!
//! ```text
//!            elector (own thread)                   ticker
//!  broker <- stands, renews, resigns -- leads -->   reads entries, waits for the next fire time,   --> broker
//!            hears when to follow                   fires: cursor and tasks in one step
//! ```
//!
//! `elector.rs` has the protocol of leadership in prose. [`taskq_core::schedules`] says why no tick is lost or doubled.
//! [`schedule`] says when tasks are due, and knows neither clock nor broker. A scheduler never meets a worker: what it
//! enqueues is a task like any other.

mod scheduler;

mod entry;
mod misfire;
mod overlap;
pub mod schedule;

#[cfg(feature = "health")]
pub mod alert;
#[cfg(feature = "health")]
pub mod health;

mod elector;
mod ticker;

mod book;
mod declaration;
mod entries;
mod length;
mod recipe;
mod report;
#[cfg(feature = "health")]
mod secret;
mod shared;
#[cfg(feature = "health")]
mod table;
mod tally;
mod view;

pub use entries::Entries;
pub use entry::Entry;
pub use misfire::Misfire;
pub use overlap::Overlap;
pub use schedule::{Period, Schedule, at, calendar, cron, every};
pub use scheduler::{Pulse, Reloader, Scheduler, SchedulerBuilder, SchedulerHandle};
pub use tally::Tally;
pub use taskq_core::{EntryId, EntryName, EntryOrigin, FireTime};
pub use view::EntryView;
