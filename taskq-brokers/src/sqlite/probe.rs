//! One look at a file, for health checks: is it there, and is it a database that can be read? It never creates one.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rusqlite::{Connection as Database, InterruptHandle, OpenFlags};
use taskq_core::error::{Error, ErrorKind, Result};

use super::failure::Failure;

/// Opens the file at `path` to read and reads its schema. A lock of somebody else is waited for as long as `timeout`.
///
/// Dropped half-way, it interrupts the query; a file system that does not answer keeps a thread until it does.
///
/// # Errors
/// `NotFound` if the file is not there, `Refused` if it is empty, damaged, no database or not readable, `Unavailable` if it
/// stays locked.
pub async fn probe(path: &Path, timeout: Duration) -> Result<()> {
    let (own_path, look) = (path.to_owned(), Arc::new(Look::default()));
    let _interrupt = OnDrop(Arc::clone(&look));
    let read = tokio::task::spawn_blocking(move || look.read(&own_path, timeout)).await;
    let failed = |failure: Failure| failure.told_plainly("read", path.display());
    match read {
        Ok(read) => read.map_err(failed),
        Err(error) => Err(Error::new(ErrorKind::Internal, "read", path.display()).because(error)),
    }
}

/// A look under way, and how to end it.
#[derive(Default)]
struct Look(Mutex<State>);

#[derive(Default)]
enum State {
    #[default]
    Opening,
    Reading(InterruptHandle),
    Over,
}

impl Look {
    fn read(&self, path: &Path, timeout: Duration) -> Result<(), Failure> {
        check_file(path)?;
        let database =
            Database::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        database.busy_timeout(timeout)?;
        if !self.begin(&database) {
            return Ok(());
        }
        let _entries: i64 = database.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok(())
    }

    /// Whether somebody still waits for the answer.
    fn begin(&self, database: &Database) -> bool {
        let mut state = self.state();
        let is_wanted = !matches!(*state, State::Over);
        if is_wanted {
            *state = State::Reading(database.get_interrupt_handle());
        }
        is_wanted
    }

    fn end(&self) {
        if let State::Reading(handle) = std::mem::replace(&mut *self.state(), State::Over) {
            handle.interrupt();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct OnDrop(Arc<Look>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// What SQLite would call unable to open, or take for a new database.
fn check_file(path: &Path) -> Result<(), Failure> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Err(Failure::new(ErrorKind::Refused, "it is a folder")),
        Ok(metadata) if metadata.len() == 0 => Err(Failure::new(ErrorKind::Refused, "the file is empty")),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Failure::new(ErrorKind::NotFound, "the file does not exist"))
        }
        Err(error) => Err(Failure::new(ErrorKind::Refused, format!("the file cannot be looked at: {error}"))),
    }
}
