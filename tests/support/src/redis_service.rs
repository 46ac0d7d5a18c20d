//! A primary with replicas, watched by sentinels: real processes, as in production, on free ports of 127.0.0.1.
//!
//! The promise: when `start` returns, every sentinel knows the primary, all replicas and all other sentinels, and the
//! replicas have caught up. When the value is dropped, all processes and files are gone.
//!
//! ```text
//!   producers of the cut-off side ---------> server 0 (primary at first)
//!                                               |
//!   everybody else, replicas, sentinels --> [proxy]
//! ```
//!
//! The world knows server 0 by the port of a proxy, so it can be cut off from the world without stopping.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::reserved_port::ReservedPort;
use crate::{
    ChildProcess, Fault, FaultProxy, Persistence, RedisConnection, RedisServer, Reply, TempFolder, redis_program,
};

/// How the sentinels name the service.
const NAME: &str = "main";

const REPLICAS: usize = 2;

const SENTINELS: usize = 3;

/// A sentinel asks a server that it has just heard of for the first time after a second, and counts its silence from the
/// beginning: with a second or less it takes every new primary for dead, and replaces it by another one.
const DOWN_AFTER_MS: u32 = 1_200;

/// Sentinels find each other by messages that they send every two seconds.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// The bound of one command of the test's own.
const COMMAND_BOUND: Duration = Duration::from_secs(10);

const LOOK: Duration = Duration::from_millis(20);

/// A running service of one primary, two replicas and three sentinels.
#[derive(Debug)]
pub struct RedisService {
    servers: Vec<RedisServer>,
    proxy: FaultProxy,
    sentinels: Vec<Sentinel>,
    password: Option<String>,
    sentinel_password: Option<String>,
}

#[derive(Debug)]
struct Sentinel {
    process: ChildProcess,
    port: ReservedPort,
    _folder: TempFolder,
}

impl RedisService {
    /// A service whose sentinels call a server down after 1.2 s of silence, and which asks for no password.
    ///
    /// # Panics
    ///
    /// When a process does not start, or they do not find each other; the message says why.
    #[must_use]
    pub fn start() -> RedisService {
        RedisService::started(None, None)
    }

    /// The same with a password for the servers and another one for the sentinels.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_with_passwords(servers: &str, sentinels: &str) -> RedisService {
        RedisService::started(Some(servers.to_owned()), Some(sentinels.to_owned()))
    }

    fn started(password: Option<String>, sentinel_password: Option<String>) -> RedisService {
        let primary = server(password.as_deref(), &[]);
        let proxy = FaultProxy::start(primary.port(), 1);
        let port = proxy.port();
        announce(&primary, port);
        let replica = |_| server(password.as_deref(), &["--replicaof", "127.0.0.1", &port.to_string()]);
        let replicas = (0..REPLICAS).map(replica);
        let servers = std::iter::once(primary).chain(replicas).collect();
        let mut service = RedisService { servers, proxy, sentinels: Vec::new(), password, sentinel_password };
        service.sentinels = (0..SENTINELS).map(|_| service.sentinel(port)).collect();
        service.wait_until_complete();
        service
    }

    fn sentinel(&self, primary: u16) -> Sentinel {
        let (port, folder) = (ReservedPort::any(), TempFolder::new());
        let mut lines = vec![
            format!("port {}", port.number()),
            "bind 127.0.0.1".to_owned(),
            format!("sentinel monitor {NAME} 127.0.0.1 {primary} 2"),
            format!("sentinel down-after-milliseconds {NAME} {DOWN_AFTER_MS}"),
            format!("sentinel failover-timeout {NAME} 3000"),
            format!("sentinel parallel-syncs {NAME} {REPLICAS}"),
        ];
        if let Some(password) = &self.password {
            lines.push(format!("sentinel auth-pass {NAME} {password}"));
        }
        if let Some(password) = &self.sentinel_password {
            lines.push(format!("requirepass {password}"));
            lines.push(format!("sentinel sentinel-pass {password}"));
        }
        let config = folder.file("sentinel.conf");
        std::fs::write(&config, lines.join("\n")).expect("the folder of a test can be written");
        let mut command = Command::new(redis_program());
        command.arg0("redis-sentinel").current_dir(folder.path()).arg(&config).arg("--sentinel");
        let process = ChildProcess::spawn(&mut command);
        let is_ready = |line: &str| line.contains("+monitor master");
        if process.try_wait_for_line(is_ready, READY_WITHIN).is_none() {
            panic!("the sentinel did not start: it printed:\n{}", process.last_lines());
        }
        Sentinel { process, port, _folder: folder }
    }

    fn wait_until_complete(&self) {
        let begun = Instant::now();
        while !self.is_complete() {
            assert!(begun.elapsed() < READY_WITHIN, "the sentinels did not find each other: {:?}", self.facts(0));
            std::thread::sleep(LOOK);
        }
    }

    fn is_complete(&self) -> bool {
        let is = |facts: &[(String, String)], name: &str, wanted: usize| {
            facts.iter().any(|(theirs, value)| theirs == name && *value == wanted.to_string())
        };
        let knows_all = |index: usize| {
            let facts = self.facts(index);
            is(&facts, "num-slaves", REPLICAS) && is(&facts, "num-other-sentinels", SENTINELS - 1)
        };
        let has_caught_up =
            |server: &RedisServer| server.command(&["INFO", "replication"]).text().contains("master_link_status:up");
        (0..SENTINELS).all(knows_all) && self.servers[1..].iter().all(has_caught_up)
    }

    /// What a sentinel knows of the service.
    fn facts(&self, sentinel: usize) -> Vec<(String, String)> {
        let reply = self.ask(sentinel, &["SENTINEL", "MASTER", NAME]);
        let Reply::Array(words) = reply else { return Vec::new() };
        words.chunks_exact(2).map(|pair| (pair[0].text().to_owned(), pair[1].text().to_owned())).collect()
    }

    fn ask(&self, sentinel: usize, words: &[&str]) -> Reply {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.sentinels[sentinel].port.number()));
        let answer = RedisConnection::open(address, COMMAND_BOUND).and_then(|mut connection| {
            if let Some(password) = &self.sentinel_password {
                connection.command(&["AUTH", password])?;
            }
            connection.command(words)
        });
        answer.unwrap_or_else(|error| panic!("a sentinel did not answer {words:?}: {error}"))
    }

    /// The URL for clients: `redis-sentinel://127.0.0.1:20001,127.0.0.1:20002,127.0.0.1:20003/main`, with passwords where
    /// they apply.
    #[must_use]
    pub fn url(&self) -> String {
        let ports = self.sentinels.iter().map(|sentinel| sentinel.port.number());
        let hosts: Vec<String> = ports.map(|port| format!("127.0.0.1:{port}")).collect();
        let credentials = self.password.as_ref().map_or_else(String::new, |password| format!(":{password}@"));
        let url = format!("redis-sentinel://{credentials}{}/{NAME}", hosts.join(","));
        match &self.sentinel_password {
            Some(password) => format!("{url}?sentinel_password={password}"),
            None => url,
        }
    }

    /// All servers; the first is the primary until a failover.
    #[must_use]
    pub fn servers(&self) -> &[RedisServer] {
        &self.servers
    }

    /// Kills a server.
    pub fn kill(&mut self, server: usize) {
        self.servers[server].kill();
    }

    /// Starts a killed server again. If another one is the primary by then, the sentinels make it a replica of that one.
    pub fn restart(&mut self, server: usize) {
        self.servers[server].restart();
        if server == 0 {
            // Else the world would know it by two places, and take it for two servers.
            announce(&self.servers[0], self.proxy.port());
        }
    }

    /// Which of the servers the sentinels hold to be the primary.
    ///
    /// # Panics
    ///
    /// When no server has the place that they name.
    #[must_use]
    pub fn primary(&self) -> usize {
        let address = self.ask(0, &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME]);
        let Reply::Array(words) = address else { panic!("the sentinel does not know the service: {address:?}") };
        let port = words[1].text();
        let is_it = |(index, server): (usize, &RedisServer)| match index {
            0 => port == self.proxy.port().to_string(),
            _ => port == server.port().to_string(),
        };
        self.servers.iter().enumerate().position(is_it).expect("one of the servers is the primary")
    }

    /// Waits until the sentinels have made another server than this one the primary, and says which.
    ///
    /// # Panics
    ///
    /// When they do not within two minutes.
    pub fn wait_for_failover_from(&self, server: usize) -> usize {
        let begun = Instant::now();
        loop {
            let primary = self.primary();
            if primary != server {
                return primary;
            }
            assert!(begun.elapsed() < READY_WITHIN, "no failover: {:?}", self.facts(0));
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until a server follows another one and has caught up, and all replicas follow the present primary itself: one
    /// that still follows an old one would take over without the newest writes.
    ///
    /// # Panics
    ///
    /// When it does not within two minutes.
    pub fn wait_for_replica(&self, server: usize) {
        let begun = Instant::now();
        loop {
            // A server that is told to follow another one closes its connections.
            let facts = self.servers[server].connect().and_then(|mut own| own.command(&["INFO", "replication"]));
            if let Ok(Reply::Text(facts)) = &facts
                && ["role:slave", "master_link_status:up"].iter().all(|words| facts.lines().any(|line| line == *words))
                && self.has_all_replicas(self.primary())
            {
                return;
            }
            assert!(begun.elapsed() < READY_WITHIN, "it does not follow: {facts:?}");
            std::thread::sleep(LOOK);
        }
    }

    fn has_all_replicas(&self, primary: usize) -> bool {
        let facts = self.servers[primary].connect().and_then(|mut own| own.command(&["INFO", "replication"]));
        matches!(facts, Ok(Reply::Text(facts)) if facts.matches("state=online").count() == REPLICAS)
    }

    /// What its processes printed last.
    #[must_use]
    pub fn story(&self) -> String {
        let servers = self.servers.iter().map(RedisServer::last_lines);
        let sentinels = self.sentinels.iter().map(|sentinel| sentinel.process.last_lines());
        servers.chain(sentinels).collect::<Vec<_>>().join("\n--\n")
    }

    /// Cuts the first primary off from replicas, sentinels and all others: silently, as networks do. Who uses the URL of
    /// that server itself is cut off with it.
    pub fn isolate(&self) {
        self.proxy.set(Fault::HalfOpen);
    }

    /// Ends the isolation. What was sent meanwhile arrives.
    pub fn heal(&self) {
        self.proxy.set(Fault::None);
    }

    /// Asks the first sentinel something.
    ///
    /// # Panics
    ///
    /// When it does not answer.
    pub fn ask_any(&self, words: &[&str]) -> Reply {
        self.ask(0, words)
    }

    /// Stops a sentinel for good.
    pub fn kill_sentinel(&self, index: usize) {
        self.sentinels[index].process.kill();
    }
}

/// Tells the world by which port it is known.
fn announce(server: &RedisServer, port: u16) {
    server.command(&["CONFIG", "SET", "replica-announce-port", &port.to_string()]);
}

fn server(password: Option<&str>, words: &[&str]) -> RedisServer {
    let mut builder = RedisServer::builder().persistence(Persistence::AppendEverySecond);
    if let Some(password) = password {
        builder = builder.password(password).argument("--masterauth").argument(password);
    }
    // A replica that waits for others before it is synchronised makes a test slow.
    let words = ["--repl-diskless-sync-delay", "0"].iter().chain(words);
    words.fold(builder, |builder, word| builder.argument(word)).start()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_killed_primary_is_replaced() {
        let mut service = RedisService::start_with_passwords("secret", "hidden");
        assert_eq!(service.primary(), 0);
        service.servers()[0].command(&["SET", "key", "kept"]);
        // The test's own write has reached the replicas.
        assert_eq!(service.servers()[0].command(&["WAIT", "2", "5000"]).integer(), 2);
        service.kill(0);
        let primary = service.wait_for_failover_from(0);
        assert_eq!(service.servers()[primary].command(&["GET", "key"]).text(), "kept");
    }
}
