//! [`Gathered`]: a few values of one thread, on their way into a histogram that others count into as well.
//!
//! Two threads that count into the same histogram take its memory from one another with each value. So whoever has many
//! values in a row gathers them first: a count that nobody shares costs about a nanosecond.

use std::marker::PhantomData;

use super::{Scale, scale::MOST_BUCKETS};

/// Values that one thread has gathered.
#[derive(Clone, Debug)]
pub struct Gathered<S: Scale> {
    counts: [u32; MOST_BUCKETS],
    /// A bit for each bucket that is not empty, so that the others need not be looked at.
    touched: u32,
    sum: u64,
    scale: PhantomData<S>,
}

impl<S: Scale> Default for Gathered<S> {
    fn default() -> Self {
        Self { counts: [0; MOST_BUCKETS], touched: 0, sum: 0, scale: PhantomData }
    }
}

impl<S: Scale> Gathered<S> {
    /// Adds a value, in the unit of the scale.
    pub fn add(&mut self, value: u64) {
        let bucket = S::bucket(value);
        self.counts[bucket] += 1;
        self.touched |= 1 << bucket;
        self.sum = self.sum.saturating_add(value);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.touched == 0
    }

    /// Hands over the count of each bucket that is not empty, and returns the sum. Nothing is left.
    pub(super) fn drain(&mut self, mut each: impl FnMut(usize, u32)) -> u64 {
        while self.touched != 0 {
            let bucket = self.touched.trailing_zeros() as usize;
            self.touched &= self.touched - 1;
            each(bucket, std::mem::take(&mut self.counts[bucket]));
        }
        std::mem::take(&mut self.sum)
    }
}
