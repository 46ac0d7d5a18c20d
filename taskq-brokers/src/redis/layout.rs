//! The version of the key layout, kept beside the data: a newer incompatible one is refused, an older one migrated.
//!
//! `<namespace>:layout` holds `version oldest data`: what wrote last, the oldest version that can still work with it, and
//! an id made when the namespace was empty. During a rolling upgrade processes of both versions work side by side, as
//! long as `oldest` allows it. Every connection is checked before its first use, so that a process that was connected
//! before an upgrade notices it too, and one that finds another data id knows that the server has lost what it held.
//!
//! It is read first and written only where it must be: a full server refuses writes, and must be drained all the same.

use std::fmt;

use redis::Value;
use taskq_core::{Error, ErrorKind, Namespace, Result};
use uuid::Uuid;

use super::{fresh::Fresh, reply};

/// What this program writes and can work with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// The version that it writes.
    pub(super) version: u32,
    /// The oldest version that can work with what it writes.
    pub(super) oldest: u32,
    /// From version `index + 1` to the next; each is harmless to repeat.
    pub(super) steps: &'static [Step],
}

/// One migration: a Lua script that gets the namespace as its only argument.
pub(super) type Step = &'static str;

/// Layouts 1 and 2 were never part of a release: nobody's tasks are moved, and nobody's are taken for rubbish.
const NEVER_RELEASED: Step =
    "return redis.error_reply('its layout was never released; use another namespace, or delete the keys of this one')";

/// Which data a server holds: made anew when a namespace is found empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DataId(String);

/// The layout as it is stored.
struct Stored {
    version: u32,
    oldest: u32,
    data: DataId,
}

impl Layout {
    /// The layout of this version of taskq.
    pub(super) const PRESENT: Self = Self { version: 3, oldest: 3, steps: &[NEVER_RELEASED, NEVER_RELEASED] };

    /// Checks the stored layout; writes it if there is none, and migrates it if it is older.
    pub(super) async fn check(&self, fresh: &mut Fresh<'_>, namespace: &Namespace) -> Result<DataId> {
        let key = format!("{namespace}:layout");
        let found = match fresh.command("check the layout of", redis::cmd("GET").arg(&key)).await? {
            Value::Nil => self.begin(fresh, &key).await?,
            found => reply::text(found)?,
        };
        let Some(stored) = Stored::parse(&found) else {
            return Err(refused(fresh, format!("{key} holds \"{}\", which is no layout", found.escape_debug())));
        };
        if stored.oldest > self.version {
            let Self { version, .. } = self;
            let cure = format!("its layout is {}, this program works with up to {version}; upgrade it", stored.version);
            return Err(refused(fresh, cure));
        }
        if stored.version < self.version {
            self.migrate(fresh, namespace, &key, &stored).await?;
        }
        Ok(stored.data)
    }

    /// Writes the layout of an empty namespace; answers what stands there then, by whomever.
    async fn begin(&self, fresh: &mut Fresh<'_>, key: &str) -> Result<String> {
        let ours = self.stored(DataId(Uuid::now_v7().simple().to_string())).to_string();
        let mut set = redis::cmd("SET");
        set.arg(key).arg(&ours).arg("NX").arg("GET");
        match fresh.command("write the layout of", &set).await? {
            Value::Nil => Ok(ours),
            theirs => reply::text(theirs),
        }
    }

    async fn migrate(&self, fresh: &mut Fresh<'_>, namespace: &Namespace, key: &str, from: &Stored) -> Result<()> {
        for step in self.steps.iter().skip(from.version.saturating_sub(1) as usize) {
            let mut run = redis::cmd("EVAL");
            run.arg(*step).arg(0).arg(namespace.as_str());
            fresh.command("migrate the layout of", &run).await?;
        }
        let mut set = redis::cmd("SET");
        set.arg(key).arg(self.stored(from.data.clone()).to_string());
        fresh.command("migrate the layout of", &set).await.map(drop)
    }

    fn stored(&self, data: DataId) -> Stored {
        Stored { version: self.version, oldest: self.oldest, data }
    }
}

impl Stored {
    /// Fields that a newer version adds behind are none of ours.
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split(' ');
        let version = fields.next()?.parse().ok()?;
        let oldest = fields.next()?.parse().ok()?;
        Some(Self { version, oldest, data: DataId(fields.next().unwrap_or_default().to_owned()) })
    }
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.version, self.oldest, self.data.0)
    }
}

fn refused(fresh: &Fresh<'_>, cure: String) -> Error {
    Error::new(ErrorKind::Layout, "connect to", fresh.shown()).because(cure)
}

#[cfg(test)]
mod tests {
    use std::slice;

    use taskq_core::{
        Accepted, Clock, Connection, Invocation, QueueName, WorkerId,
        id::{BatchId, ClaimNumber, Owner},
    };
    use taskq_test_support::RedisServer;

    use super::{
        super::{address::Address, open, script::Time},
        *,
    };

    const OLD: Layout = Layout { version: 1, oldest: 1, steps: &[] };

    /// Adds a key that the old one does not know and need not know.
    const ADDING: Step = "redis.call('HSET', ARGV[1]..':limits', 'default', '10') return 1";

    const ADDITIVE: Layout = Layout { version: 2, oldest: 1, steps: &[ADDING] };

    const BREAKING: Layout = Layout { version: 3, oldest: 3, steps: &[ADDING, "return 1"] };

    async fn connect(server: &RedisServer, layout: Layout) -> Result<Connection> {
        open(Address::parse(&server.url())?, Clock::system(), Time::Server, layout).await
    }

    fn stored(server: &RedisServer) -> String {
        let text = server.command(&["GET", "taskq:layout"]).text().to_owned();
        text.rsplit_once(' ').expect("three fields").0.to_owned()
    }

    /// One side enqueues, the other claims.
    async fn hands_over(from: &Connection, to: &Connection) {
        let queue = QueueName::new("q").expect("valid");
        let envelope = Invocation::named("noop", &serde_json::json!({})).queue("q").into_envelope().expect("valid");
        let accepted = from.broker().enqueue(&queue, BatchId::generate(), slice::from_ref(&envelope)).await;
        assert_eq!(accepted.expect("enqueues"), [Accepted::Created]);
        let owner = Owner { worker: WorkerId::generate(), term: 0 };
        to.broker().join(owner, &queue, taskq_core::limits::LEASE).await.expect("joins");
        let claimed = to.broker().claim(owner, &queue, 9, ClaimNumber(1)).await.expect("claims").claimed;
        assert_eq!(claimed.iter().map(|claimed| &claimed.envelope.id).collect::<Vec<_>>(), [&envelope.id]);
    }

    #[tokio::test]
    async fn an_old_and_a_new_program_work_side_by_side_after_a_step_that_only_adds() {
        let server = RedisServer::start();
        let old = connect(&server, OLD).await.expect("opens");
        let data = server.command(&["GET", "taskq:layout"]).text().rsplit(' ').next().map(str::to_owned);
        let new = connect(&server, ADDITIVE).await.expect("migrates");
        assert_eq!(stored(&server), "2 1");
        assert_eq!(server.command(&["HGET", "taskq:limits", "default"]).text(), "10");
        hands_over(&old, &new).await;
        hands_over(&new, &old).await;
        let another_old = connect(&server, OLD).await.expect("the layout says that it may");
        hands_over(&another_old, &new).await;
        assert_eq!(stored(&server), "2 1", "an old program does not take the layout back");
        assert_eq!(server.command(&["GET", "taskq:layout"]).text().rsplit(' ').next().map(str::to_owned), data);
    }

    #[tokio::test]
    async fn a_program_that_cannot_work_with_a_newer_layout_is_refused_also_if_it_was_connected_before() {
        let server = RedisServer::start();
        let old = connect(&server, OLD).await.expect("opens");
        connect(&server, BREAKING).await.expect("migrates over two steps");
        assert_eq!(stored(&server), "3 3");
        let error = connect(&server, OLD).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Layout, "{error}");
        assert!(error.to_string().contains("upgrade"), "{error}");

        server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
        let queue = QueueName::new("q").expect("valid");
        let mut error = old.inspect().counts(&queue).await.expect_err("the connection broke, or the layout is refused");
        while error.is_transient() {
            error = old.inspect().counts(&queue).await.expect_err("the layout is refused");
        }
        assert_eq!(error.kind(), ErrorKind::Layout, "{error}");
    }

    #[tokio::test]
    async fn what_is_no_layout_is_refused() {
        let server = RedisServer::start();
        server.command(&["SET", "taskq:layout", "somebody else's"]);
        let error = connect(&server, OLD).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Layout, "{error}");
        assert_eq!(server.command(&["GET", "taskq:layout"]).text(), "somebody else's");
    }
}
