//! When an enqueue is acknowledged.

/// How safe a task is when its enqueueing returns.
///
/// Of a connection ([`Connection::with_durability`](crate::Connection::with_durability)), a client
/// ([`Client::with_durability`](crate::Client::with_durability)) or one invocation
/// ([`Invocation::durability`](crate::Invocation::durability)); the last one that says something counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// The broker has accepted it and keeps it as its settings say: on SQLite see `synchronous`, on Redis `appendfsync`. A
    /// replica that takes over may lack the last moments.
    #[default]
    Accepted,
    /// At least so many replicas have it too, so that it outlives the loss of the primary. Only on Redis, where it costs a
    /// round trip between primary and replica; elsewhere the enqueue fails with
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported). If too few confirm within the deadline, the enqueue fails
    /// though the task may have been accepted; enqueueing it again under the same id is harmless.
    Replicated(u8),
}
