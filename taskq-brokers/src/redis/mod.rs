//! Redis and Valkey: `redis://` and `rediss://`, or `redis-sentinel://` and `rediss-sentinel://`.
//!
//! All keys of one queue share one hash tag, and every transition is one Lua script on that tag: see `scripts/`.

mod address;
mod arguments;
mod batches;
mod bells;
mod broker;
mod documents;
mod element;
mod enqueue;
mod entries;
mod events;
mod examine;
mod failure;
mod families;
mod fleet;
mod fresh;
mod gate;
mod held;
mod inspect;
#[cfg(feature = "instructions")]
#[doc(hidden)]
pub mod instructions;
mod layout;
mod leadership;
mod link;
mod listener;
mod logs;
mod lookup;
mod origin;
mod probe;
mod replicated;
mod reply;
mod resting;
mod rows;
mod script;
mod sentinels;
mod server;
mod service;
mod shelves;
mod successes;
mod trust;
mod witness;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use taskq_core::{Clock, Connection, Result, connection::Opener};

use address::Address;
use broker::RedisBroker;
use gate::Gate;
use layout::Layout;
use script::Time;

pub use probe::probe;

use crate::patch::Patch;

/// Opens `redis://user:password@host:port/db` or `rediss://..`.
///
/// `?namespace=name` prefixes every key (default `taskq`). With TLS, `?ca=/path.pem` trusts this authority instead of the
/// common ones, and `?cert=/path.pem&key=/path.pem` shows the server a client certificate. The files are read anew for
/// every connection.
///
/// `redis-sentinel://user:password@host1,host2:26380/NAME` asks these sentinels where the primary of the service is.
///
/// # Errors
/// `InvalidInput` for a wrong URL, `Unavailable` if the server cannot be reached, `Refused` for wrong credentials or an
/// evicting `maxmemory-policy`, `Unsupported` for a server before 7.0, `Layout` if a newer taskq wrote the data.
pub async fn connect(url: &str, clock: Clock) -> Result<Connection> {
    open(Address::parse(url)?, clock, Time::Server, Layout::PRESENT).await
}

/// The same with a server time that tests can shift: the number at the key `<namespace>:skew`, in milliseconds, is
/// added to it. Not for production: everybody on the namespace must use it.
#[doc(hidden)]
pub async fn connect_with_shifted_time(url: &str, clock: Clock) -> Result<Connection> {
    open(Address::parse(url)?, clock, Time::Shifted(Patch::default()), Layout::PRESENT).await
}

/// The same with a mistake in the scripts.
#[cfg(feature = "seeded-bugs")]
#[doc(hidden)]
pub async fn connect_with_patch(url: &str, clock: Clock, patch: Patch) -> Result<Connection> {
    open(Address::parse(url)?, clock, Time::Shifted(patch), Layout::PRESENT).await
}

/// What is opened from one another shares a gate.
async fn open(address: Address, clock: Clock, time: Time, layout: Layout) -> Result<Connection> {
    let gate = Arc::new(Gate::new(clock.clone()));
    open_behind(gate, address, clock, time, layout).await
}

/// Boxed, since what it opens can open itself again.
fn open_behind(
    gate: Arc<Gate>,
    address: Address,
    clock: Clock,
    time: Time,
    layout: Layout,
) -> BoxFuture<'static, Result<Connection>> {
    Box::pin(async move {
        let shown: Arc<str> = address.shown().into();
        let (again, same_clock) = (address.clone(), clock.clone());
        let broker = RedisBroker::open(address, clock.clone(), time, layout.clone(), Arc::clone(&gate)).await?;
        let opener: Opener =
            Arc::new(move || open_behind(Arc::clone(&gate), again.clone(), same_clock.clone(), time, layout.clone()));
        Ok(Connection::new(Arc::new(broker), shown, clock, opener))
    })
}
