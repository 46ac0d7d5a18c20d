//! What the processes work on: a file, a server with a proxy before it, or a service with sentinels.

use std::{
    io::Write,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use taskq_crash_tests::LONG;
use taskq_test_support::{Fault, FaultProxy, Persistence, RedisServer, RedisService, TempFolder};

use crate::options::Kind;

/// What kind of ground a nemesis needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ground {
    Usual,
    /// A primary with replicas, and sentinels.
    Service,
    /// The data is on a disk that is soon full.
    SmallDisk,
}

/// The size of the small disk. An idle server's append-only file and a SQLite log fit into it several times.
const DISK: &str = "size=32m";

/// The user under whose rights workers work.
pub(crate) const WORKERS: &str = "workers";
const PASSWORD: &str = "password";

/// A worker's rights, as the document has them.
fn rules() -> &'static str {
    let document = include_str!("../../../../docs/brokers.md");
    let (_, rest) = document.split_once("ACL SETUSER shop-worker on >password ").expect("the document has it");
    rest.split_once("```").expect("a block").0
}

/// How often is looked whether a server is done.
const LOOK: Duration = Duration::from_millis(10);

/// Written to the small disk at once.
const PIECE: usize = 64 * 1024;

/// A broker of its own for one campaign.
#[derive(Debug)]
pub(crate) struct Stage {
    /// The way to the server, for all processes but the one that checks.
    proxy: Option<FaultProxy>,
    server: Option<RedisServer>,
    service: Option<RedisService>,
    pub(crate) folder: TempFolder,
    /// Where the server or file has its data.
    data: PathBuf,
}

impl Stage {
    pub(crate) fn start(kind: Kind, ground: Ground, seed: u64) -> Result<Self, String> {
        let folder = TempFolder::new();
        let data = folder.file("data");
        std::fs::create_dir(&data).map_err(|error| error.to_string())?;
        let mut stage = Self { proxy: None, server: None, service: None, folder, data };
        match ground {
            Ground::Usual => {}
            Ground::SmallDisk => stage.mount()?,
            Ground::Service => {
                stage.service = Some(RedisService::start());
                return Ok(stage);
            }
        }
        if kind == Kind::Redis {
            let server = RedisServer::builder().persistence(Persistence::AppendEverySecond);
            let server = server.user(WORKERS, PASSWORD, rules());
            let server = server.argument("--dir").argument(&stage.data.to_string_lossy()).start();
            stage.proxy = Some(FaultProxy::start(server.port(), seed));
            stage.server = Some(server);
        }
        Ok(stage)
    }

    /// In the mount namespace that the conductor has for itself: it ends with the process, whatever happens.
    fn mount(&self) -> Result<(), String> {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", DISK, "tmpfs"]).arg(&self.data).output();
        match mounted {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(format!("cannot mount a small disk: {}", String::from_utf8_lossy(&output.stderr).trim())),
            Err(error) => Err(format!("cannot mount a small disk: {error}")),
        }
    }

    /// Where workers connect to: on a server under the rights that the documents give them.
    pub(crate) fn workers_url(&self) -> String {
        match &self.proxy {
            Some(proxy) => format!("redis://{WORKERS}:{PASSWORD}@127.0.0.1:{}", proxy.port()),
            None => self.url(),
        }
    }

    /// Where producers connect to.
    pub(crate) fn url(&self) -> String {
        match (&self.proxy, &self.service) {
            (Some(proxy), _) => format!("redis://127.0.0.1:{}", proxy.port()),
            (None, Some(service)) => service.url(),
            (None, None) => self.direct_url(),
        }
    }

    /// The same without the proxy.
    pub(crate) fn direct_url(&self) -> String {
        match (&self.server, &self.service) {
            (Some(server), _) => format!("redis://127.0.0.1:{}", server.port()),
            (None, Some(service)) => service.url(),
            (None, None) => format!("sqlite://{}?synchronous=normal", self.data.join("chaos.db").display()),
        }
    }

    /// The proxy, where there is a server.
    pub(crate) fn proxy(&self) -> &FaultProxy {
        self.proxy.as_ref().expect("this nemesis is played on a server only")
    }

    /// The server, where there is one.
    pub(crate) fn server(&mut self) -> &mut RedisServer {
        self.server.as_mut().expect("this nemesis is played on a server only")
    }

    /// The service, where there is one.
    pub(crate) fn service(&mut self) -> &mut RedisService {
        self.service.as_mut().expect("this nemesis is played on a service only")
    }

    /// Fills the small disk to the last byte.
    pub(crate) fn fill_disk(&self) {
        let mut ballast = std::fs::File::create(self.data.join("ballast")).expect("a file can be made");
        let piece = vec![1; PIECE];
        while ballast.write_all(&piece).is_ok() {}
    }

    /// Cuts so many bytes from the end of the append-only file, as a power loss does to what was not synced.
    pub(crate) fn cut_file(&self, bytes: u64) {
        let folder = std::fs::read_dir(self.data.join("appendonlydir")).expect("there is an append-only file");
        let files = folder.filter_map(|entry| Some(entry.ok()?.path()));
        let newest = files.filter(|path| path.to_string_lossy().ends_with(".incr.aof")).max();
        let file = std::fs::File::options().write(true).open(newest.expect("it has a part that grows"));
        let file = file.expect("it can be opened");
        let length = file.metadata().expect("it has a length").len();
        file.set_len(length.saturating_sub(bytes)).expect("it can be cut");
    }

    /// Has the server write its append-only file anew.
    pub(crate) fn rewrite_file(&mut self) {
        let server = self.server();
        server.command(&["BGREWRITEAOF"]);
        let begun = Instant::now();
        let is_done = |facts: &str| {
            ["aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0"].iter().all(|words| facts.contains(words))
        };
        while !is_done(server.command(&["INFO", "persistence"]).text()) {
            assert!(begun.elapsed() < LONG, "the append-only file is not rewritten");
            std::thread::sleep(LOOK);
        }
    }

    /// Ends every fault of network, server and disk.
    pub(crate) fn heal(&mut self) {
        if let Some(proxy) = &self.proxy {
            proxy.set(Fault::None);
        }
        if let Some(server) = &self.server {
            server.command(&["CONFIG", "SET", "maxmemory", "0"]);
        }
        let ballast = self.data.join("ballast");
        if ballast.exists() {
            std::fs::remove_file(ballast).expect("the ballast can be removed");
        }
    }
}
