//! Patience with the file's lock. SQLite's own busy handler is unfair, so taking turns is done here: who waits tries
//! again after a short random pause, and who has just written while others write too leaves a longer one.

use std::time::Duration;

use taskq_core::retry::{fraction, scramble};

use super::{
    bounds::{BUSY_PATIENCE, BUSY_PAUSE, CONTENDED_GROUPS, TURN_PAUSE},
    failure::Failure,
};

/// Whether others write to the same file, and how to take turns with them.
#[derive(Debug)]
pub(super) struct Turns {
    seed: u64,
    contended_groups: u32,
}

impl Turns {
    /// Turns of one connection; different seeds make different pauses.
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, contended_groups: 0 }
    }

    /// Another writer was noticed.
    pub(super) fn notice_another(&mut self) {
        self.contended_groups = CONTENDED_GROUPS;
    }

    /// Called before a transaction, with the time since the last one: leaves the others their turn if there are others
    /// and they had none. Alone it costs nothing.
    pub(super) fn leave_a_turn(&mut self, since_last: Duration) {
        if self.contended_groups == 0 {
            return;
        }
        self.contended_groups -= 1;
        let pause = TURN_PAUSE + self.random(TURN_PAUSE / 2);
        let rest = pause.saturating_sub(since_last);
        if !rest.is_zero() {
            std::thread::sleep(rest);
        }
    }

    /// Tries until it is no longer refused as busy, or patience ends.
    pub(super) fn patiently<T>(&mut self, mut attempt: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
        let mut waited = Duration::ZERO;
        loop {
            match attempt() {
                Err(failure) if failure.is_busy() => {
                    self.notice_another();
                    if waited >= BUSY_PATIENCE {
                        let text = format!("another process held the write lock for {BUSY_PATIENCE:?}");
                        return Err(Failure::new(failure.kind(), text));
                    }
                    let pause = BUSY_PAUSE / 3 + self.random(BUSY_PAUSE * 2 / 3);
                    std::thread::sleep(pause);
                    waited += pause;
                }
                answer => return answer,
            }
        }
    }

    fn random(&mut self, whole: Duration) -> Duration {
        self.seed = scramble(self.seed);
        fraction(whole, self.seed)
    }
}

#[cfg(test)]
mod tests {
    use taskq_core::error::ErrorKind;

    use super::*;

    fn busy() -> Failure {
        rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), None).into()
    }

    #[test]
    fn a_busy_file_is_tried_again_and_other_failures_are_told() {
        let mut turns = Turns::new(7);
        let mut refusals = 5;
        let got = turns.patiently(|| {
            refusals -= 1;
            if refusals > 0 { Err(busy()) } else { Ok(refusals) }
        });
        assert_eq!(got, Ok(0));
        assert_eq!(turns.contended_groups, CONTENDED_GROUPS);
        let failure = Failure::new(ErrorKind::Full, "full");
        assert_eq!(turns.patiently::<()>(|| Err(failure.clone())), Err(failure));
    }
}
