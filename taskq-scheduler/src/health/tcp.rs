//! [`TcpProbe`]: well if a connection opens. Nothing is sent.

use futures_util::future::select_ok;
use serde_json::Value;
use taskq_core::Result;
use tokio::net::TcpStream;
use url::Host;

use super::{
    NOUN,
    finding::{Cause, Reason},
    guard::{Guard, Place},
    stage::Stage,
};
use crate::table::wrong;

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpProbe(Place);

impl TcpProbe {
    pub(super) fn read(form: Value) -> Result<Self> {
        let refuse = || wrong(NOUN, "tcp", "write host:port, for example \"db.example:5432\" or \"[fd00::1]:5432\"");
        let text = form.as_str().ok_or_else(refuse)?;
        let (host, port) = text.rsplit_once(':').ok_or_else(refuse)?;
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(refuse)?;
        // The same reading as in URLs, so that odd forms of an address are the address.
        Ok(Self(Place { host: Host::parse(host).map_err(|_| refuse())?, port }))
    }

    pub(super) fn form(&self) -> Value {
        self.shown().into()
    }

    /// `host:port`.
    pub(super) fn shown(&self) -> String {
        format!("{}:{}", self.0.host, self.0.port)
    }

    pub(super) async fn look(&self, guard: &Guard<'_>, stage: &Stage) -> Result<(), Reason> {
        connect(&self.0, guard, stage).await.map(drop)
    }
}

/// A connection to a place, by whichever of its addresses accepts one first.
pub(crate) async fn connect(place: &Place, guard: &Guard<'_>, stage: &Stage) -> Result<TcpStream, Reason> {
    stage.enter("the name was being resolved");
    let addresses = guard.target(place).await?;
    stage.enter("no connection was accepted");
    // All at once: one address that is away must not use up the time of the others.
    let connecting = addresses.into_iter().map(|address| Box::pin(TcpStream::connect(address)));
    match select_ok(connecting).await {
        Ok((stream, _others)) => Ok(stream),
        Err(error) => {
            let words = format!("cannot connect to {}:{}: {}", place.host, place.port, error.kind());
            Err(Reason::new(Cause::Connection, words))
        }
    }
}
