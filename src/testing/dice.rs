//! Pseudo-random choices, the same for the same seed.

use std::time::Duration;

use taskq_core::retry::{fraction, scramble};

/// Throws that only the seed decides.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(scramble(seed))
    }

    fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        scramble(self.0)
    }

    /// A number below `bound`, which is not zero.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.throw() % bound).unwrap_or(0)
    }

    /// True in so many cases of a thousand.
    pub(super) fn in_thousand(&mut self, cases: usize) -> bool {
        self.below(1_000) < cases
    }

    pub(super) fn between(&mut self, least: Duration, most: Duration) -> Duration {
        least + fraction(most.saturating_sub(least), self.throw())
    }
}
