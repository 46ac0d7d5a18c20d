//! [`Guard`]: where a look may lead. It resolves a name once, judges every address, and hands out the judged addresses: so
//! nobody connects to what was not judged, whatever the name leads to a moment later.

use std::net::{IpAddr, SocketAddr};

use taskq_core::limits::HEALTH_ADDRESSES;
use url::Host;

use super::{
    address::Range,
    allow::Allow,
    finding::{Cause, Reason},
    resolver::Resolver,
};

/// How far the author of a check is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It stands in the configuration of this program: it may lead anywhere.
    Config,
    /// It was added at run time: every address that it leads to has to be listed. It may not name files of this machine,
    /// nor commands.
    Listed(Allow),
}

/// Where a connection leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) host: Host<String>,
    pub(crate) port: u16,
}

impl Place {
    /// The host as lists of names have it: in lower case, an address without brackets.
    fn name(&self) -> String {
        match &self.host {
            Host::Domain(name) => name.to_ascii_lowercase(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        }
    }
}

/// Judges places for one check.
#[derive(Debug)]
pub(crate) struct Guard<'a> {
    trust: &'a Trust,
    resolver: &'a dyn Resolver,
}

impl<'a> Guard<'a> {
    pub(crate) fn new(trust: &'a Trust, resolver: &'a dyn Resolver) -> Self {
        Self { trust, resolver }
    }

    /// Whether the check may name files and commands of this machine.
    pub(super) fn trusts_config(&self) -> bool {
        *self.trust == Trust::Config
    }

    /// Refuses what only the configuration may name.
    pub(super) fn only_by_config(&self, what: &str) -> Result<(), Reason> {
        match self.trusts_config() {
            true => Ok(()),
            false => {
                Err(Reason::new(Cause::Forbidden, format_args!("{what} may only be named in the configuration file")))
            }
        }
    }

    /// The addresses of the target itself.
    pub(crate) async fn target(&self, place: &Place) -> Result<Vec<SocketAddr>, Reason> {
        let addresses = self.resolve(place).await?;
        for address in &addresses {
            self.judge(place, *address)?;
        }
        Ok(at_port(addresses, place.port))
    }

    /// The addresses of a place to which a redirect leads.
    pub(super) async fn redirect(&self, place: &Place, named: &Allow) -> Result<Vec<SocketAddr>, Reason> {
        let addresses = self.resolve(place).await?;
        for address in &addresses {
            self.judge(place, *address)?;
            let range = Range::of(*address);
            if range != Range::Public && !named.admits(&place.name(), place.port, *address) {
                let words = format!(
                    "it redirects to {}, which is {}; name it in redirect_to if that is right",
                    place.name(),
                    range.words()
                );
                return Err(Reason::new(Cause::Forbidden, words));
            }
        }
        Ok(at_port(addresses, place.port))
    }

    fn judge(&self, place: &Place, address: IpAddr) -> Result<(), Reason> {
        match self.trust {
            Trust::Config => Ok(()),
            Trust::Listed(allow) if allow.admits(&place.name(), place.port, address) => Ok(()),
            Trust::Listed(_) => {
                // Not the address: whoever adds checks must not learn from refusals which names lead where.
                let words = format!("{}:{} is not on the list of places for added checks", place.name(), place.port);
                Err(Reason::new(Cause::Forbidden, words))
            }
        }
    }

    async fn resolve(&self, place: &Place) -> Result<Vec<IpAddr>, Reason> {
        let name = match &place.host {
            Host::Ipv4(address) => return Ok(vec![(*address).into()]),
            Host::Ipv6(address) => return Ok(vec![IpAddr::from(*address).to_canonical()]),
            Host::Domain(name) => name,
        };
        let missing = |words: String| Reason::new(Cause::Name, format!("{} {words}", place.name()));
        match self.resolver.resolve(name).await {
            Ok(addresses) if addresses.is_empty() => Err(missing("has no address".to_owned())),
            Ok(addresses) => Ok(addresses.into_iter().map(|address| address.to_canonical()).collect()),
            Err(error) => Err(missing(format!("has no address: {error}"))),
        }
    }
}

fn at_port(addresses: Vec<IpAddr>, port: u16) -> Vec<SocketAddr> {
    addresses.into_iter().take(HEALTH_ADDRESSES).map(|address| SocketAddr::new(address, port)).collect()
}
