//! The version of the key layout, kept beside the data: a newer incompatible one is refused, an older one migrated.
//!
//! `<namespace>:layout` holds `version oldest`: what wrote last, and the oldest version that can still work with it.
//! During a rolling upgrade processes of both versions work side by side, as long as `oldest` allows it.

use redis::Value;
use taskq_core::{Error, ErrorKind, Namespace, Result};

use super::{link::Link, reply};

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

impl Layout {
    /// The layout of this version of taskq.
    pub(super) const PRESENT: Self = Self { version: 1, oldest: 1, steps: &[] };

    /// Checks the stored layout, and migrates it if it is older.
    pub(super) async fn check(&self, link: &Link, namespace: &Namespace) -> Result<()> {
        let key = format!("{namespace}:layout");
        let mut set = redis::cmd("SET");
        set.arg(&key).arg(self.stored()).arg("NX").arg("GET");
        match link.command("check the layout of", &set).await? {
            Value::Nil => Ok(()),
            stored => self.meet(link, namespace, &key, &reply::text(stored)?).await,
        }
    }

    fn stored(&self) -> String {
        format!("{} {}", self.version, self.oldest)
    }

    async fn meet(&self, link: &Link, namespace: &Namespace, key: &str, stored: &str) -> Result<()> {
        let numbers =
            stored.split_once(' ').and_then(|(version, oldest)| Some((version.parse().ok()?, oldest.parse().ok()?)));
        let Some((version, oldest)): Option<(u32, u32)> = numbers else {
            return Err(refused(link, format!("{key} holds \"{}\", which is no layout", stored.escape_debug())));
        };
        if oldest > self.version {
            let cure = format!("its layout is {version}, this program works with up to {}; upgrade it", self.version);
            return Err(refused(link, cure));
        }
        for step in self.steps.iter().skip(version.saturating_sub(1) as usize) {
            let mut run = redis::cmd("EVAL");
            run.arg(*step).arg(0).arg(namespace.as_str());
            link.command("migrate the layout of", &run).await?;
        }
        if version < self.version {
            let mut set = redis::cmd("SET");
            set.arg(key).arg(self.stored());
            link.command("migrate the layout of", &set).await?;
        }
        Ok(())
    }
}

fn refused(link: &Link, cure: String) -> Error {
    Error::new(ErrorKind::Layout, "connect to", link.shown()).because(cure)
}
