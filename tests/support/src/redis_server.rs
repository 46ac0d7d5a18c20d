//! A real Redis or Valkey server for one test, on a free port of 127.0.0.1 with a folder of its
//! own.
//!
//! The promise: when `start` or `restart` returns, the server answers; when the value is dropped,
//! the process and its files are gone. `kill`, `restart`, `pause` and `resume` do to it what a bad
//! day in production does.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::redis_place::RedisPlace;
use crate::{Certificates, ChildProcess, RedisConnection, RedisServerBuilder, Reply};

/// A running server; killed when dropped.
#[derive(Debug)]
pub struct RedisServer {
    options: RedisServerBuilder,
    place: RedisPlace,
    process: ChildProcess,
}

impl RedisServer {
    /// Starts a server that keeps nothing on disk and asks for no password.
    ///
    /// # Panics
    ///
    /// When there is no server program, or it does not start; the message says why.
    #[must_use]
    pub fn start() -> RedisServer {
        RedisServer::builder().start()
    }

    /// Options first, then [`start`](RedisServerBuilder::start).
    #[must_use]
    pub fn builder() -> RedisServerBuilder {
        RedisServerBuilder::default()
    }

    pub(crate) fn running(options: RedisServerBuilder, place: RedisPlace, process: ChildProcess) -> RedisServer {
        RedisServer { options, place, process }
    }

    /// The URL for clients, with user, password and `rediss` where they apply:
    /// `redis://127.0.0.1:20001`. A database number can be appended: `/3`.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.place.tls {
            Some(tls) => format!("rediss://{}127.0.0.1:{}", self.credentials(), tls.port.number()),
            None => self.plain_url(),
        }
    }

    /// The URL without TLS, which a TLS server answers too, on another port.
    #[must_use]
    pub fn plain_url(&self) -> String {
        format!("redis://{}127.0.0.1:{}", self.credentials(), self.port())
    }

    /// The port on which the server listens without TLS.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.place.port.number()
    }

    /// The certificate of the authority that signed this server's certificate.
    ///
    /// # Panics
    ///
    /// When the server was started without TLS.
    #[must_use]
    pub fn ca_path(&self) -> PathBuf {
        self.certificates().ca_path()
    }

    /// The authority of this server, and what it signed.
    ///
    /// # Panics
    ///
    /// When the server was started without TLS.
    #[must_use]
    pub fn certificates(&self) -> &Certificates {
        &self.place.tls.as_ref().expect("certificates need a server built with tls()").certificates
    }

    /// The id of the server's process.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// What it printed last.
    #[must_use]
    pub fn last_lines(&self) -> String {
        self.process.last_lines()
    }

    /// Kills the server (SIGKILL). Its port and folder stay reserved for [`restart`](Self::restart).
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts the server again on the same port and folder; kills it first if it is running.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = match self.options.launch(&self.place) {
            Ok(process) => process,
            Err(complaint) => panic!("redis-server did not start again: {complaint}"),
        };
    }

    /// Stops the server's process (SIGSTOP): connections stay open, and nobody answers.
    pub fn pause(&self) {
        self.process.stop();
    }

    /// Lets a paused server continue (SIGCONT).
    pub fn resume(&self) {
        self.process.resume();
    }

    /// Sends one command on a fresh connection, as the user that may do everything.
    ///
    /// # Panics
    ///
    /// When the server does not answer. A command it refuses is a [`Reply::Error`].
    pub fn command(&self, words: &[&str]) -> Reply {
        let answered = self.connect().and_then(|mut connection| connection.command(words));
        match answered {
            Ok(reply) => reply,
            Err(err) => panic!("redis-server did not answer {words:?}: {err}"),
        }
    }

    /// A connection for several commands, logged in as the user that may do everything.
    ///
    /// # Errors
    ///
    /// When the server does not answer.
    pub fn connect(&self) -> std::io::Result<RedisConnection> {
        self.options.connect(&self.place)
    }

    /// How often each command was called since the last reset, by its name in lower case, as
    /// `INFO commandstats` tells. Calls made by scripts are counted too.
    pub fn command_counts(&self) -> BTreeMap<String, u64> {
        let report = self.command(&["INFO", "commandstats"]);
        report.text().lines().filter_map(command_count).collect()
    }

    /// Sets all counts of [`command_counts`](Self::command_counts) to zero.
    pub fn reset_command_counts(&self) {
        let reply = self.command(&["CONFIG", "RESETSTAT"]);
        assert_eq!(reply, Reply::Text("OK".to_owned()), "CONFIG RESETSTAT was refused");
    }

    fn credentials(&self) -> String {
        match self.options.login() {
            Some((name, password)) => format!("{name}:{password}@"),
            None => String::new(),
        }
    }
}

/// One line of the report: `cmdstat_get:calls=12,usec=..`.
fn command_count(line: &str) -> Option<(String, u64)> {
    let (name, numbers) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
    let calls = numbers.split(',').next()?;
    Some((name.to_owned(), calls.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpStream;
    use std::sync::Arc;
    use std::time::Duration;

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

    use super::*;
    use crate::Persistence;

    fn port_of(url: &str) -> u16 {
        url.rsplit(':').next().unwrap().parse().unwrap()
    }

    #[test]
    fn a_started_server_answers_under_its_url() {
        let server = RedisServer::start();
        assert_eq!(server.url(), format!("redis://127.0.0.1:{}", server.port()));
        assert_eq!(server.command(&["PING"]).text(), "PONG");
        assert_eq!(server.command(&["GET", "nothing"]), Reply::Nil);
        assert_eq!(server.command(&["RPUSH", "list", "a", "b"]).integer(), 2);
        assert_eq!(server.command(&["LRANGE", "list", "0", "-1"]).array().len(), 2);
        assert!(matches!(server.command(&["INCR", "list"]), Reply::Error(_)));
    }

    #[test]
    fn ten_servers_started_at_once_get_ports_of_their_own() {
        let starting: Vec<_> = (0..10).map(|_| std::thread::spawn(RedisServer::start)).collect();
        let servers: Vec<_> = starting.into_iter().map(|thread| thread.join().unwrap()).collect();
        for server in &servers {
            let told = server.command(&["INFO", "server"]);
            let process = format!("process_id:{}", server.process_id());
            assert!(told.text().lines().any(|line| line == process));
        }
    }

    #[test]
    fn a_restarted_server_has_its_port_and_its_appended_data() {
        let mut server = RedisServer::builder().persistence(Persistence::AppendAlways).start();
        let port = server.port();
        server.command(&["SET", "key", "kept"]);
        server.kill();
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
        server.restart();
        assert_eq!(server.port(), port);
        assert_eq!(server.command(&["GET", "key"]).text(), "kept");
    }

    #[test]
    fn a_restarted_server_without_persistence_is_empty() {
        let mut server = RedisServer::start();
        server.command(&["SET", "key", "lost"]);
        server.restart();
        assert_eq!(server.command(&["GET", "key"]), Reply::Nil);
    }

    #[test]
    fn a_dropped_server_leaves_no_process_no_listener_and_no_folder() {
        let server = RedisServer::start();
        let (port, process) = (server.port(), server.process_id());
        let folder = server.place.folder.path().to_path_buf();
        drop(server);
        let process = rustix::process::Pid::from_raw(process.cast_signed()).unwrap();
        assert!(rustix::process::test_kill_process(process).is_err());
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
        assert!(!folder.exists());
    }

    #[test]
    fn a_paused_server_answers_after_it_is_resumed() {
        let server = RedisServer::start();
        let address = ([127, 0, 0, 1], server.port()).into();
        let mut connection = RedisConnection::open(address, Duration::from_millis(200)).unwrap();
        server.pause();
        assert!(connection.command(&["PING"]).is_err());
        server.resume();
        assert_eq!(server.command(&["PING"]).text(), "PONG");
    }

    #[test]
    fn a_password_is_in_the_url_and_asked_for() {
        let server = RedisServer::builder().password("secret").start();
        assert_eq!(server.url(), format!("redis://:secret@127.0.0.1:{}", server.port()));
        assert_eq!(server.command(&["PING"]).text(), "PONG");
        let address = ([127, 0, 0, 1], server.port()).into();
        let mut stranger = RedisConnection::open(address, Duration::from_secs(5)).unwrap();
        assert!(matches!(stranger.command(&["PING"]).unwrap(), Reply::Error(_)));
    }

    #[test]
    fn a_user_may_do_what_its_rules_say_and_no_more() {
        let server = RedisServer::builder().user("ann", "pw", "~* &* +@all -config").start();
        assert_eq!(server.url(), format!("redis://ann:pw@127.0.0.1:{}", server.port()));
        let mut ann = server.connect().unwrap();
        assert_eq!(ann.command(&["AUTH", "ann", "pw"]).unwrap().text(), "OK");
        assert_eq!(ann.command(&["SET", "a", "b"]).unwrap().text(), "OK");
        let refused = ann.command(&["CONFIG", "GET", "save"]).unwrap();
        assert!(matches!(refused, Reply::Error(reason) if reason.starts_with("NOPERM")));
    }

    #[test]
    fn a_memory_limit_and_further_arguments_reach_the_server() {
        let server =
            RedisServer::builder().max_memory("64mb", "allkeys-lru").argument("--maxclients").argument("77").start();
        let setting = |name| server.command(&["CONFIG", "GET", name]).array()[1].clone();
        assert_eq!(setting("maxmemory").integer(), 64 << 20);
        assert_eq!(setting("maxmemory-policy").text(), "allkeys-lru");
        assert_eq!(setting("maxclients").integer(), 77);
    }

    #[test]
    fn a_tls_server_is_trusted_through_its_own_authority_and_no_other() {
        let server = RedisServer::builder().tls().password("secret").start();
        assert!(server.url().starts_with("rediss://:secret@127.0.0.1:"));
        assert_eq!(server.command(&["PING"]).text(), "PONG");

        let mut line = String::new();
        let mut trusting = tls_stream(&server, server.ca_path());
        trusting.write_all(b"AUTH secret\r\n").unwrap();
        BufReader::new(trusting).read_line(&mut line).unwrap();
        assert_eq!(line, "+OK\r\n");

        let stranger = crate::Certificates::new();
        let mut distrusting = tls_stream(&server, stranger.ca_path());
        assert!(distrusting.write_all(b"PING\r\n").is_err());
    }

    fn tls_stream(server: &RedisServer, ca_path: PathBuf) -> StreamOwned<ClientConnection, TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca_path).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let client = ClientConnection::new(Arc::new(config), name).unwrap();
        let socket = TcpStream::connect(("127.0.0.1", port_of(&server.url()))).unwrap();
        StreamOwned::new(client, socket)
    }

    #[test]
    fn commands_are_counted_until_the_counts_are_reset() {
        let server = RedisServer::start();
        server.command(&["SET", "a", "1"]);
        server.command(&["SET", "a", "2"]);
        assert_eq!(server.command_counts()["set"], 2);
        server.reset_command_counts();
        assert!(!server.command_counts().contains_key("set"));
    }

    #[test]
    #[should_panic(expected = "redis-server did not start: it printed:")]
    fn a_server_that_cannot_start_says_why() {
        let _ = RedisServer::builder().argument("--no-such-option").argument("1").start();
    }
}
