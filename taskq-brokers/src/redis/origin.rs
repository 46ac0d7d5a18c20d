//! Where the server is, and the way to it: through the gate, and at a service with sentinels to its present primary.

use std::{future::Future, sync::Arc, time::Duration};

use redis::{Client, Value, aio::PubSub};
use taskq_core::{Clock, Error, ErrorKind, Result};

use super::{
    address::Address,
    failure::failed,
    fresh::{CONNECT, Fresh},
    gate::Gate,
    reply,
    sentinels::{Place, Sentinels},
};

/// The way to the server.
#[derive(Debug)]
pub(super) struct Origin {
    address: Address,
    way: Way,
    gate: Arc<Gate>,
    clock: Clock,
}

#[derive(Debug)]
enum Way {
    /// It is always at the same place.
    Server(Client),
    /// Sentinels say where it is.
    Service(Sentinels),
}

impl Origin {
    pub(super) fn new(address: Address, gate: Arc<Gate>, clock: Clock) -> Result<Self> {
        let way = match address.service() {
            None => Way::Server(address.client(address.server().clone())?),
            Some(service) => Way::Service(Sentinels::new(service.clone(), &address, clock.clone())?),
        };
        Ok(Self { address, way, gate, clock })
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn shown(&self) -> &str {
        self.address.shown()
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The sentinels, if there are any.
    pub(super) fn sentinels(&self) -> Option<&Sentinels> {
        match &self.way {
            Way::Server(_) => None,
            Way::Service(sentinels) => Some(sentinels),
        }
    }

    /// Connects to the primary, without waiting for a turn: for whoever has got one.
    pub(super) async fn fresh(&self, response: Option<Duration>) -> Result<(Fresh<'_>, Option<Place>)> {
        match &self.way {
            Way::Server(client) => Ok((Fresh::open(client, self.shown(), response).await?, None)),
            Way::Service(sentinels) => {
                let (client, place) = self.primary(sentinels).await?;
                let mut fresh = Fresh::open(&client, self.shown(), response).await?;
                self.check_role(&mut fresh, &place).await?;
                Ok((fresh, Some(place)))
            }
        }
    }

    /// A connection that hears of messages, as soon as it is its turn.
    pub(super) async fn subscription(&self) -> Result<PubSub> {
        self.gate.pass(self.subscribe()).await
    }

    async fn subscribe(&self) -> Result<PubSub> {
        let client = match &self.way {
            Way::Server(client) => client.clone(),
            Way::Service(sentinels) => self.primary(sentinels).await?.0,
        };
        match self.clock.timeout(CONNECT, client.get_async_pubsub()).await {
            Ok(subscription) => subscription.map_err(|error| failed("connect to", self.shown(), error)),
            Err(_) => Err(Error::new(ErrorKind::Unavailable, "connect to", self.shown()).because("no answer")),
        }
    }

    async fn primary(&self, sentinels: &Sentinels) -> Result<(Client, Place)> {
        let place = sentinels.primary().await?;
        Ok((self.address.client(sentinels.service().server_at(&place.host, place.port))?, place))
    }

    /// Sentinels may not have noticed yet that the server has become a replica.
    async fn check_role(&self, fresh: &mut Fresh<'_>, place: &Place) -> Result<()> {
        let answer = match fresh.command("ask the role of", &redis::cmd("ROLE")).await {
            Ok(answer) => answer,
            Err(error) if error.kind() == ErrorKind::Refused => {
                tracing::warn!(server = self.shown(), %error, "cannot check that it is a primary; allow ROLE");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let role = reply::array(answer)?.into_iter().next().unwrap_or(Value::Nil);
        match reply::text(role)?.as_str() {
            "master" => Ok(()),
            role => {
                let cause =
                    format!("{}:{} is a {role}, and the sentinels name no other primary", place.host, place.port);
                Err(Error::new(ErrorKind::Unavailable, "connect to", self.shown()).because(cause))
            }
        }
    }

    /// Connects for a purpose of its own, as soon as it is its turn.
    pub(super) fn another(&self) -> impl Future<Output = Result<Fresh<'_>>> {
        self.gate.pass(async { Ok(self.fresh(None).await?.0) })
    }
}
