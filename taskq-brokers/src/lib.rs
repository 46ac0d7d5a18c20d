//! The brokers of taskq: SQLite and Redis behind one contract

#[cfg(any(feature = "redis", feature = "sqlite"))]
#[doc(hidden)]
pub mod patch;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "sqlite")]
pub mod sqlite;
