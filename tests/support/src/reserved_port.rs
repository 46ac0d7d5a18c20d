//! A port of 127.0.0.1 that belongs to one server, also while that server is down.
//!
//! The promise: no two servers started by this crate hold one port at the same time, so a killed
//! server can come back on its own.

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

use crate::TEST_DIR_VARIABLE;

/// Below the range from which Linux (32768) and macOS (49152) take the local ports of outgoing
/// connections. Inside that range a client that knocks at a killed server's port can be given that
/// very port, connect to itself, and keep the server from coming back.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// After so many ports in use something else is wrong.
const ATTEMPTS: usize = 200;

/// A port and the lock that keeps other tests away from it.
#[derive(Debug)]
pub(crate) struct ReservedPort {
    number: u16,
    lock_path: PathBuf,
    _lock: File,
}

impl ReservedPort {
    /// Reserves some port on which nobody listens just now.
    pub(crate) fn any() -> ReservedPort {
        let random = RandomState::new().build_hasher().finish();
        let count = u64::from(PORTS.end - PORTS.start);
        for attempt in 0..ATTEMPTS {
            // 7919 is a prime, so the steps do not meet before they have seen most ports.
            let offset = (random % count + 7_919 * attempt as u64) % count;
            let offset = u16::try_from(offset).expect("an offset into a range of ports is small");
            if let Some(port) = ReservedPort::reserve(PORTS.start + offset) {
                return port;
            }
        }
        panic!("no free port on 127.0.0.1 after {ATTEMPTS} attempts");
    }

    /// The port's number.
    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    fn reserve(number: u16) -> Option<ReservedPort> {
        let lock_path = made_lock_folder().join(number.to_string());
        let lock = File::create(&lock_path).ok()?;
        // The system releases the lock when the process ends in any way.
        lock.try_lock().ok()?;
        TcpListener::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        Some(ReservedPort { number, lock_path, _lock: lock })
    }
}

impl Drop for ReservedPort {
    fn drop(&mut self) {
        // Somebody may be opening this very file. Then two tests can believe to hold the port, one
        // of them fails to bind it, and takes another: so removing the file is safe.
        let _ = std::fs::remove_file(&self.lock_path);
        // This succeeds for the last port only. Who lost a race with it tries another port.
        let _ = std::fs::remove_dir(lock_folder());
    }
}

fn made_lock_folder() -> PathBuf {
    let folder = lock_folder();
    if let Err(err) = std::fs::create_dir_all(&folder) {
        panic!("cannot make the folder {}: {err}", folder.display());
    }
    folder
}

fn lock_folder() -> PathBuf {
    match std::env::var_os(TEST_DIR_VARIABLE) {
        Some(run_folder) => PathBuf::from(run_folder).join("ports"),
        None => {
            // A folder per user: a file made by one user cannot be opened by another.
            let user = rustix::process::getuid().as_raw();
            std::env::temp_dir().join(format!("taskq-test-ports-{user}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_port_is_given_to_nobody_else_until_it_is_dropped() {
        let port = ReservedPort::any();
        assert!(ReservedPort::reserve(port.number()).is_none());
        let number = port.number();
        drop(port);
        assert!(ReservedPort::reserve(number).is_some());
    }
}
