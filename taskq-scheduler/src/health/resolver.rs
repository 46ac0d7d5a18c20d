//! [`Resolver`]: from a name to its addresses. A look asks once for each name, and connects to nothing else than the answer.

use std::{fmt, io, net::IpAddr};

use futures_util::future::BoxFuture;

/// Finds the addresses of a name.
pub trait Resolver: fmt::Debug + Send + Sync {
    /// All addresses of `host`, which is a name and no address.
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// As the system does it: the file of hosts, and DNS.
#[derive(Debug)]
pub(crate) struct System;

impl Resolver for System {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        // On a thread of the runtime's pool, as the system has no other way; dropped, that thread ends by itself.
        Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.map(|place| place.ip()).collect()) })
    }
}
