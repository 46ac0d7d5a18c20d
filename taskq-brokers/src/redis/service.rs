//! What `redis-sentinel://` names: a service, the sentinels that watch it, and how to log in to both.

use std::collections::BTreeMap;

use redis::{ConnectionAddr, ConnectionInfo, RedisConnectionInfo};

use super::address::connection_info;

/// Parameters that only such an address may have.
pub(super) const PARAMETERS: [&str; 3] = ["db", "sentinel_username", "sentinel_password"];

/// Where a sentinel listens that names no port.
const PORT: u16 = 26_379;

/// Most sentinels of one service: real ones have three or five.
const MOST: usize = 16;

/// A primary and its replicas, known to sentinels by a name.
#[derive(Clone, Debug)]
pub(super) struct Service {
    name: String,
    sentinels: Vec<ConnectionInfo>,
    /// A server of it, with everything but its place.
    server: ConnectionInfo,
    is_tls: bool,
}

impl Service {
    /// From `redis-sentinel://user:password@host1,host2:26380/NAME`; an error is the cure.
    pub(super) fn parse(base: &str, parameters: &mut BTreeMap<String, String>) -> Result<Self, String> {
        let (scheme, rest) = base.split_once("://").unwrap_or(("", base));
        let scheme = scheme.strip_suffix("-sentinel").unwrap_or(scheme);
        let (credentials, rest) = match rest.rfind('@') {
            Some(at) => rest.split_at(at + 1),
            None => ("", rest),
        };
        let (hosts, name) = rest.split_once('/').unwrap_or((rest, ""));
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
            return Err("name the service as the sentinels do: redis-sentinel://host1,host2/mymaster".to_owned());
        }
        let hosts: Vec<&str> = hosts.split(',').collect();
        if hosts.len() > MOST || hosts.iter().any(|host| host.is_empty()) {
            return Err(format!("name one to {MOST} sentinels, separated by commas"));
        }
        let db = parameters.remove("db").unwrap_or_default();
        let login = login(parameters)?;
        let sentinel = |host: &&str| {
            let info = connection_info(&format!("{scheme}://{}", with_port(host)))?;
            Ok(info.set_redis_settings(login.clone()))
        };
        Ok(Self {
            name: name.to_owned(),
            sentinels: hosts.iter().map(sentinel).collect::<Result<_, String>>()?,
            server: connection_info(&format!("{scheme}://{credentials}{}/{db}", with_port(hosts[0])))?,
            is_tls: scheme == "rediss",
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn sentinels(&self) -> &[ConnectionInfo] {
        &self.sentinels
    }

    /// A server of the service that stands there.
    pub(super) fn server_at(&self, host: &str, port: u16) -> ConnectionInfo {
        let host = host.to_owned();
        self.server.clone().set_addr(match self.is_tls {
            true => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
            false => ConnectionAddr::Tcp(host, port),
        })
    }
}

/// What the sentinels themselves ask for. They refuse what the driver would tell of itself.
fn login(parameters: &mut BTreeMap<String, String>) -> Result<RedisConnectionInfo, String> {
    let mut login = RedisConnectionInfo::default().set_skip_set_lib_name();
    let mut take = |name: &str| parameters.remove(name).map(|text| decoded(name, &text)).transpose();
    if let Some(user) = take("sentinel_username")? {
        login = login.set_username(user);
    }
    if let Some(password) = take("sentinel_password")? {
        login = login.set_password(password);
    }
    Ok(login)
}

fn with_port(host: &str) -> String {
    let after_address = host.rsplit_once(']').map_or(host, |(_, rest)| rest);
    if after_address.contains(':') { host.to_owned() } else { format!("{host}:{PORT}") }
}

/// `%40` is `@`, and so on.
fn decoded(name: &str, text: &str) -> Result<String, String> {
    let wrong = || format!("the parameter {name} is not percent-encoded; write % as %25");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(rest.next()).ok_or_else(wrong)?, digit(rest.next()).ok_or_else(wrong)?);
        bytes.push((high * 16 + low) as u8);
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(base: &str, parameters: &[(&str, &str)]) -> Result<Service, String> {
        let mut parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Service::parse(base, &mut parameters)
    }

    #[test]
    fn sentinels_and_servers_have_places_and_credentials_of_their_own() {
        let login = [("sentinel_username", "watch"), ("sentinel_password", "s%40%25!"), ("db", "3")];
        let service = parse("redis-sentinel://shop:p%40ss@one,two:26380,[::1]/main", &login).expect("valid");
        let places: Vec<_> = service.sentinels().iter().map(|info| info.addr().to_string()).collect();
        assert_eq!(places, ["one:26379", "two:26380", "::1:26379"]);
        for sentinel in service.sentinels() {
            let settings = sentinel.redis_settings();
            assert_eq!((settings.username(), settings.password()), (Some("watch"), Some("s@%!")));
        }
        let server = service.server_at("three", 6380);
        let settings = server.redis_settings();
        assert_eq!(server.addr().to_string(), "three:6380");
        assert_eq!((settings.username(), settings.password(), settings.db()), (Some("shop"), Some("p@ss"), 3));
        assert_eq!(service.name(), "main");
        let shown = format!("{service:?}");
        assert!(!shown.contains("p@ss") && !shown.contains("s@%!"), "{shown}");
    }

    #[test]
    fn what_names_no_service_or_no_sentinel_is_refused() {
        for base in ["redis-sentinel://one,two", "redis-sentinel://one/", "redis-sentinel://one/a/b"] {
            assert!(parse(base, &[]).expect_err("refused").contains("name the service"), "{base}");
        }
        assert!(parse("redis-sentinel://one,,two/main", &[]).expect_err("refused").contains("separated by commas"));
        let error = parse("redis-sentinel://one/main", &[("sentinel_password", "50%")]).expect_err("refused");
        assert!(error.contains("%25") && !error.contains("50"), "{error}");
    }
}
