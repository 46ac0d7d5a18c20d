//! One look at a server, for health checks: does it let us in, and does it answer?

use std::{net::SocketAddr, time::Duration};

use redis::{AsyncConnectionConfig, Client, RedisFuture, Value, io::AsyncDNSResolver};
use taskq_core::{Clock, Error, ErrorKind, Result};

use super::{address::Address, failure::failed, link::refusal, sentinels::Sentinels};

/// Sends `PING` to the server of `url`, or to the present primary of a service that sentinels watch, over a connection of its
/// own. With `only`, it connects to nothing but these addresses, whatever the URL names.
///
/// Connecting and the answer may each take `timeout`. Dropped half-way, it closes the connection.
///
/// # Errors
/// `InvalidInput` for a wrong URL, and for sentinels with `only`, since they may lead anywhere; `Unavailable` if the server
/// cannot be reached; `Refused` for wrong credentials. None holds a secret.
pub async fn probe(url: &str, only: Option<Vec<SocketAddr>>, timeout: Duration, clock: Clock) -> Result<()> {
    let address = Address::parse(url)?;
    address.check()?;
    let mut config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(timeout)).set_response_timeout(Some(timeout));
    if let Some(only) = only {
        if address.service().is_some() {
            let cure = "sentinels may lead to any address; name one server";
            return Err(Error::new(ErrorKind::InvalidInput, "connect to", address.shown()).because(cure));
        }
        config = config.set_dns_resolver(Only(only));
    }
    let client = client(&address, clock).await?;
    let lost = |error| failed("connect to", address.shown(), error);
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await.map_err(lost)?;
    let answer = refusal(connection.send_packed_command(&redis::cmd("PING")).await);
    match answer.map_err(|error| failed("ping", address.shown(), error))? {
        Value::SimpleString(pong) if pong == "PONG" => Ok(()),
        _ => Err(Error::new(ErrorKind::Internal, "ping", address.shown()).because("the answer to PING is not PONG")),
    }
}

async fn client(address: &Address, clock: Clock) -> Result<Client> {
    let server = match address.service() {
        None => address.server().clone(),
        Some(service) => {
            let place = Sentinels::new(service.clone(), address.clone(), clock).primary().await?;
            service.server_at(&place.host, place.port)
        }
    };
    address.client(server)
}

/// Every name leads to these addresses.
struct Only(Vec<SocketAddr>);

impl AsyncDNSResolver for Only {
    fn resolve<'a, 'b: 'a>(
        &'a self,
        _host: &'b str,
        _port: u16,
    ) -> RedisFuture<'a, Box<dyn Iterator<Item = SocketAddr> + Send + 'a>> {
        let addresses: Box<dyn Iterator<Item = SocketAddr> + Send + 'a> = Box::new(self.0.iter().copied());
        Box::pin(std::future::ready(Ok(addresses)))
    }
}
