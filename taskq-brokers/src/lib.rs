//! The brokers of taskq: SQLite and Redis behind one contract

#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "sqlite")]
pub mod sqlite;
