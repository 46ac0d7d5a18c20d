//! Moves what the write-ahead log has gathered into the file, beside the writer and not within one of its commits.
//!
//! The log begins anew only when all of it has been moved and nobody has written since. So there are two movements: a
//! thread with a connection of its own moves thousands of pages, which may wait for the disk for some 20 ms; then the
//! writer itself moves the few that were written meanwhile, between two transactions.
//!
//! A reader keeps in the log what it reads. While the log is short, nobody waits for readers, and the next movement tries
//! again. Of many readers there may be one at every moment, so for a long log the writer waits for those that there are:
//! who begins to read when all has been moved needs nothing of the log.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use rusqlite::{Connection as Database, hooks::Wal};

use super::{
    address::Address,
    bounds::{LONG_LOG, READER_PATIENCE},
    failure::Failure,
    file,
};

/// Belongs to the writer of a connection.
#[derive(Debug)]
pub(super) struct Checkpoints {
    address: Address,
    /// Pages in the log when a checkpoint is due.
    every: u64,
    /// When the next one is due: later than `every` if the last one could not move all, as a reader was in the way.
    due_at: u64,
    /// Pages in the log after the last commit, whoever wrote them.
    pages: Arc<AtomicU64>,
    /// From the first one that is due.
    mover: Option<Mover>,
    is_moving: bool,
}

/// The way to the thread that moves.
#[derive(Debug)]
struct Mover {
    orders: Option<SyncSender<()>>,
    is_done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    /// Takes over from SQLite's own checkpoints in the commits of this connection.
    pub(super) fn of(database: &mut Database, address: &Address, every: u64) -> Result<Self, Failure> {
        let pages = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&pages);
        database.wal_hook(Some(move |_: &mut Wal, pages: std::ffi::c_int| {
            counted.store(u64::from(pages.unsigned_abs()), Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self { address: address.clone(), every, due_at: every, pages, mover: None, is_moving: false })
    }

    /// Called between two transactions, when everybody has been answered.
    pub(super) fn keep_short(&mut self, database: &Database) {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < self.every {
            self.due_at = self.every;
        }
        if self.is_moving {
            if self.mover.as_ref().is_none_or(Mover::is_done) {
                self.is_moving = false;
                // If a reader needs what the log has, nothing is gained by trying again at each commit.
                self.due_at = pages + self.every;
                tell(
                    &self.address,
                    match pages >= self.every * LONG_LOG {
                        false => move_pages(database),
                        true => move_past_readers(database),
                    },
                );
            }
        } else if pages >= self.due_at {
            let address = &self.address;
            self.mover.get_or_insert_with(|| Mover::start(address)).order();
            self.is_moving = true;
        }
    }
}

impl Mover {
    fn start(address: &Address) -> Self {
        // One order at a time; a thread that cannot be had is one that is done at once: the writer then moves everything.
        let (orders, received) = sync_channel(1);
        let is_done = Arc::new(AtomicBool::new(true));
        let (own_address, done) = (address.clone(), Arc::clone(&is_done));
        let run = move || work(&own_address, &received, &done);
        let thread = std::thread::Builder::new().name("taskq-checkpoint".to_owned()).spawn(run);
        Self { orders: Some(orders), is_done, thread: thread.ok() }
    }

    fn order(&self) {
        self.is_done.store(false, Ordering::SeqCst);
        if self.orders.as_ref().is_none_or(|orders| orders.try_send(()).is_err()) {
            self.is_done.store(true, Ordering::SeqCst);
        }
    }

    fn is_done(&self) -> bool {
        self.is_done.load(Ordering::SeqCst)
    }
}

impl Drop for Mover {
    fn drop(&mut self) {
        self.orders.take();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn work(address: &Address, orders: &Receiver<()>, is_done: &AtomicBool) {
    let opened = file::open_to_checkpoint(address);
    while orders.recv().is_ok() {
        tell(address, opened.as_ref().map_err(Failure::clone).and_then(move_pages));
        is_done.store(true, Ordering::SeqCst);
    }
}

/// As many pages as no reader needs in the log; none if another process is just doing it.
fn move_pages(database: &Database) -> Result<(), Failure> {
    // out: whether another one had the lock, pages in the log, pages moved
    database.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?.query_row([], |_| Ok(()))?;
    Ok(())
}

/// All pages, so that the next commit begins the log anew. Waits for whoever reads, but not long.
fn move_past_readers(database: &Database) -> Result<(), Failure> {
    database.busy_timeout(READER_PATIENCE)?;
    // out: as above
    let moved = database.prepare_cached("PRAGMA wal_checkpoint(RESTART)")?.query_row([], |_| Ok(()));
    // Everything else is patient in its own way.
    database.busy_timeout(Duration::ZERO)?;
    Ok(moved?)
}

/// A log that stays long costs space and nothing else, and the next checkpoint tries again.
fn tell(address: &Address, moved: Result<(), Failure>) {
    if let Err(failure) = moved {
        let path = address.path.display();
        tracing::warn!(%path, ?failure, "the write-ahead log could not be moved into the file");
    }
}

#[cfg(test)]
mod tests {
    use taskq_core::clock::Clock;
    use taskq_test_support::TempFolder;

    use super::*;
    use crate::sqlite::{busy::Turns, layout::Layout};

    const EVERY: u64 = 20;

    struct Log {
        folder: TempFolder,
        database: Database,
        checkpoints: Checkpoints,
    }

    impl Log {
        fn open() -> Self {
            let folder = TempFolder::new();
            let address = Address::parse(&format!("sqlite://{}", folder.file("x.db").display())).expect("valid");
            let mut database =
                file::open_to_write(&address, Layout::present(), &mut Turns::new(1)).expect("opens the file");
            database.execute_batch("CREATE TABLE filler (bytes)").expect("creates");
            // What a layout takes to be made is no business of these tests.
            let emptied = database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
            assert_eq!(emptied, Ok(0), "nobody is in the way");
            let checkpoints = Checkpoints::of(&mut database, &address, EVERY).expect("takes over");
            Self { folder, database, checkpoints }
        }

        /// Some pages more, and what follows a commit.
        fn write(&mut self) {
            self.database.execute("INSERT INTO filler VALUES (zeroblob(8000))", []).expect("inserts");
            self.checkpoints.keep_short(&self.database);
        }

        fn pages(&self) -> u64 {
            self.checkpoints.pages.load(Ordering::Relaxed)
        }

        fn until_moved(&self) {
            let give_up = Clock::system().monotonic() + std::time::Duration::from_secs(20);
            while self.checkpoints.mover.as_ref().is_some_and(|mover| !mover.is_done()) {
                assert!(Clock::system().monotonic() < give_up, "the mover is not done");
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn a_log_begins_anew_again_and_again() {
        let mut log = Log::open();
        let (mut longest, mut restarts) = (0, 0);
        for _ in 0..200 {
            let before = log.pages();
            log.write();
            log.until_moved();
            longest = longest.max(log.pages());
            restarts += u32::from(log.pages() < before);
        }
        assert!(longest < EVERY + 10, "{longest} pages");
        assert!(restarts > 20, "{restarts} restarts");
        assert!(log.folder.file("x.db").metadata().expect("is there").len() > 100 * 8_000);
    }

    #[test]
    fn a_reader_in_the_way_is_not_tried_at_each_commit_and_moved_past_when_it_has_gone() {
        let mut log = Log::open();
        let reader = file::open_to_read(&log.checkpoints.address).expect("opens");
        reader.execute_batch("BEGIN; SELECT count(*) FROM filler").expect("reads");
        let mut orders = 0;
        for _ in 0..60 {
            let moved_before = log.checkpoints.is_moving;
            log.write();
            log.until_moved();
            orders += u64::from(log.checkpoints.is_moving && !moved_before);
        }
        assert!(log.pages() > 3 * EVERY, "{} pages", log.pages());
        assert!(orders <= log.pages() / EVERY, "{orders} orders for {} pages", log.pages());
        reader.execute_batch("COMMIT").expect("ends");
        for _ in 0..20 {
            log.write();
            log.until_moved();
        }
        assert!(log.pages() < 2 * EVERY, "{} pages", log.pages());
    }

    #[test]
    fn without_a_thread_the_writer_moves_everything() {
        let mut log = Log::open();
        let mover = Mover { orders: None, is_done: Arc::new(AtomicBool::new(true)), thread: None };
        log.checkpoints.mover = Some(mover);
        (0..200).for_each(|_| log.write());
        assert!(log.pages() < EVERY + 10, "{} pages", log.pages());
    }
}
