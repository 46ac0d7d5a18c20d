//! The options of a test's Redis server, and the way from options to a running process.
//!
//! The promise: a process that is handed out has answered PING; one that cannot start is a panic
//! with what it printed.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use crate::redis_place::RedisPlace;
use crate::{ChildProcess, RedisConnection, RedisServer, Reply, redis_program};

/// Generous, since a restart may have to load a long append-only file on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// The bound of one command of the test's own.
const COMMAND_BOUND: Duration = Duration::from_secs(10);

/// So often another port is tried when somebody was faster.
const PORT_ATTEMPTS: usize = 20;

const NO_TLS: &str = "this redis-server was built without TLS; \
    set TASKQ_REDIS_SERVER to one that has it, such as that of Debian or Ubuntu";

/// The options of a [`RedisServer`].
#[derive(Clone, Debug, Default)]
pub struct RedisServerBuilder {
    persistence: Persistence,
    max_memory: Option<(String, String)>,
    password: Option<String>,
    user: Option<User>,
    tls: bool,
    asks_for_certificates: bool,
    arguments: Vec<String>,
}

impl RedisServerBuilder {
    /// What survives a restart; by default nothing.
    #[must_use]
    pub fn persistence(mut self, persistence: Persistence) -> Self {
        self.persistence = persistence;
        self
    }

    /// A limit such as `64mb`, and what happens at it, such as `noeviction` or `allkeys-lru`.
    #[must_use]
    pub fn max_memory(mut self, limit: &str, policy: &str) -> Self {
        self.max_memory = Some((limit.to_owned(), policy.to_owned()));
        self
    }

    /// The password of the default user. Characters that a URL must encode are not supported.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// A further user, with rules in the server's own words: `~* &* +@all -config`. The URL names
    /// this user; the test's own commands go on as the default one.
    #[must_use]
    pub fn user(mut self, name: &str, password: &str, rules: &str) -> Self {
        let (name, password, rules) = (name.to_owned(), password.to_owned(), rules.to_owned());
        self.user = Some(User { name, password, rules });
        self
    }

    /// A second port, with TLS under a certificate made for this server.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// The same, and whoever connects by TLS has to show a certificate of the same authority.
    #[must_use]
    pub fn mutual_tls(mut self) -> Self {
        self.asks_for_certificates = true;
        self.tls()
    }

    /// A further word for the server's command line: `.argument("--maxclients").argument("5")`.
    #[must_use]
    pub fn argument(mut self, word: &str) -> Self {
        self.arguments.push(word.to_owned());
        self
    }

    /// Starts the server and waits until it answers.
    ///
    /// # Panics
    ///
    /// When there is no server program, or it does not start; the message says why.
    #[must_use]
    pub fn start(self) -> RedisServer {
        for _ in 0..PORT_ATTEMPTS {
            let place = if self.tls { RedisPlace::with_tls() } else { RedisPlace::without_tls() };
            match self.launch(&place) {
                Ok(process) => return RedisServer::running(self, place, process),
                // Somebody outside of these tests took the port since we looked.
                Err(complaint) if complaint.contains("Failed listening on port") => {}
                Err(complaint) if self.tls && tells_of_missing_tls(&complaint) => {
                    panic!("{NO_TLS}: {complaint}");
                }
                Err(complaint) => panic!("redis-server did not start: {complaint}"),
            }
        }
        panic!("redis-server found its port taken {PORT_ATTEMPTS} times");
    }

    /// Starts the process and waits until it answers, or gives what it printed instead.
    pub(crate) fn launch(&self, place: &RedisPlace) -> Result<ChildProcess, String> {
        let mut command = Command::new(redis_program());
        // The program does what its name says, and may be installed as redis-check-rdb.
        command.arg0("redis-server").current_dir(place.folder.path());
        command.args(self.arguments_at(place));
        let process = ChildProcess::spawn(&mut command);
        // Once this line is there, the port is bound, and the data is loaded.
        let is_ready = |line: &str| line.contains("Ready to accept connections");
        if process.try_wait_for_line(is_ready, READY_WITHIN).is_none() {
            return Err(format!("it printed:\n{}", process.last_lines()));
        }
        self.greet(place);
        Ok(process)
    }

    /// The name and password that clients log in with; an empty name is the default user's.
    pub(crate) fn login(&self) -> Option<(&str, &str)> {
        match (&self.user, &self.password) {
            (Some(user), _) => Some((&user.name, &user.password)),
            (None, Some(password)) => Some(("", password)),
            (None, None) => None,
        }
    }

    /// Makes sure that it really answers.
    fn greet(&self, place: &RedisPlace) {
        let answered = self.connect(place).and_then(|mut server| server.command(&["PING"]));
        match answered {
            Ok(Reply::Text(pong)) if pong == "PONG" => {}
            other => panic!("redis-server is ready and answers PING with {other:?}"),
        }
    }

    pub(crate) fn connect(&self, place: &RedisPlace) -> std::io::Result<RedisConnection> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, place.port.number()));
        let mut connection = RedisConnection::open(address, COMMAND_BOUND)?;
        if let Some(password) = &self.password {
            let reply = connection.command(&["AUTH", password])?;
            assert_eq!(reply, Reply::Text("OK".to_owned()), "the test's own password was refused");
        }
        Ok(connection)
    }

    fn arguments_at(&self, place: &RedisPlace) -> Vec<String> {
        let port = place.port.number().to_string();
        let mut line = Vec::new();
        let mut add = |words: &[&str]| line.extend(words.iter().map(|&word| word.to_owned()));
        add(&["--port", &port, "--bind", "127.0.0.1", "--save", "", "--loglevel", "notice"]);
        match self.persistence {
            Persistence::None => add(&["--appendonly", "no"]),
            Persistence::AppendEverySecond => {
                add(&["--appendonly", "yes", "--appendfsync", "everysec"]);
            }
            Persistence::AppendAlways => add(&["--appendonly", "yes", "--appendfsync", "always"]),
        }
        if let Some((limit, policy)) = &self.max_memory {
            add(&["--maxmemory", limit, "--maxmemory-policy", policy]);
        }
        if let Some(password) = &self.password {
            add(&["--requirepass", password]);
        }
        if let Some(User { name, password, rules }) = &self.user {
            add(&["--user", name, "on", &format!(">{password}")]);
            add(&rules.split_whitespace().collect::<Vec<_>>());
        }
        if let Some(tls) = &place.tls {
            let asked = if self.asks_for_certificates { "yes" } else { "no" };
            add(&["--tls-port", &tls.port.number().to_string(), "--tls-auth-clients", asked]);
            let certificates = &tls.certificates;
            let files = [
                ("--tls-ca-cert-file", certificates.ca_path()),
                ("--tls-cert-file", certificates.server_certificate_path()),
                ("--tls-key-file", certificates.server_key_path()),
            ];
            for (option, file) in files {
                add(&[option, &file.to_string_lossy()]);
            }
        }
        line.extend_from_slice(&self.arguments);
        line
    }
}

/// Some builds do not know the options, others know them and give up.
fn tells_of_missing_tls(complaint: &str) -> bool {
    complaint.contains("Bad directive") || complaint.contains("Failed finding TLS support")
}

/// How much of its data a server keeps over a restart.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Persistence {
    /// Nothing.
    #[default]
    None,
    /// An append-only file, written to disk every second.
    AppendEverySecond,
    /// An append-only file, written to disk before every answer.
    AppendAlways,
}

#[derive(Clone, Debug)]
struct User {
    name: String,
    password: String,
    rules: String,
}
