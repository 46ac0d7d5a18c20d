//! Where one Redis server lives, running or not: what stays the same over `kill` and `restart`.

use crate::reserved_port::ReservedPort;
use crate::{Certificates, TempFolder};

/// A folder and a port, and for TLS a second port with certificates.
#[derive(Debug)]
pub(crate) struct RedisPlace {
    pub(crate) folder: TempFolder,
    pub(crate) port: ReservedPort,
    pub(crate) tls: Option<TlsPlace>,
}

/// What a server needs to listen with TLS.
#[derive(Debug)]
pub(crate) struct TlsPlace {
    pub(crate) port: ReservedPort,
    pub(crate) certificates: Certificates,
}

impl RedisPlace {
    /// An empty folder and a port on which nobody listens.
    pub(crate) fn without_tls() -> RedisPlace {
        RedisPlace { folder: TempFolder::new(), port: ReservedPort::any(), tls: None }
    }

    /// The same with a second port, and certificates made for it.
    pub(crate) fn with_tls() -> RedisPlace {
        let tls = TlsPlace { port: ReservedPort::any(), certificates: Certificates::new() };
        RedisPlace { tls: Some(tls), ..RedisPlace::without_tls() }
    }
}
