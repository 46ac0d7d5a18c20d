//! Asks sentinels where the primary is, and later whether it still is where it was.
//!
//! Sentinels learn of a failover one after the other. Each of their answers carries the epoch of the configuration that it
//! comes from, so the newest answer counts and not the first one.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use redis::{
    AsyncConnectionConfig, ConnectionInfo, RedisError, RedisResult, Value, aio::MultiplexedConnection, from_redis_value,
};
use taskq_core::{Clock, Error, ErrorKind, Result};

use super::{
    address::Address,
    failure::{self, failed},
    service::Service,
};

/// How long a sentinel may take to let somebody in, and to answer. It does little else.
const ANSWER: Duration = Duration::from_millis(1_000);

/// How long a call may be held up by a sentinel that is asked beside it and does not answer.
const ASIDE: Duration = Duration::from_secs(1);

/// A sentinel that did not answer is not asked beside calls for this long.
const REST: Duration = Duration::from_secs(30);

/// Where the primary is, according to a sentinel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) host: String,
    pub(super) port: u16,
    /// Of the sentinel's configuration; it grows with every failover. Zero if the sentinel does not tell.
    epoch: u64,
}

/// The sentinels of one service.
#[derive(Debug)]
pub(super) struct Sentinels {
    service: Service,
    address: Address,
    nodes: Vec<Node>,
    clock: Clock,
}

#[derive(Debug)]
struct Node {
    place: ConnectionInfo,
    connection: Mutex<Option<MultiplexedConnection>>,
    rests_until: Mutex<Duration>,
}

impl Sentinels {
    pub(super) fn new(service: Service, address: Address, clock: Clock) -> Self {
        let node = |place: &ConnectionInfo| Node {
            place: place.clone(),
            connection: Mutex::default(),
            rests_until: Mutex::default(),
        };
        let nodes = service.sentinels().iter().map(node).collect();
        Self { service, address, nodes, clock }
    }

    pub(super) fn service(&self) -> &Service {
        &self.service
    }

    /// Where the primary is: the newest answer of all. Most are not enough: right after a failover only the sentinel that led
    /// it may know, and the old primary may be back already and take writes that it forgets.
    pub(super) async fn primary(&self) -> Result<Place> {
        let ask = |node| self.clock.timeout(ANSWER, self.ask(node));
        let mut asking: FuturesUnordered<_> = self.nodes.iter().map(ask).collect();
        let (mut newest, mut answered, mut failures) = (None::<Place>, 0, Vec::new());
        while let Some(answer) = asking.next().await {
            match answer {
                Ok(Ok(place)) => {
                    answered += 1;
                    newest = newest.into_iter().chain(place).max_by_key(|place| place.epoch);
                }
                Ok(Err(error)) => failures.push(error),
                Err(_) => failures.push((redis::ErrorKind::Io, "a sentinel does not answer").into()),
            }
        }
        newest.ok_or_else(|| self.nobody_knows(answered, failures))
    }

    /// Whether the primary is elsewhere by now, according to any of the sentinels: one of them knows it from the moment
    /// in which it made another server the primary, the others hear of it later. No answer is no news: sentinels that are
    /// away must not stop a service that is there.
    pub(super) async fn have_another_than(&self, place: &Place) -> bool {
        let now = self.clock.monotonic();
        let awake = self.nodes.iter().filter(|node| now >= node.rests_until());
        let mut asking: FuturesUnordered<_> = awake.map(|node| self.knows_another(node, place)).collect();
        while let Some(knows_another) = asking.next().await {
            if knows_another {
                return true;
            }
        }
        false
    }

    async fn knows_another(&self, node: &Node, place: &Place) -> bool {
        match self.clock.timeout(ASIDE, self.ask(node)).await {
            Ok(Ok(Some(theirs))) => theirs.differs(place) && theirs.epoch >= place.epoch,
            Ok(Ok(None)) => false,
            Ok(Err(_)) | Err(_) => {
                node.rest_until(self.clock.monotonic() + REST);
                false
            }
        }
    }

    /// One sentinel's answer; `None` if it does not know the service.
    async fn ask(&self, node: &Node) -> RedisResult<Option<Place>> {
        let mut connection = node.connected(&self.address).await?;
        let mut questions = redis::pipe();
        questions.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(self.service.name());
        questions.cmd("SENTINEL").arg("MASTER").arg(self.service.name());
        let answers = connection.send_packed_commands(&questions, 0, 2).await;
        let place = answers.and_then(|answers| place(answers.into_iter()));
        if place.is_err() {
            node.put(None);
        }
        place
    }

    fn nobody_knows(&self, answered: usize, failures: Vec<RedisError>) -> Error {
        if answered > 0 {
            let cure = format!("no sentinel knows the service \"{}\"; name it as they do", self.service.name());
            // Others may know it; that none does is a mistake in the address.
            let kind = if failures.is_empty() { ErrorKind::Refused } else { ErrorKind::Unavailable };
            return Error::new(kind, "connect to", self.address.shown()).because(cure);
        }
        // A sentinel that refuses tells more than one that is away.
        let told = failures.into_iter().max_by_key(|error| failure::kind(error) == ErrorKind::Refused);
        match told {
            Some(error) => failed("ask the sentinels of", self.address.shown(), error),
            None => Error::new(ErrorKind::Unavailable, "ask the sentinels of", self.address.shown()),
        }
    }
}

impl Place {
    fn differs(&self, other: &Self) -> bool {
        (&self.host, self.port) != (&other.host, other.port)
    }
}

impl Node {
    async fn connected(&self, address: &Address) -> RedisResult<MultiplexedConnection> {
        let present = self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(present) = present {
            return Ok(present);
        }
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(ANSWER)).set_response_timeout(Some(ANSWER));
        let unusable = |error: Error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            RedisError::from((redis::ErrorKind::Io, "its certificate files", cause))
        };
        let client = address.client(self.place.clone()).map_err(unusable)?;
        let connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        self.put(Some(connection.clone()));
        Ok(connection)
    }

    fn rests_until(&self) -> Duration {
        *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rest_until(&self, time: Duration) {
        *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner) = time;
    }

    fn put(&self, connection: Option<MultiplexedConnection>) {
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = connection;
    }
}

/// From what a sentinel says of the primary's address, and of all it knows about it.
fn place(mut answers: impl Iterator<Item = Value>) -> RedisResult<Option<Place>> {
    let address = match answers.next() {
        Some(Value::ServerError(error)) => return Err(error.into()),
        Some(Value::Nil) | None => return Ok(None),
        Some(address) => address,
    };
    let (host, port): (String, u16) = from_redis_value(address)?;
    // A user may be allowed to ask for the address only.
    let epoch = match answers.next() {
        Some(Value::ServerError(_)) | None => None,
        Some(facts) => from_redis_value::<std::collections::HashMap<String, String>>(facts)?
            .get("config-epoch")
            .and_then(|epoch| epoch.parse().ok()),
    };
    Ok(Some(Place { host, port, epoch: epoch.unwrap_or(0) }))
}
