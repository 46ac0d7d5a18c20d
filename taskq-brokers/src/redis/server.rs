//! What the server must be, and what it should be: version, eviction, persistence.

use taskq_core::{Error, ErrorKind, Result};

use super::{fresh::Fresh, reply};

/// Refuses servers that would lose tasks; warns where the server does not tell, or keeps nothing on disk.
pub(super) async fn check(fresh: &mut Fresh<'_>) -> Result<()> {
    let info = match fresh.command("ask about", redis::cmd("INFO").arg("everything")).await {
        Ok(info) => String::from_utf8_lossy(&reply_bytes(info)?).into_owned(),
        Err(error) if error.kind() == ErrorKind::Refused => {
            tracing::warn!(server = fresh.shown(), %error, "cannot check version, eviction and persistence; allow INFO");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    check_version(fresh, &info)?;
    check_eviction(fresh, &info)?;
    warn_about_persistence(fresh, &info);
    Ok(())
}

fn reply_bytes(value: redis::Value) -> Result<Vec<u8>> {
    match value {
        redis::Value::VerbatimString { text, .. } => Ok(text.into_bytes()),
        value => reply::bytes(value),
    }
}

fn fact<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn check_version(fresh: &Fresh<'_>, info: &str) -> Result<()> {
    let version = fact(info, "redis_version").unwrap_or("0");
    let major: u32 = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    if major >= 7 {
        return Ok(());
    }
    let cure = format!("the server is version {version}; taskq needs Redis 7.0 or newer, or Valkey");
    Err(Error::new(ErrorKind::Unsupported, "connect to", fresh.shown()).because(cure))
}

/// A server that evicts keys drops tasks when memory is short, without a word.
fn check_eviction(fresh: &Fresh<'_>, info: &str) -> Result<()> {
    match fact(info, "maxmemory_policy") {
        None | Some("noeviction") => Ok(()),
        Some(policy) => {
            let cure = format!(
                "maxmemory-policy is {policy}, which drops tasks when memory is short; set it to noeviction \
                 (CONFIG SET maxmemory-policy noeviction, and in redis.conf)"
            );
            Err(Error::new(ErrorKind::Refused, "connect to", fresh.shown()).because(cure))
        }
    }
}

fn warn_about_persistence(fresh: &Fresh<'_>, info: &str) {
    if fact(info, "aof_enabled") == Some("0") {
        tracing::warn!(
            server = fresh.shown(),
            "append-only file is off: a restart of the server loses what happened since its last snapshot; \
             set appendonly yes"
        );
    }
}
