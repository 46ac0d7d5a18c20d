//! Opens the file for the writer and for the reader, with the settings that the promise needs. A file that cannot keep it
//! is refused here, with the cure, and not at the first task.

use std::{io, time::Duration};

use rusqlite::{Connection as Database, OpenFlags};
use taskq_core::error::ErrorKind;

use super::{
    address::{Address, Synchronous},
    bounds::{BUSY_PATIENCE, CACHE_KIB, LOG_BYTES, STATEMENTS},
    busy::Turns,
    failure::Failure,
    layout::Layout,
};

/// Opens the file to write, creating or migrating it if need be.
pub(super) fn open_to_write(address: &Address, layout: Layout, turns: &mut Turns) -> Result<Database, Failure> {
    check_folder(address)?;
    let database = open(address, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    // Retrying is ours: the driver would wait unfairly, see `busy.rs`.
    database.busy_timeout(Duration::ZERO)?;
    turns.patiently(|| layout.recognise(&database))?;
    turns.patiently(|| use_write_ahead_log(&database))?;
    wait_for_the_disk(&database, address)?;
    database.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    turns.patiently(|| layout.establish(&database, &mut Turns::new(0)))?;
    if let Some(pages) = address.max_pages {
        database.pragma_update(None, "max_page_count", pages)?;
    }
    Ok(database)
}

/// Opens the file, which exists, to read. Readers are not held up by the writer, but by a recovery after a crash.
pub(super) fn open_to_read(address: &Address) -> Result<Database, Failure> {
    // Even a reader writes the index of the write-ahead log, so it cannot be opened read-only.
    let database = open(address, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    database.busy_timeout(BUSY_PATIENCE)?;
    database.pragma_update(None, "query_only", true)?;
    Ok(database)
}

/// Opens the file, which exists, to move the log into it.
pub(super) fn open_to_checkpoint(address: &Address) -> Result<Database, Failure> {
    let database = open(address, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    wait_for_the_disk(&database, address)?;
    Ok(database)
}

fn wait_for_the_disk(database: &Database, address: &Address) -> Result<(), Failure> {
    database.pragma_update(None, "synchronous", address.synchronous.as_pragma())?;
    if address.synchronous == Synchronous::Full {
        // Only macOS knows the difference: there a plain fsync leaves data in the disk's cache.
        database.pragma_update(None, "fullfsync", true)?;
        database.pragma_update(None, "checkpoint_fullfsync", true)?;
    }
    Ok(())
}

fn open(address: &Address, flags: OpenFlags) -> Result<Database, Failure> {
    // One thread uses each connection, so SQLite need not lock it.
    let database = Database::open_with_flags(&address.path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // SQLite opens a file that it may not write for reading, and would only say so at the first task.
    if database.is_readonly("main")? {
        return Err(Failure::new(ErrorKind::Refused, "the file is read-only; taskq must be able to write it"));
    }
    database.set_prepared_statement_cache_capacity(STATEMENTS);
    database.pragma_update(None, "cache_size", -CACHE_KIB)?;
    // What a savepoint may have to undo stays in memory; a temporary file could meet a full disk of its own.
    database.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(database)
}

fn use_write_ahead_log(database: &Database) -> Result<(), Failure> {
    let mode: String = database.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    match mode.as_str() {
        "wal" => Ok(()),
        other => Err(Failure::new(
            ErrorKind::Refused,
            format!("no write-ahead log here (journal mode {other}); put the file on a local disk"),
        )),
    }
}

/// SQLite says "unable to open" for all of these.
fn check_folder(address: &Address) -> Result<(), Failure> {
    let folder = match address.path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => return Ok(()),
    };
    match std::fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(Failure::new(ErrorKind::Refused, format!("{} is not a folder", folder.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Failure::new(ErrorKind::NotFound, format!("the folder {} does not exist; create it", folder.display())))
        }
        Err(error) => {
            Err(Failure::new(ErrorKind::Refused, format!("the folder {} cannot be used: {error}", folder.display())))
        }
    }
}
