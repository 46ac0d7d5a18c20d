//! Every bound that only this broker has, each with its unit and its reason; the others stand in `taskq_core::limits`.

use std::time::Duration;

/// Jobs that wait for the writer, and looks that wait for the reader, at most; beyond it callers wait.
pub(super) const BACKLOG: usize = 1_024;

/// Steps in one transaction at most: the 64th caller waits for 64 steps, and a rollback repeats no more than that.
pub(super) const GROUP: usize = 64;

/// How long a lock of other processes is waited for. Less than `CALL_DEADLINE`, so that the caller hears the reason.
pub(super) const BUSY_PATIENCE: Duration = Duration::from_secs(4);

/// Longest pause before a held lock is tried again. Shorter than `TURN_PAUSE`, or the pause would help nobody.
pub(super) const BUSY_PAUSE: Duration = Duration::from_micros(300);

/// Shortest pause after a commit while others write too: SQLite's lock goes to whoever asks first, not to who waited
/// longest, and without a pause one process was seen to commit 17,646 times while another did once.
pub(super) const TURN_PAUSE: Duration = Duration::from_micros(500);

/// For this many transactions after another writer was noticed, pauses are made.
pub(super) const CONTENDED_GROUPS: u32 = 16;

/// Prepared statements that each connection keeps; there are about fifty.
pub(super) const STATEMENTS: usize = 80;

/// Page cache of each connection, in KiB.
pub(super) const CACHE_KIB: i64 = 16 * 1024;

/// Pages in the write-ahead log before they are moved into the file: 16 MiB, which takes some 20 ms beside the writer.
pub(super) const CHECKPOINT_PAGES: u64 = 4_000;

/// A log of so many times [`CHECKPOINT_PAGES`] waits for whoever reads, and does not try again later: readers that follow each
/// other without a gap would let it grow for ever.
pub(super) const LONG_LOG: u64 = 4;

/// Longest that it waits for them, and with it whoever writes. Counting a queue of millions takes no longer.
pub(super) const READER_PATIENCE: Duration = Duration::from_millis(250);

/// Bytes that the write-ahead log is cut back to after a burst.
pub(super) const LOG_BYTES: i64 = 64 * 1024 * 1024;

/// Due tasks that one claim makes ready; the next claim or sweep goes on.
pub(super) const PROMOTED_BY_CLAIM: usize = 1_000;

/// Tasks that one claim ends instead of handing out, at most.
pub(super) const ENDED_BY_CLAIM: usize = 1_000;

/// How long a batch id is remembered: longer than any client repeats a call.
pub(super) const BATCH_MEMORY: Duration = Duration::from_secs(30 * 60);

/// Bells rung at a commit, at most, in topics; beyond it one bell rings for everything.
pub(super) const BELL_TOPICS: usize = 1_000;

/// A lost bell is noticed by looking at the file's version this often, while somebody waits.
pub(super) const BELL_POLL: Duration = Duration::from_millis(250);

/// Longest path of a unix socket, in bytes, that every system takes (macOS 103, Linux 107).
pub(super) const SOCKET_PATH: usize = 100;

/// A folder's time of change has the grain of a kernel tick; a listing younger than this may have missed a change.
pub(super) const FOLDER_GRAIN: Duration = Duration::from_millis(50);
