//! taskq for the people who run it. It looks through the contracts of [`taskq_core`] and knows no broker.

#[cfg(feature = "cli")]
pub mod commands;
#[cfg(feature = "dashboard")]
pub mod dashboard;
#[cfg(any(feature = "cli", feature = "dashboard"))]
mod roll;
#[cfg(any(feature = "cli", feature = "dashboard"))]
mod said;
#[cfg(any(feature = "cli", feature = "dashboard"))]
mod search;
#[cfg(any(feature = "cli", feature = "dashboard"))]
mod why;
#[cfg(any(feature = "cli", feature = "dashboard"))]
mod words;
