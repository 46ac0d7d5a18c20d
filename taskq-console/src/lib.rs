//! taskq for the people who run it. It looks through the contracts of [`taskq_core`] and knows no broker.

#[cfg(feature = "dashboard")]
pub mod dashboard;
