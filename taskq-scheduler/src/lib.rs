//! When tasks are due. There is no scheduler here yet.
//!
//! [`schedule`] knows neither clock nor broker. The contracts by which a scheduler meets brokers are in `taskq-core`:
//! `Leader` and `Schedules`.

pub mod schedule;

pub use schedule::{Period, Schedule, at, calendar, cron, every};
pub use taskq_core::{EntryName, FireTime};
