//! What people should know of a server: what it would lose, what it would drop, and how fast it answers.

use std::time::Duration;

use redis::Value;
use taskq_core::{ErrorKind, Finding, QueueName, Result};

use super::{broker::RedisBroker, reply, script::Script};

/// Calls that are measured one by one.
const CALLS: usize = 20;

/// A call that takes longer than this makes a lone task slow.
const SLOW_CALL: Duration = Duration::from_millis(5);

impl RedisBroker {
    /// Everything at once.
    pub(super) async fn examined(&self) -> Result<Vec<Finding>> {
        let mut findings = match self.info().await {
            Ok(info) => facts(&info),
            Err(error) if error.kind() == ErrorKind::Refused => {
                vec![Finding::good("server", "it does not tell").notable("allow INFO for this user")]
            }
            Err(error) => return Err(error),
        };
        findings.push(self.answers().await?);
        Ok(findings)
    }

    async fn info(&self) -> Result<String> {
        let mut info = redis::cmd("INFO");
        info.arg("everything");
        let told = match self.link.command("ask about", &info).await? {
            Value::VerbatimString { text, .. } => text.into_bytes(),
            value => reply::bytes(value)?,
        };
        Ok(String::from_utf8_lossy(&told).into_owned())
    }

    /// How long a script takes, there and back.
    async fn answers(&self) -> Result<Finding> {
        let clock = self.link.clock();
        let queue = QueueName::new("doctor")?;
        let mut took = Vec::with_capacity(CALLS);
        for _ in 0..CALLS {
            let sent = clock.monotonic();
            self.run("time a script at", Script::Now, &queue, |_| {}).await?;
            took.push(clock.monotonic() - sent);
        }
        took.sort();
        let median = took[CALLS / 2];
        let found = format!("{:.2} ms there and back, median of {CALLS}", median.as_secs_f64() * 1_000.0);
        let finding = Finding::good("a script", found);
        Ok(match median > SLOW_CALL {
            true => finding.notable("bring programs and server nearer to each other, or ask for more at once"),
            false => finding,
        })
    }
}

/// What a server tells of itself.
fn facts(info: &str) -> Vec<Finding> {
    let fact = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let number = |name: &str| fact(name).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let version = match fact("valkey_version") {
        Some(version) => format!("Valkey {version}"),
        None => format!("Redis {}", fact("redis_version").unwrap_or("of unknown version")),
    };
    let mut findings =
        vec![Finding::good("server", format!("{version}, {}", fact("role").unwrap_or("of unknown role")))];
    let persistence = match (fact("aof_enabled"), fact("aof_last_write_status")) {
        (Some("1"), Some("ok") | None) => Finding::good("what survives a restart", "append-only file"),
        (Some("1"), Some(status)) => {
            Finding::good("what survives a restart", format!("append-only file, last write: {status}"))
                .bad("look at the server's disk: what is acknowledged now may not be kept")
        }
        _ => Finding::good("what survives a restart", "no append-only file: only what the last snapshot has")
            .bad("set appendonly yes, and appendfsync everysec or always"),
    };
    findings.push(persistence);
    findings.push(match fact("maxmemory_policy") {
        Some("noeviction") | None => Finding::good("when memory is short", "it refuses writes, and drops nothing"),
        Some(policy) => Finding::good("when memory is short", format!("it drops keys ({policy})"))
            .bad("set maxmemory-policy noeviction: it would drop tasks"),
    });
    let (used, most) = (number("used_memory"), number("maxmemory"));
    let mebibytes = |bytes: u64| format!("{} MiB", bytes / (1024 * 1024));
    findings.push(match most {
        0 => Finding::good("memory", format!("{} used, no limit", mebibytes(used))),
        most if used > most / 10 * 9 => {
            Finding::good("memory", format!("{} of {} used", mebibytes(used), mebibytes(most)))
                .bad("give it more, or drain: at the limit nothing is accepted any more")
        }
        most => Finding::good("memory", format!("{} of {} used", mebibytes(used), mebibytes(most))),
    });
    let replicas = number("connected_slaves");
    findings.push(Finding::good("replicas", replicas.to_string()));
    findings
}

#[cfg(test)]
mod tests {
    use taskq_core::Verdict;

    use super::*;

    #[test]
    fn a_server_that_would_lose_or_drop_tasks_is_told() {
        let verdicts = |info: &str| facts(info).into_iter().map(|finding| finding.verdict).collect::<Vec<_>>();
        let well = "redis_version:7.0.15\r\nrole:master\r\naof_enabled:1\r\naof_last_write_status:ok\r\nmaxmemory_policy:noeviction\r\nused_memory:1\r\nmaxmemory:0\r\n";
        assert!(verdicts(well).iter().all(|verdict| *verdict == Verdict::Good), "{:?}", facts(well));
        for (what, with) in [
            ("aof_enabled:1", "aof_enabled:0"),
            ("status:ok", "status:err"),
            ("noeviction", "allkeys-lru"),
            ("maxmemory:0", "maxmemory:1"),
        ] {
            let worse = well.replace(what, with);
            let bad = verdicts(&worse).iter().filter(|verdict| **verdict == Verdict::Bad).count();
            assert_eq!(bad, 1, "{with}: {:?}", facts(&worse));
        }
    }
}
