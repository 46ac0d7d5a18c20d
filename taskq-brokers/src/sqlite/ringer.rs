//! Rings the bells of the other connections on the file, after a commit; see `bell.rs`. It never waits for anybody.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use taskq_core::clock::Clock;

use super::{
    bell::{BellFolder, encode},
    bounds::FOLDER_GRAIN,
    waiting::Topic,
};

/// Belongs to the writer of a connection.
#[derive(Debug)]
pub(super) struct Ringer {
    bells: BellFolder,
    socket: Option<UnixDatagram>,
    listing: Listing,
}

impl Ringer {
    /// A ringer in this folder.
    pub(super) fn new(bells: BellFolder) -> Self {
        // Without a socket to send from, the others find out by looking.
        let socket = UnixDatagram::unbound().and_then(|socket| socket.set_nonblocking(true).map(|()| socket));
        Self { bells, socket: socket.ok(), listing: Listing::default() }
    }

    /// Tells every other connection that these may be of interest.
    pub(super) fn ring(&mut self, topics: &[Topic], clock: &Clock) {
        if topics.is_empty() || !self.listing.refresh(&self.bells, clock) {
            return;
        }
        let Some(socket) = &self.socket else { return };
        let (message, everything) = (encode(topics), encode(&[Topic::ALL]));
        self.listing.sockets.retain(|path, owed| {
            let message = if *owed == Owed::Nothing { &message } else { &everything };
            match send(socket, message, path) {
                Sent::Heard => *owed = Owed::Nothing,
                Sent::Lost => *owed = Owed::Everything,
                Sent::NobodyThere => return false,
            }
            true
        });
    }
}

enum Sent {
    Heard,
    Lost,
    NobodyThere,
}

fn send(socket: &UnixDatagram, message: &[u8], path: &Path) -> Sent {
    match socket.send_to(message, path) {
        Ok(_) => Sent::Heard,
        // Its process was killed, or left in this moment.
        Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => {
            fs::remove_file(path).ok();
            Sent::NobodyThere
        }
        // Its queue is full, which on some systems ten messages are.
        Err(_) => Sent::Lost,
    }
}

/// The sockets of the others as they were listed, and what each has missed.
#[derive(Debug, Default)]
struct Listing {
    sockets: BTreeMap<PathBuf, Owed>,
    changed: Option<SystemTime>,
    first_read: Duration,
    is_settled: bool,
}

/// What a listener has missed since the last message that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owed {
    Nothing,
    Everything,
}

impl Listing {
    /// Reads the folder unless it certainly did not change. False if nobody listens.
    fn refresh(&mut self, bells: &BellFolder, clock: &Clock) -> bool {
        let changed = fs::metadata(&bells.folder).and_then(|folder| folder.modified()).ok();
        if changed.is_none() {
            *self = Self::default();
            return false;
        }
        let now = clock.monotonic();
        if changed != self.changed {
            (self.changed, self.first_read, self.is_settled) = (changed, now, false);
        }
        if !self.is_settled {
            // The folder's time is coarse: two changes may have the same, so its first listings are not to be trusted.
            self.is_settled = now.saturating_sub(self.first_read) > FOLDER_GRAIN;
            self.read(bells);
        }
        !self.sockets.is_empty()
    }

    fn read(&mut self, bells: &BellFolder) {
        let before = std::mem::take(&mut self.sockets);
        let entries = fs::read_dir(&bells.folder).into_iter().flatten().flatten();
        let others = entries.filter(|entry| *entry.file_name() != *bells.own).map(|entry| entry.path());
        self.sockets = others.map(|path| (path.clone(), before.get(&path).copied().unwrap_or(Owed::Nothing))).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_missed_a_message_is_told_to_look_for_everything() {
        let place = tempfile::tempdir().expect("a folder");
        let bells = BellFolder::of(&place.path().join("x.db"));
        fs::create_dir(&bells.folder).expect("creates");
        let listener = UnixDatagram::bind(bells.folder.join("somebody")).expect("binds");
        listener.set_nonblocking(true).expect("sets");
        let mut ringer = Ringer::new(bells);
        let clock = Clock::system();
        // More than any system lets a socket keep.
        for number in 1..=5_000 {
            ringer.ring(&[Topic(number)], &clock);
        }
        let mut message = [0; 64];
        let mut heard = 0;
        while listener.recv(&mut message).is_ok() {
            heard += 1;
        }
        assert!(heard < 5_000);
        ringer.ring(&[Topic(7)], &clock);
        ringer.ring(&[Topic(8)], &clock);
        let length = listener.recv(&mut message).expect("hears");
        assert_eq!(message[..length], encode(&[Topic::ALL]));
        let length = listener.recv(&mut message).expect("hears");
        assert_eq!(message[..length], encode(&[Topic(8)]));
    }
}
