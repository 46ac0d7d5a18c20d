//! A Redis URL, read and checked; what it shows never holds a secret.

use std::{collections::BTreeMap, time::Duration};

use redis::{
    Client, ConnectionInfo, IntoConnectionInfo,
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};
use taskq_core::{Error, ErrorKind, Namespace, Result, limits};

use super::service::{self, Service};

/// Parameters that every URL may have.
const PARAMETERS: [&str; 2] = ["namespace", "ca"];

/// Where the server is, and under which prefix.
#[derive(Clone, Debug)]
pub(super) struct Address {
    /// The server, or the first sentinel of a service.
    server: ConnectionInfo,
    service: Option<Service>,
    ca: Option<String>,
    namespace: Namespace,
    shown: String,
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self> {
        let shown = redacted(url);
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let scheme = base.split_once("://").map_or("", |(scheme, _)| scheme);
        let is_service = scheme.ends_with("-sentinel");
        let mut parameters = match is_service {
            true => parameters(query, &[&PARAMETERS[..], &service::PARAMETERS[..]].concat(), &shown)?,
            false => parameters(query, &PARAMETERS, &shown)?,
        };
        let namespace = parameters.remove("namespace").unwrap_or_else(|| limits::DEFAULT_NAMESPACE.to_owned());
        let ca = parameters.remove("ca");
        if scheme.starts_with("rediss") {
            prepare_tls(&shown)?;
        } else if ca.is_some() {
            return Err(wrong(&shown, "the parameter ca needs TLS: rediss:// or rediss-sentinel://"));
        }
        let (server, service) = match is_service {
            true => {
                Service::parse(base, &mut parameters).map(|service| (service.sentinels()[0].clone(), Some(service)))
            }
            false => connection_info(base).map(|server| (server, None)),
        }
        .map_err(|cure| wrong(&shown, cure))?;
        Ok(Self { server, service, ca, namespace: Namespace::new(namespace)?, shown })
    }

    /// The URL without its password and parameters.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    pub(super) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The server, if it is always at one place.
    pub(super) fn server(&self) -> &ConnectionInfo {
        &self.server
    }

    /// The service, if sentinels tell where the server is.
    pub(super) fn service(&self) -> Option<&Service> {
        self.service.as_ref()
    }

    /// A client of a server or sentinel of this address.
    pub(super) fn client(&self, info: ConnectionInfo) -> Result<Client> {
        let client = match &self.ca {
            None => Client::open(info),
            Some(path) => self.client_with_ca(info, path)?,
        };
        client.map_err(|error| wrong(&self.shown, error.to_string()))
    }

    #[cfg(feature = "tls")]
    fn client_with_ca(&self, info: ConnectionInfo, path: &str) -> Result<redis::RedisResult<Client>> {
        let pem = std::fs::read(path).map_err(|error| wrong(&self.shown, format!("cannot read ca {path}: {error}")))?;
        let certificates = redis::TlsCertificates { client_tls: None, root_cert: Some(pem) };
        Ok(Client::build_with_tls(info, certificates))
    }

    #[cfg(not(feature = "tls"))]
    fn client_with_ca(&self, info: ConnectionInfo, _path: &str) -> Result<redis::RedisResult<Client>> {
        prepare_tls(&self.shown).map(|()| Client::open(info))
    }
}

/// A server or sentinel; an error says what is wrong with the URL, without its secrets.
pub(super) fn connection_info(base: &str) -> Result<ConnectionInfo, String> {
    let info = base.into_connection_info().map_err(|error| error.to_string())?;
    Ok(info.set_tcp_settings(tcp_settings()))
}

/// Chooses ring unless the program has chosen a provider already.
#[cfg(feature = "tls")]
#[allow(clippy::unnecessary_wraps, reason = "without the feature it is an error")]
fn prepare_tls(_shown: &str) -> Result<()> {
    // An error means that there is one: the program's own choice stands.
    drop(rustls::crypto::ring::default_provider().install_default());
    Ok(())
}

#[cfg(not(feature = "tls"))]
fn prepare_tls(shown: &str) -> Result<()> {
    let cure = "this program was built without the feature \"tls\" of taskq-rs; enable it in Cargo.toml";
    Err(Error::new(ErrorKind::Unsupported, "connect to", shown).because(cure))
}

fn tcp_settings() -> TcpSettings {
    // Connections that only listen, for doorbells and ended tasks, learn no other way that the other end is gone.
    let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(10)).with_interval(Duration::from_secs(3));
    // Off by default in this driver; a lone small request must not wait for more.
    TcpSettings::default().set_nodelay(true).set_keepalive(keepalive)
}

fn wrong(shown: &str, cure: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidInput, "connect to", shown).because(cure.into())
}

fn parameters(query: &str, known: &[&str], shown: &str) -> Result<BTreeMap<String, String>> {
    let mut parameters = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !known.contains(&name) && query.contains('@') {
            // Most likely the rest of a password: it must not be shown as an unknown parameter.
            return Err(wrong(shown, "special characters in user and password are percent-encoded: write %3F for ?"));
        }
        if !known.contains(&name) {
            let cure = format!("unknown parameter \"{}\"; known are {}", name.escape_debug(), known.join(", "));
            return Err(wrong(shown, cure));
        }
        parameters.insert(name.to_owned(), value.to_owned());
    }
    Ok(parameters)
}

/// `redis://user:***@host/0`: what stands between the first colon and the last `@` is hidden, parameters are left out.
fn redacted(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "redis".to_owned() };
    let without_parameters = |text: &str| text.split('?').next().unwrap_or_default().to_owned();
    // The credentials first: a `?` may be part of a password.
    match rest.rsplit_once('@') {
        Some((credentials, host)) => {
            let host = without_parameters(host);
            let user = credentials.split_once(':').map_or("", |(user, _)| user);
            format!("{scheme}://{user}:***@{host}")
        }
        None => format!("{scheme}://{}", without_parameters(rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_ever_shown() {
        for url in [
            "redis://me:secret@host:6379/0?namespace=a",
            "redis://:secret@host",
            "rediss://me:se@cret@host",
            "redis://me:se?cret@host?namespace=a",
            "redis://secret@host",
        ] {
            let shown = redacted(url);
            assert!(!shown.contains("secret") && !shown.contains("cret@") && !shown.contains(":se"), "{shown}");
            assert!(shown.ends_with("***@host") || shown.ends_with("***@host:6379/0"), "{shown}");
        }
        let error = Address::parse("redis://me:se?cret@host").expect_err("refused").to_string();
        assert!(error.contains("%3F") && !error.contains("cret@"), "{error}");
    }

    #[test]
    fn unknown_parameters_are_refused_with_the_known_ones() {
        let error = Address::parse("redis://host?namespce=a").expect_err("refused").to_string();
        assert!(error.contains("namespce") && error.contains("namespace, ca"), "{error}");
        assert!(Address::parse("redis://host?ca=x").expect_err("refused").to_string().contains("rediss://"));
        assert!(Address::parse("redis://host?namespace=a:b").is_err());
        assert!(Address::parse("redis://host?sentinel_password=x").is_err());
    }

    #[test]
    fn nothing_of_a_password_that_is_not_encoded_is_shown() {
        let error = Address::parse("redis://me:se?cret@host?namespace=a").expect_err("refused");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("se?") && !shown.contains("cret@") && shown.contains("%3F"), "{shown}");
    }

    #[test]
    fn a_service_is_shown_without_any_password() {
        let url = "redis-sentinel://shop:secret@one,two:26380/main?sentinel_password=hidden&namespace=a";
        let address = Address::parse(url).expect("valid");
        assert_eq!(address.shown(), "redis-sentinel://shop:***@one,two:26380/main");
        let shown = format!("{address:?}");
        assert!(!shown.contains("secret") && !shown.contains("hidden"), "{shown}");
    }
}
