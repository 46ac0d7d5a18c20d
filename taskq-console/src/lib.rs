//! taskq for the people who run it. It looks through the contracts of [`taskq_core`] and knows no broker.

#[cfg(feature = "dashboard")]
pub mod dashboard;
#[cfg(feature = "dashboard")]
mod roll;
#[cfg(feature = "dashboard")]
mod search;
#[cfg(feature = "dashboard")]
mod why;
#[cfg(feature = "dashboard")]
mod words;
