//! [`Histogram`]: how many values were how large, at one moment.

use std::{marker::PhantomData, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Figure, Scale, Sizes, Times};

/// How many values were how large, in the buckets of a [`Scale`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Wire", into = "Wire")]
pub struct Histogram<S: Scale> {
    /// Of each bucket, and of what is beyond the last bound. Empty as long as nothing was counted.
    counts: Vec<u64>,
    sum: u64,
    scale: PhantomData<S>,
}

/// The form in JSON: the counts from the first to the last that is not zero.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Wire {
    sum: u64,
    #[serde(skip_serializing_if = "is_zero")]
    from: usize,
    counts: Vec<u64>,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl<S: Scale> Default for Histogram<S> {
    fn default() -> Self {
        Self { counts: Vec::new(), sum: 0, scale: PhantomData }
    }
}

impl<S: Scale> Histogram<S> {
    pub(super) fn new(counts: impl Iterator<Item = u64>, sum: u64) -> Self {
        let mut counts: Vec<u64> = counts.take(Self::BUCKETS).collect();
        match counts.iter().all(|count| *count == 0) {
            true => counts.clear(),
            false => counts.resize(Self::BUCKETS, 0),
        }
        Self { counts, sum, scale: PhantomData }
    }

    const BUCKETS: usize = S::BOUNDS.len() + 1;

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |all, count| all.saturating_add(*count))
    }

    /// The sum of all values, in the unit of the scale.
    pub fn raw_sum(&self) -> u64 {
        self.sum
    }

    /// Each bucket: its greatest value, `None` for the last one, and how many values are in it.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<u64>, u64)> + '_ {
        let bounds = S::BOUNDS.iter().copied().map(Some).chain([None]);
        bounds.enumerate().map(|(bucket, bound)| (bound, self.counts.get(bucket).copied().unwrap_or(0)))
    }

    /// The value that a part `q` of all values does not exceed, 0 to 1, guessed within its bucket; `None` if there are none.
    /// What is beyond the last bound counts as the last bound.
    fn guess(&self, q: f64) -> Option<f64> {
        let all = self.count();
        if all == 0 {
            return None;
        }
        let rank = if q > 0.0 { q.min(1.0) * all as f64 } else { 0.0 };
        let (mut lower, mut below) = (0u64, 0u64);
        for (bound, count) in self.buckets() {
            let Some(upper) = bound else { break };
            let up_to = below.saturating_add(count);
            if count > 0 && up_to as f64 >= rank {
                let part = (rank - below as f64).max(0.0) / count as f64;
                return Some(lower as f64 + (upper - lower) as f64 * part);
            }
            (lower, below) = (upper, up_to);
        }
        Some(lower as f64)
    }
}

impl Histogram<Times> {
    /// The sum of all durations.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum)
    }

    /// The duration that a part `q` (0 to 1: 0.99 for the 99th percentile) does not exceed; `None` if there are none. It is
    /// guessed within its bucket, so it may be off by half of it or double; over a day it is a day.
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        self.guess(q).map(|nanos| Duration::from_nanos(nanos as u64))
    }
}

impl Histogram<Sizes> {
    /// The sum of all sizes.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The size that a part `q` (0 to 1) does not exceed, guessed within its bucket; `None` if there are none.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        self.guess(q)
    }
}

impl<S: Scale> Figure for Histogram<S> {
    fn since(&self, earlier: &Self) -> Self {
        let before = earlier.counts.iter().copied().chain(std::iter::repeat(0));
        let counts = self.counts.iter().zip(before).map(|(now, before)| now.saturating_sub(before));
        Self::new(counts, self.sum.saturating_sub(earlier.sum))
    }

    fn add_up(&mut self, other: &Self) {
        let of = |counts: &[u64], bucket: usize| counts.get(bucket).copied().unwrap_or(0);
        let both = |bucket| of(&self.counts, bucket).saturating_add(of(&other.counts, bucket));
        *self = Self::new((0..Self::BUCKETS).map(both), self.sum.saturating_add(other.sum));
    }

    fn is_nothing(&self) -> bool {
        self.counts.is_empty()
    }
}

impl<S: Scale> From<Histogram<S>> for Wire {
    fn from(histogram: Histogram<S>) -> Self {
        let from = histogram.counts.iter().position(|count| *count > 0).unwrap_or(0);
        let end = histogram.counts.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
        Self { sum: histogram.sum, from, counts: histogram.counts[from..end].to_vec() }
    }
}

impl<S: Scale> From<Wire> for Histogram<S> {
    fn from(Wire { sum, from, counts }: Wire) -> Self {
        // Whoever wrote a number of buckets that the scale does not have gets no more of them.
        let before = std::iter::repeat_n(0, from.min(Self::BUCKETS));
        Self::new(before.chain(counts), sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::LiveHistogram;

    fn of_millis(millis: &[u64]) -> Histogram<Times> {
        let live = LiveHistogram::<Times>::default();
        millis.iter().for_each(|millis| live.record(millis * 1_000_000));
        live.snapshot()
    }

    #[test]
    fn a_quantile_lies_in_the_bucket_of_the_value_that_it_stands_for() {
        let histogram = of_millis(&(1..=1_000).collect::<Vec<_>>());
        for (q, exact) in [(0.0, 1), (0.1, 100), (0.5, 500), (0.9, 900), (0.99, 990), (1.0, 1_000)] {
            let guessed = histogram.quantile(q).expect("has values");
            let bucket = Times::bucket(exact * 1_000_000);
            let nanos = guessed.as_nanos() as u64;
            let lower = if bucket == 0 { 0 } else { Times::BOUNDS[bucket - 1] };
            assert!((lower..=Times::BOUNDS[bucket]).contains(&nanos), "{q}: {guessed:?}");
        }
        assert_eq!(histogram.sum(), Duration::from_millis(500_500));
    }

    #[test]
    fn a_quantile_of_nothing_is_none_and_odd_questions_have_an_answer() {
        assert_eq!(of_millis(&[]).quantile(0.5), None);
        let one = of_millis(&[7]);
        for q in [f64::NAN, f64::NEG_INFINITY, -1.0, 0.0, 0.5, 1.0, 7.0, f64::INFINITY] {
            let guessed = one.quantile(q).expect("has a value");
            assert!((Duration::from_millis(5)..=Duration::from_millis(10)).contains(&guessed), "{q}: {guessed:?}");
        }
        let endless = of_millis(&[10 * 86_400_000]);
        assert_eq!(endless.quantile(0.5), Some(Duration::from_secs(86_400)));
    }

    #[test]
    fn foreign_buckets_are_bounded() {
        let text = r#"{"sum":1,"from":18446744073709551615,"counts":[1,2,3]}"#;
        assert_eq!(serde_json::from_str::<Histogram<Times>>(text).expect("reads").count(), 0);
        let text = format!(r#"{{"sum":1,"counts":[{}1]}}"#, "1,".repeat(10_000));
        let read: Histogram<Sizes> = serde_json::from_str(&text).expect("reads");
        assert_eq!((read.count(), read.buckets().count()), (11, 11));
        let huge = format!(r#"{{"sum":{0},"counts":[{0},{0}]}}"#, u64::MAX);
        let mut huge: Histogram<Times> = serde_json::from_str(&huge).expect("reads");
        huge.add_up(&huge.clone());
        assert_eq!(huge.count(), u64::MAX);
        assert!(huge.quantile(0.5).is_some());
    }
}
