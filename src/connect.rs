//! From a URL to a connection: the one list of brokers.

use taskq_core::{Clock, Connection, Error, Result, broker::memory};

/// Opens the broker that `url` names.
///
/// | URL | broker | feature |
/// |---|---|---|
/// | `sqlite://path.db`, `sqlite:///absolute/path.db` | a file; nothing to install | `sqlite` |
/// | `redis://user:password@host:port/db`, `rediss://..` | Redis 7.0 or newer, Valkey | `redis`, `tls` |
/// | `redis-sentinel://user:password@host1,host2/NAME`, `rediss-sentinel://..` | the same, watched by Sentinel | `redis`, `tls` |
/// | `memory://` | this process's memory, for tests | |
///
/// `?namespace=name` lets several apps share one broker; further parameters are listed in `docs/brokers.md`.
///
/// # Errors
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a URL that names no broker,
/// [`Unavailable`](crate::ErrorKind::Unavailable) if it cannot be reached,
/// [`Refused`](crate::ErrorKind::Refused) for a wrong password or unsafe settings,
/// [`Layout`](crate::ErrorKind::Layout) if a newer taskq wrote the data.
pub async fn connect(url: &str) -> Result<Connection> {
    connect_with(url, Clock::system()).await
}

/// The same with another clock, for tests.
///
/// # Errors
/// As [`connect`].
pub async fn connect_with(url: &str, clock: Clock) -> Result<Connection> {
    let connection = open(url, clock).await?;
    #[cfg(feature = "otel")]
    let connection = connection.with_propagator(crate::otel::TraceContext);
    Ok(connection)
}

async fn open(url: &str, clock: Clock) -> Result<Connection> {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    match scheme {
        "memory" => Ok(memory::connect(clock)),
        #[cfg(feature = "sqlite")]
        "sqlite" => taskq_brokers::sqlite::connect(url, clock).await,
        #[cfg(feature = "redis")]
        "redis" | "rediss" | "redis-sentinel" | "rediss-sentinel" => taskq_brokers::redis::connect(url, clock).await,
        #[cfg(not(feature = "sqlite"))]
        "sqlite" => Err(without_feature("sqlite")),
        #[cfg(not(feature = "redis"))]
        "redis" | "rediss" | "redis-sentinel" | "rediss-sentinel" => Err(without_feature("redis")),
        _ => Err(unknown(scheme)),
    }
}

#[cfg(any(not(feature = "sqlite"), not(feature = "redis")))]
fn without_feature(feature: &'static str) -> Error {
    let cure = format!("this program was built without the feature \"{feature}\" of taskq-rs; enable it in Cargo.toml");
    Error::new(taskq_core::ErrorKind::Unsupported, "connect to", format!("{feature}://")).because(cure)
}

/// Never shows more than the scheme: the rest may hold a password.
fn unknown(scheme: &str) -> Error {
    let shown =
        if scheme.is_empty() { "a URL without a scheme".to_owned() } else { format!("{}://", scheme.escape_debug()) };
    Error::invalid(
        "connect to",
        shown,
        "use sqlite://path, redis://host, rediss://host, redis-sentinel://host1,host2/NAME or memory://",
    )
}
