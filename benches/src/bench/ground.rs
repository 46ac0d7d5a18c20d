//! The ground that a run stands on: an empty server, or a fresh file.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bench_driver::Outcome;
use taskq_test_support::{Persistence, RedisServer};
use tempfile::TempDir;

use crate::{
    catalogue::{Engine, Place},
    proxy::Proxy,
    systems::System,
};

/// How far away the far server is, in each direction.
const FAR: Duration = Duration::from_millis(1);

/// How long a server may take to rewrite its empty append-only file.
const REWRITTEN_WITHIN: Duration = Duration::from_secs(60);

/// How the folders of files are called, and the lock in them that the system releases when their run ends in any way.
const FOLDER_PREFIX: &str = "bench-files-";
const LOCK: &str = "lock";

/// Prepares the ground for each run. One server at a time: others would take processor time.
#[derive(Debug)]
pub(crate) struct Grounds {
    server: Option<(Place, Server)>,
    folder: TempDir,
    _lock: File,
}

/// A server, and the way to it if that is long.
#[derive(Debug)]
struct Server {
    server: RedisServer,
    proxy: Option<Proxy>,
}

/// What one run stands on.
#[derive(Debug)]
pub(crate) struct Ground<'a> {
    /// Where the driver finds it.
    pub(crate) url: String,
    pub(crate) stands_on: Stands<'a>,
}

#[derive(Debug)]
pub(crate) enum Stands<'a> {
    Server(&'a RedisServer),
    Folder(TempDir),
}

impl Grounds {
    /// Files lie beside this program, which is a disk; the folder for temporary files may be memory.
    pub(crate) fn new() -> Outcome<Self> {
        let program = std::env::current_exe()?;
        let beside = program.parent().ok_or("this program lies in no folder")?;
        remove_abandoned(beside)?;
        let folder = tempfile::Builder::new().prefix(FOLDER_PREFIX).tempdir_in(beside)?;
        let lock = File::create(folder.path().join(LOCK))?;
        lock.lock()?;
        Ok(Self { server: None, folder, _lock: lock })
    }

    /// Empty ground for one run of a system.
    pub(crate) fn prepare(&mut self, place: Place, system: &System) -> Outcome<Ground<'_>> {
        match place.engine() {
            Engine::Redis => self.redis(place),
            Engine::Sqlite => self.sqlite(place, system),
        }
    }

    fn redis(&mut self, place: Place) -> Outcome<Ground<'_>> {
        if self.server.as_ref().is_none_or(|(present, _)| *present != place) {
            // The old one ends before the new one begins.
            self.server = None;
            self.server = Some((place, Server::start(place, self.folder.path())?));
        }
        let (_, server) = self.server.as_ref().ok_or("no server was started")?;
        server.empty(place)?;
        Ok(Ground { url: server.url(), stands_on: Stands::Server(&server.server) })
    }

    fn sqlite(&mut self, place: Place, system: &System) -> Outcome<Ground<'_>> {
        self.server = None;
        let folder = tempfile::tempdir_in(self.folder.path())?;
        let file = folder.path().join("bench.db");
        let parameters = match place {
            _ if !system.can_choose_durability() => "",
            Place::SqliteNormal => "?synchronous=normal",
            _ => "?synchronous=full",
        };
        let url = format!("sqlite://{}{parameters}", file.display());
        Ok(Ground { url, stands_on: Stands::Folder(folder) })
    }
}

/// Removes the folders of runs that were killed: nobody holds their locks.
fn remove_abandoned(beside: &Path) -> Outcome<()> {
    for entry in std::fs::read_dir(beside)? {
        let path = entry?.path();
        let is_ours = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(FOLDER_PREFIX));
        let lock = if is_ours { File::open(path.join(LOCK)).ok() } else { None };
        if lock.is_some_and(|lock| lock.try_lock().is_ok()) {
            std::fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}

impl Server {
    fn start(place: Place, folder: &Path) -> Outcome<Self> {
        let (persistence, name) = match place {
            Place::RedisEverySecond => (Persistence::AppendEverySecond, "everysec"),
            Place::RedisAlways => (Persistence::AppendAlways, "always"),
            _ => (Persistence::None, "memory"),
        };
        let files: PathBuf = folder.join(name);
        std::fs::create_dir_all(&files)?;
        let server = RedisServer::builder()
            .persistence(persistence)
            // A rewrite in the middle of a run would be measured with it.
            .argument("--auto-aof-rewrite-percentage")
            .argument("0")
            .argument("--dir")
            .argument(&files.to_string_lossy())
            .start();
        let proxy = match place {
            Place::RedisFar => Some(Proxy::start(server.port(), FAR)?),
            _ => None,
        };
        Ok(Self { server, proxy })
    }

    fn url(&self) -> String {
        match &self.proxy {
            Some(proxy) => format!("redis://127.0.0.1:{}", proxy.port()),
            None => self.server.url(),
        }
    }

    /// Nothing of the run before is left, neither in memory nor in the file.
    fn empty(&self, place: Place) -> Outcome<()> {
        self.server.command(&["FLUSHALL", "SYNC"]);
        if matches!(place, Place::RedisEverySecond | Place::RedisAlways) {
            self.server.command(&["BGREWRITEAOF"]);
            let begun = Instant::now();
            while !self.server.command(&["INFO", "persistence"]).text().contains("aof_rewrite_in_progress:0") {
                if begun.elapsed() > REWRITTEN_WITHIN {
                    return Err("the server does not come to an end with its append-only file".into());
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }
}
