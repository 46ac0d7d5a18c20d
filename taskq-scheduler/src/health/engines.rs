//! [`Engines`]: how databases are asked. The drivers are in another crate, so whoever builds the program brings them.

use std::{
    error::Error as _,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::future::BoxFuture;
use serde_json::Value;
use taskq_core::{Error, ErrorKind, Result, limits::MAX_HEALTH_TEXT};
use url::{Host, Url};

use super::{
    NOUN,
    finding::{Cause, Reason},
    guard::{Guard, Place},
    stage::Stage,
};
use crate::{secret::Secret, table::wrong};

const SCHEMES: [&str; 4] = ["redis", "rediss", "redis-sentinel", "rediss-sentinel"];

const REDIS_PORT: u16 = 6_379;

/// Asks databases how they are. An error is told without its subject; its source must not hold a secret.
pub trait Engines: fmt::Debug + Send + Sync {
    /// Sends `PING` to the Redis at `url`. With `only`, it connects to nothing but these addresses, whatever the URL names.
    fn redis<'a>(&'a self, url: &'a str, only: Option<Vec<SocketAddr>>, timeout: Duration)
    -> BoxFuture<'a, Result<()>>;

    /// Opens the SQLite file at `path` to read, and reads its schema. It never creates one.
    fn sqlite<'a>(&'a self, path: &'a Path, timeout: Duration) -> BoxFuture<'a, Result<()>>;
}

/// The URL of a Redis; its credentials are never shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisProbe(Secret);

impl RedisProbe {
    pub(super) fn read(form: Value) -> Result<Self> {
        let refuse = || wrong(NOUN, "redis", format!("write a URL that begins with {}://", SCHEMES.join("://, ")));
        let url = form.as_str().filter(|url| url.len() <= MAX_HEALTH_TEXT).ok_or_else(refuse)?;
        match url.split_once("://") {
            Some((scheme, rest)) if SCHEMES.contains(&scheme) && !rest.is_empty() => {
                Ok(Self(Secret::new(url.to_owned())))
            }
            _ => Err(refuse()),
        }
    }

    pub(super) fn form(&self) -> Value {
        self.0.reveal().into()
    }

    /// The URL without credentials and parameters. What may be the rest of a password is not shown either.
    pub(super) fn shown(&self) -> String {
        let (scheme, rest) = self.0.reveal().split_once("://").unwrap_or(("redis", ""));
        let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
        format!("{scheme}://{}", place.split(['?', '#']).next().unwrap_or_default())
    }

    pub(super) async fn look(
        &self,
        engines: &dyn Engines,
        guard: &Guard<'_>,
        timeout: Duration,
        stage: &Stage,
    ) -> Result<(), Reason> {
        stage.enter("the name was being resolved");
        let only = match guard.trusts_config() {
            true => None,
            false => Some(guard.target(&self.place()?).await?),
        };
        stage.enter("PING was not answered");
        engines.redis(self.0.reveal(), only, timeout).await.map_err(|error| self.told(&error))
    }

    /// Where it is, for the guard.
    fn place(&self) -> Result<Place, Reason> {
        // A parameter may name a file of this machine.
        let is_plain = |url: &Url| matches!(url.scheme(), "redis" | "rediss") && url.query().is_none();
        let url = Url::parse(self.0.reveal()).ok().filter(is_plain);
        // The host of a scheme that is not of the web is read as it stands; odd forms of an address are read here.
        let host = url.as_ref().and_then(Url::host_str).and_then(|host| Host::parse(host).ok());
        match (host, url) {
            (Some(host), Some(url)) => Ok(Place { host, port: url.port().unwrap_or(REDIS_PORT) }),
            _ => {
                let words =
                    "an added check names one Redis, as redis://host:port or rediss://host:port, without parameters";
                Err(Reason::new(Cause::Forbidden, words))
            }
        }
    }

    fn told(&self, error: &Error) -> Reason {
        reason(&self.shown(), error)
    }
}

/// The path of a SQLite file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteProbe(PathBuf);

impl SqliteProbe {
    pub(super) fn read(form: Value) -> Result<Self> {
        let refuse = |cure: &str| wrong(NOUN, "sqlite", cure);
        match form.as_str() {
            Some(path) if path.contains(":memory:") => Err(refuse("name a file; memory is always well")),
            Some(path) if path.contains("://") => Err(refuse("write the path alone, for example \"data/shop.db\"")),
            Some(path) if !path.is_empty() && path.len() <= MAX_HEALTH_TEXT && !path.contains('\0') => {
                Ok(Self(PathBuf::from(path)))
            }
            _ => Err(refuse("write the path of a file, for example \"data/shop.db\"")),
        }
    }

    pub(super) fn form(&self) -> Value {
        self.0.to_string_lossy().into()
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) async fn look(
        &self,
        engines: &dyn Engines,
        guard: &Guard<'_>,
        timeout: Duration,
        stage: &Stage,
    ) -> Result<(), Reason> {
        guard.only_by_config("a file")?;
        stage.enter("the file was being read");
        let told = |error: Error| reason(&self.0.display().to_string(), &error);
        engines.sqlite(&self.0, timeout).await.map_err(told)
    }
}

/// An error of a broker's adapter, told without the word broker.
fn reason(shown: &str, error: &Error) -> Reason {
    let cause = match error.kind() {
        ErrorKind::InvalidInput | ErrorKind::Unsupported | ErrorKind::Config => Cause::Setup,
        ErrorKind::DeadlineExceeded => Cause::Timeout,
        ErrorKind::Unavailable => Cause::Connection,
        _ => Cause::Answer,
    };
    match error.source() {
        Some(source) => Reason::new(cause, format_args!("{shown}: {source}")),
        None => Reason::new(cause, format_args!("{shown}: {error}")),
    }
}
