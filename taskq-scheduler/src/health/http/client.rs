//! The one place that makes an HTTP client: it connects to the given addresses and to nothing else, once for each request.

use std::{net::SocketAddr, sync::Arc};

use reqwest::{
    Client,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use rustls::ClientConfig;

use super::super::finding::{Cause, Reason};

/// The only addresses that a client may connect to.
struct Pinned(Vec<SocketAddr>);

impl Resolve for Pinned {
    fn resolve(&self, _name: Name) -> Resolving {
        let addresses: Addrs = Box::new(self.0.clone().into_iter());
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

/// A client for one request. It follows no redirects and repeats nothing.
pub(crate) fn client(tls: &ClientConfig, addresses: &[SocketAddr], user_agent: &str) -> Result<Client, Reason> {
    Client::builder()
        .dns_resolver(Arc::new(Pinned(addresses.to_vec())))
        .tls_backend_preconfigured(tls.clone())
        .tls_info(true)
        // A proxy of the environment would resolve the name again, and connect for us.
        .no_proxy()
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .pool_max_idle_per_host(0)
        .user_agent(user_agent)
        .build()
        .map_err(|_| Reason::new(Cause::Setup, "no HTTP client can be made"))
}
