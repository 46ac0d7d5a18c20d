//! Connections that nobody uses at the moment. One that is in use belongs to its user, and is dropped with it: a driver
//! that gives up on a command leaves it running on the server.

use std::sync::{Mutex, MutexGuard, PoisonError};

use redis::aio::MultiplexedConnection;

/// Most connections that rest: more than a worker has lanes.
const MOST: usize = 16;

/// Each with the generation of the link under which it was opened.
#[derive(Debug, Default)]
pub(super) struct Resting(Mutex<Vec<(u64, MultiplexedConnection)>>);

impl Resting {
    /// One of this generation. Older ones are dropped: the link has been rebuilt since, perhaps to another server.
    pub(super) fn take(&self, generation: u64) -> Option<MultiplexedConnection> {
        let mut resting = self.resting();
        resting.retain(|(theirs, _)| *theirs == generation);
        resting.pop().map(|(_, connection)| connection)
    }

    pub(super) fn put(&self, generation: u64, connection: MultiplexedConnection) {
        let mut resting = self.resting();
        if resting.len() < MOST {
            resting.push((generation, connection));
        }
    }

    /// One broke while it rested, perhaps, and so did those that rested beside it.
    pub(super) fn clear(&self) {
        self.resting().clear();
    }

    fn resting(&self) -> MutexGuard<'_, Vec<(u64, MultiplexedConnection)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
