//! Wakes other processes on the same file: a unix datagram socket for each connection that waits, in a folder beside the
//! file. A bell is only a hint; whoever misses one notices within a quarter of a second that the file has changed.
//!
//! This is the side that listens; `ringer.rs` is the other. A message is a byte for the format, then topics of eight
//! bytes each. An unknown format means "look yourself".

use std::{
    fs, io,
    os::unix::{fs::DirBuilderExt, net::UnixDatagram},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use taskq_core::{clock::Clock, id::WorkerId, retry::scramble};

use super::{
    bounds::{BELL_POLL, BELL_TOPICS, SOCKET_PATH},
    waiting::{Topic, Waiting},
    writer::Changes,
};

const FORMAT: u8 = 1;

/// This connection's own bell: a thread that listens, from the first wait on, until the connection is dropped.
#[derive(Debug)]
pub(super) struct Bell {
    bells: BellFolder,
    /// Of a socket that nobody else can reach, the other end.
    unheard: Option<UnixDatagram>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Bell {
    /// Hangs up the bell. Where no socket can be bound (the folder belongs to another user, or cannot be made), the thread
    /// only looks whether the file has changed: slower, and nothing else. A connection says so once.
    pub(super) fn hang(bells: &BellFolder, waiting: Arc<Waiting>, changes: Changes, clock: &Clock) -> io::Result<Self> {
        let (socket, unheard) = match bells.bind() {
            Ok(socket) => (socket, None),
            Err(error) => {
                let folder = bells.folder.display();
                tracing::warn!(%folder, %error, "no bell beside the file: other processes are noticed up to 250 ms later");
                UnixDatagram::pair().map(|(near, far)| (near, Some(far)))?
            }
        };
        socket.set_read_timeout(Some(BELL_POLL))?;
        let stopping = Arc::new(AtomicBool::new(false));
        let (stop, clock) = (Arc::clone(&stopping), clock.clone());
        let listener = Listener { socket, stopping: stop, waiting, changes, clock };
        let thread = std::thread::Builder::new().name("taskq-bell".to_owned()).spawn(move || listener.listen())?;
        Ok(Self { bells: bells.clone(), unheard, stopping, thread: Some(thread) })
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        let path = self.bells.own_path();
        // An empty message ends its wait at once; if that fails it wakes by itself within a poll.
        match &self.unheard {
            Some(other_end) => other_end.send(&[]).ok(),
            None => UnixDatagram::unbound().and_then(|socket| socket.send_to(&[], &path)).ok(),
        };
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
        if self.unheard.is_some() {
            return;
        }
        fs::remove_file(&path).ok();
        // Refused while others listen.
        fs::remove_dir(&self.bells.folder).ok();
    }
}

/// What the thread works with.
struct Listener {
    socket: UnixDatagram,
    stopping: Arc<AtomicBool>,
    waiting: Arc<Waiting>,
    changes: Changes,
    clock: Clock,
}

impl Listener {
    fn listen(self) {
        let mut message = vec![0; 1 + 8 * BELL_TOPICS];
        let mut looked = self.clock.monotonic();
        while !self.stopping.load(Ordering::SeqCst) {
            let heard = self.socket.recv(&mut message);
            if let Ok(length) = heard {
                self.waiting.wake(&decode(&message[..length]));
            }
            // Bells that are heard say nothing about the one that was lost, so they do not put off the look.
            let now = self.clock.monotonic();
            if heard.is_err() || now.saturating_sub(looked) >= BELL_POLL {
                looked = now;
                self.look();
            }
        }
    }

    /// The slow net, only while somebody waits.
    fn look(&self) {
        if !self.waiting.is_empty() && self.changes.since_last_asked() {
            self.waiting.wake_some();
        }
    }
}

/// Where the sockets of a file are, and the name of this connection's own.
#[derive(Clone, Debug)]
pub(super) struct BellFolder {
    pub(super) folder: PathBuf,
    pub(super) own: String,
}

impl BellFolder {
    /// The folder beside the file, or one for temporary files if a socket's path there would be too long.
    pub(super) fn of(file: &Path) -> Self {
        let canonical = canonical(file);
        // Its last twelve digits are random, and enough to tell connections apart.
        let own = WorkerId::generate().to_hex().split_off(20);
        let mut beside = canonical.clone().into_os_string();
        beside.push("-bells");
        let folder = match beside.len() + 1 + own.len() <= SOCKET_PATH {
            true => PathBuf::from(beside),
            false => std::env::temp_dir().join(format!("taskq-bells-{:016x}", fingerprint(&canonical))),
        };
        Self { folder, own }
    }

    fn own_path(&self) -> PathBuf {
        self.folder.join(&self.own)
    }

    fn bind(&self) -> io::Result<UnixDatagram> {
        let mut tries = 3;
        loop {
            tries -= 1;
            match fs::DirBuilder::new().mode(0o700).create(&self.folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                Ok(()) | Err(_) => {}
            }
            match UnixDatagram::bind(self.own_path()) {
                // The last listener of before took the folder away in this moment.
                Err(error) if error.kind() == io::ErrorKind::NotFound && tries > 0 => {}
                bound => return bound,
            }
        }
    }
}

/// The same path in every process, whatever its working directory and links; the file itself may not exist yet.
fn canonical(file: &Path) -> PathBuf {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let in_folder = || Some(fs::canonicalize(folder).ok()?.join(file.file_name()?));
    fs::canonicalize(file).ok().or_else(in_folder).unwrap_or_else(|| file.to_owned())
}

fn fingerprint(path: &Path) -> u64 {
    path.as_os_str().as_encoded_bytes().iter().fold(0, |hash, byte| scramble(hash ^ u64::from(*byte)))
}

/// A message that names the topics, or everything if they are many.
pub(super) fn encode(topics: &[Topic]) -> Vec<u8> {
    let topics = if topics.len() > BELL_TOPICS { &[Topic::ALL] } else { topics };
    std::iter::once(FORMAT).chain(topics.iter().flat_map(|topic| topic.0.to_le_bytes())).collect()
}

fn decode(message: &[u8]) -> Vec<Topic> {
    match message.split_first() {
        Some((&FORMAT, topics)) => {
            let topics = topics.chunks_exact(8);
            topics.filter_map(|bytes| Some(Topic(u64::from_le_bytes(bytes.try_into().ok()?)))).collect()
        }
        // Empty: the connection itself calls, see `Bell::drop`.
        None => Vec::new(),
        Some(_) => vec![Topic::ALL],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_back_and_a_foreign_one_means_look_yourself() {
        let topics = [Topic(3), Topic(u64::MAX)];
        assert_eq!(decode(&encode(&topics)), topics);
        assert_eq!(decode(&encode(&vec![Topic(7); BELL_TOPICS + 1])), [Topic::ALL]);
        assert_eq!(decode(&[9, 1, 2, 3]), [Topic::ALL]);
        assert_eq!(decode(&[]), []);
    }

    #[test]
    fn all_agree_on_a_folder_whose_paths_are_short_enough() {
        let place = tempfile::tempdir().expect("a folder");
        let file = place.path().join("x.db");
        let before = BellFolder::of(&file);
        assert!(before.folder.ends_with("x.db-bells"));
        fs::write(&file, "").expect("writes");
        std::os::unix::fs::symlink(&file, place.path().join("link.db")).expect("links");
        assert_eq!(BellFolder::of(&place.path().join("link.db")).folder, before.folder);
        let long = place.path().join("n".repeat(120));
        fs::create_dir(&long).expect("creates");
        let (one, other) = (BellFolder::of(&long.join("x.db")), BellFolder::of(&long.join("x.db")));
        assert_eq!(one.folder, other.folder);
        assert!(one.own_path().as_os_str().len() <= SOCKET_PATH && one.own != other.own);
    }
}
