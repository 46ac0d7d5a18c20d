//! [`Scale`]: the buckets of a histogram. They are part of what processes tell one another, so a scale never changes; another
//! one is another type and another field.

use std::fmt::Debug;

const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLI;

/// Bounds of buckets.
pub trait Scale: Clone + Copy + Debug + Default + PartialEq + Send + Sync + 'static {
    /// The greatest value of each bucket, rising. Whatever is greater than the last goes into one bucket more.
    const BOUNDS: &'static [u64];

    /// In which bucket a value is.
    fn bucket(value: u64) -> usize {
        Self::BOUNDS.partition_point(|bound| *bound < value)
    }
}

/// The most buckets of any scale: for whatever keeps some at hand without allocating.
pub(super) const MOST_BUCKETS: usize = 32;

/// Durations in nanoseconds, from a tenth of a millisecond to a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times;

impl Scale for Times {
    const BOUNDS: &'static [u64] = &[
        MILLI / 10,
        MILLI / 4,
        MILLI / 2,
        MILLI * 3 / 4,
        MILLI,
        MILLI * 5 / 2,
        MILLI * 5,
        MILLI * 10,
        MILLI * 25,
        MILLI * 50,
        MILLI * 100,
        MILLI * 250,
        MILLI * 500,
        SECOND,
        SECOND * 5 / 2,
        SECOND * 5,
        SECOND * 10,
        SECOND * 30,
        SECOND * 60,
        SECOND * 150,
        SECOND * 300,
        SECOND * 600,
        SECOND * 1_800,
        SECOND * 3_600,
        SECOND * 3 * 3_600,
        SECOND * 8 * 3_600,
        SECOND * 24 * 3_600,
    ];
}

/// How many tasks a call carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes;

impl Scale for Sizes {
    const BOUNDS: &'static [u64] = &[0, 1, 2, 5, 10, 20, 50, 100, 150, 200];
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_sound<S: Scale>() {
        assert!(S::BOUNDS.is_sorted_by(|one, next| one < next));
        assert!(S::BOUNDS.len() < MOST_BUCKETS);
        for (bucket, bound) in S::BOUNDS.iter().enumerate() {
            assert_eq!((S::bucket(*bound), S::bucket(bound + 1)), (bucket, bucket + 1));
        }
        assert_eq!((S::bucket(0), S::bucket(u64::MAX)), (0, S::BOUNDS.len()));
    }

    #[test]
    fn every_value_has_the_first_bucket_whose_bound_it_does_not_exceed() {
        is_sound::<Times>();
        is_sound::<Sizes>();
    }
}
