//! [`Visitor`]: who asks, and what they may do.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use axum::{
    extract::{ConnectInfo, Request},
    http::{HeaderMap, header},
};

use super::{
    limits,
    options::{Access, Options, ProxyIdentity, Role},
    sessions::Sessions,
};

/// The cookie of a session.
pub(super) const COOKIE: &str = "taskq_session";

/// Somebody who may look.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    /// Their name, if anybody knows it.
    pub(super) name: Option<String>,
    pub(super) role: Role,
    /// What their forms' token follows from: another one for each session, and for each person.
    pub(super) key: String,
    /// Whether they can sign out.
    pub(super) has_session: bool,
}

/// Why somebody may not look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// They have to sign in.
    SignIn,
    /// They cannot change that.
    Forbidden(&'static str),
}

/// The address at the other end of the connection, if the server tells.
pub(super) fn peer(request: &Request) -> Option<IpAddr> {
    let info = request.extensions().get::<ConnectInfo<SocketAddr>>();
    info.map(|ConnectInfo(address)| address.ip().to_canonical())
}

/// Whether a proxy says that it passes on what another machine asks.
fn came_by_proxy(headers: &HeaderMap) -> bool {
    ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"]
        .iter()
        .any(|name| headers.contains_key(*name))
}

/// Who asks.
pub(super) fn identify(
    options: &Options,
    sessions: &Sessions,
    headers: &HeaderMap,
    peer: Option<IpAddr>,
    now: Duration,
) -> Result<Visitor, Refusal> {
    match &options.access {
        Access::Loopback => match peer {
            Some(peer) if peer.is_loopback() && came_by_proxy(headers) => Err(Refusal::Forbidden(
                "A proxy stands before this dashboard, which is only for the machine where it runs: set up who may look (--accounts or --proxy-header).",
            )),
            Some(peer) if peer.is_loopback() => Ok(somebody("loopback", Role::Operator)),
            Some(_) => Err(Refusal::Forbidden("This dashboard is only for browsers on the machine where it runs.")),
            // A name in a header proves nothing, so without the address nobody is let in.
            None => Err(Refusal::Forbidden(
                "The server does not tell who asks. Serve it with into_make_service_with_connect_info::<SocketAddr>(), or set up who may look.",
            )),
        },
        Access::Accounts(_) => {
            let secret = cookie(headers).ok_or(Refusal::SignIn)?;
            let (name, role) = sessions.find(secret, now).ok_or(Refusal::SignIn)?;
            Ok(Visitor { name: Some(name), role, key: secret.to_owned(), has_session: true })
        }
        Access::Proxy(proxy) => by_proxy(proxy, headers, peer),
        Access::App(role) => Ok(somebody("app", *role)),
    }
}

fn somebody(key: &str, role: Role) -> Visitor {
    Visitor { name: None, role, key: key.to_owned(), has_session: false }
}

fn by_proxy(proxy: &ProxyIdentity, headers: &HeaderMap, peer: Option<IpAddr>) -> Result<Visitor, Refusal> {
    if !peer.is_some_and(|peer| proxy.peers.contains(&peer)) {
        return Err(Refusal::Forbidden("This dashboard is reached only through its reverse proxy."));
    }
    // A second header would be one that a browser sent and the proxy did not take away.
    let mut names = headers.get_all(&proxy.header).iter();
    let (Some(name), None) = (names.next(), names.next()) else {
        return Err(Refusal::Forbidden("The reverse proxy does not say who you are."));
    };
    let name = name.to_str().ok().map(str::trim).filter(|name| !name.is_empty() && name.len() <= limits::MAX_PERSON);
    let Some(name) = name else {
        return Err(Refusal::Forbidden("The reverse proxy says who you are in a way that cannot be read."));
    };
    let role = match proxy.operators.iter().any(|operator| operator == name) {
        true => Role::Operator,
        false => Role::Viewer,
    };
    Ok(Visitor { name: Some(name.to_owned()), role, key: format!("proxy {name}"), has_session: false })
}

/// The secret that a browser sends.
pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, secret)| secret).filter(|secret| secret.len() == 64)
}
