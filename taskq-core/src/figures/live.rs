//! [`LiveHistogram`]: a histogram that many threads count into at once, without waiting for one another.

use std::{
    marker::PhantomData,
    sync::atomic::{AtomicU64, Ordering},
};

use super::{Gathered, Histogram, Scale};

/// Counts values into the buckets of a [`Scale`].
#[derive(Debug)]
pub struct LiveHistogram<S: Scale> {
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
    scale: PhantomData<S>,
}

impl<S: Scale> Default for LiveHistogram<S> {
    fn default() -> Self {
        let counts = (0..=S::BOUNDS.len()).map(|_| AtomicU64::new(0)).collect();
        Self { counts, sum: AtomicU64::new(0), scale: PhantomData }
    }
}

impl<S: Scale> LiveHistogram<S> {
    /// Counts a value, in the unit of the scale.
    pub fn record(&self, value: u64) {
        self.add(S::bucket(value), 1);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Counts what was gathered, and leaves nothing there.
    pub fn take(&self, gathered: &mut Gathered<S>) {
        if gathered.is_empty() {
            return;
        }
        let sum = gathered.drain(|bucket, count| self.add(bucket, u64::from(count)));
        self.sum.fetch_add(sum, Ordering::Relaxed);
    }

    fn add(&self, bucket: usize, count: u64) {
        self.counts[bucket].fetch_add(count, Ordering::Relaxed);
    }

    /// What was counted so far. Values that are just being counted may be in it in part.
    pub fn snapshot(&self) -> Histogram<S> {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        Histogram::new(counts, self.sum.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{Sizes, Times};

    #[test]
    fn gathered_values_count_like_values_one_by_one() {
        let (one_by_one, together) = (LiveHistogram::<Times>::default(), LiveHistogram::<Times>::default());
        let mut gathered = Gathered::default();
        for value in [0, 1, 99_999, 100_000, 100_001, 7_000_000, u64::from(u32::MAX), 90_000_000_000_000] {
            one_by_one.record(value);
            gathered.add(value);
        }
        together.take(&mut gathered);
        together.take(&mut gathered);
        assert_eq!(one_by_one.snapshot(), together.snapshot());
    }

    #[test]
    fn threads_that_count_at_once_lose_nothing() {
        let live = LiveHistogram::<Sizes>::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000u64).for_each(|value| live.record(value % 300)));
            }
        });
        let snapshot = live.snapshot();
        assert_eq!(snapshot.count(), 40_000);
        assert_eq!(snapshot.sum(), 4 * (0..10_000u64).map(|value| value % 300).sum::<u64>());
    }
}
