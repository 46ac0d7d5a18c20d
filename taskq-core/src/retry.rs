//! When a failed attempt is followed by another: a pure function of policy, attempt and seed.

use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    limits::{DEFAULT_ATTEMPTS, DEFAULT_BACKOFF, DEFAULT_BACKOFF_CAP, MAX_ATTEMPTS, MAX_FUTURE},
    task_error::TaskError,
};

/// How often and after which delays a failing task is attempted again.
///
/// ```
/// # use std::time::Duration; use taskq_core::Retry;
/// let policy = Retry::exponential().attempts(5).base(Duration::from_secs(2)).cap(Duration::from_secs(600));
/// ```
///
/// The delays after attempt `n` (1-based) are: fixed `base`; linear `base * n`; exponential a uniformly random part of
/// `min(cap, base * 2^(n-1))` ("full jitter", which spreads the attempts of many tasks that failed together).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    backoff: Backoff,
    attempts: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Backoff {
    Fixed {
        base: Duration,
    },
    Linear {
        base: Duration,
        cap: Duration,
    },
    Exponential {
        base: Duration,
        cap: Duration,
    },
    #[serde(skip)]
    Custom(CustomDelay),
}

/// A user's own rule: the attempt that failed (1-based) and its error, to a delay, or `None` to stop.
#[derive(Clone)]
struct CustomDelay(Arc<DelayRule>);

type DelayRule = dyn Fn(u32, &TaskError) -> Option<Duration> + Send + Sync;

impl PartialEq for CustomDelay {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for CustomDelay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Custom")
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self::exponential()
    }
}

impl Retry {
    /// Never again: one attempt.
    pub fn never() -> Self {
        Self { backoff: Backoff::Fixed { base: Duration::ZERO }, attempts: 1 }
    }

    /// The same delay every time.
    pub fn fixed(delay: Duration) -> Self {
        Self { backoff: Backoff::Fixed { base: delay }, attempts: DEFAULT_ATTEMPTS }
    }

    /// A delay that grows by `base` every time.
    pub fn linear(base: Duration) -> Self {
        Self { backoff: Backoff::Linear { base, cap: DEFAULT_BACKOFF_CAP }, attempts: DEFAULT_ATTEMPTS }
    }

    /// A delay that doubles every time, with full jitter and a cap; the default.
    pub fn exponential() -> Self {
        let backoff = Backoff::Exponential { base: DEFAULT_BACKOFF, cap: DEFAULT_BACKOFF_CAP };
        Self { backoff, attempts: DEFAULT_ATTEMPTS }
    }

    /// A rule of your own: given the attempt that failed (1-based) and its error, the delay, or `None` for a dead letter.
    ///
    /// It lives in the worker's code, so it can stand in `#[task(retry = ..)]` but cannot travel with one invocation.
    pub fn custom<F>(delay: F) -> Self
    where
        F: Fn(u32, &TaskError) -> Option<Duration> + Send + Sync + 'static,
    {
        Self { backoff: Backoff::Custom(CustomDelay(Arc::new(delay))), attempts: DEFAULT_ATTEMPTS }
    }

    /// How many attempts in all, the first included (1 to 1000).
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.clamp(1, MAX_ATTEMPTS);
        self
    }

    /// The first delay of a linear or exponential policy, the only one of a fixed policy.
    #[must_use]
    pub fn base(mut self, delay: Duration) -> Self {
        match &mut self.backoff {
            Backoff::Fixed { base } | Backoff::Linear { base, .. } | Backoff::Exponential { base, .. } => *base = delay,
            Backoff::Custom(_) => {}
        }
        self
    }

    /// The longest delay of a linear or exponential policy.
    #[must_use]
    pub fn cap(mut self, longest: Duration) -> Self {
        match &mut self.backoff {
            Backoff::Linear { cap, .. } | Backoff::Exponential { cap, .. } => *cap = longest,
            Backoff::Fixed { .. } | Backoff::Custom(_) => {}
        }
        self
    }

    /// How many attempts in all.
    pub fn max_attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether it can travel inside an envelope: everything but a custom function can.
    pub fn is_portable(&self) -> bool {
        !matches!(self.backoff, Backoff::Custom(_))
    }

    /// The delay after `attempt` (1-based) failed with `error`; `None` when no attempt is left.
    ///
    /// The same seed gives the same delay.
    pub fn delay_after(&self, attempt: u32, error: &TaskError, seed: u64) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        let delay = match &self.backoff {
            Backoff::Fixed { base } => *base,
            Backoff::Linear { base, cap } => base.saturating_mul(attempt).min(*cap),
            Backoff::Exponential { base, cap } => {
                let doubled = 1u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
                fraction(base.saturating_mul(doubled).min(*cap), seed ^ u64::from(attempt))
            }
            Backoff::Custom(CustomDelay(rule)) => rule(attempt, error)?,
        };
        Some(delay.min(MAX_FUTURE))
    }
}

/// A uniformly random part of `whole`, decided by `seed` alone.
pub fn fraction(whole: Duration, seed: u64) -> Duration {
    let nanos = whole.as_nanos() * u128::from(scramble(seed) >> 32) / (1u128 << 32);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// SplitMix64's finaliser (Steele, Lea, Flood 2014): spreads neighbouring seeds over all 64 bits.
pub fn scramble(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(policy: &Retry) -> Vec<Option<Duration>> {
        (1..=4).map(|attempt| policy.delay_after(attempt, &TaskError::from("no"), 7)).collect()
    }

    #[test]
    fn fixed_and_linear_delays_are_exact_and_end_with_the_attempts() {
        let second = Duration::from_secs(1);
        assert_eq!(delays(&Retry::fixed(second).attempts(3)), [Some(second), Some(second), None, None]);
        let linear = Retry::linear(second).attempts(9).cap(second * 3);
        assert_eq!(delays(&linear), [Some(second), Some(second * 2), Some(second * 3), Some(second * 3)]);
        assert_eq!(Retry::never().delay_after(1, &TaskError::from("no"), 0), None);
    }

    #[test]
    fn exponential_delays_stay_under_their_bound_and_spread_over_it() {
        let policy = Retry::exponential().base(Duration::from_secs(1)).cap(Duration::from_secs(4)).attempts(100);
        for attempt in 1..60 {
            let bound = Duration::from_secs(1 << (attempt - 1).min(2));
            let seen: Vec<_> = (0..500)
                .map(|seed| policy.delay_after(attempt, &TaskError::from("no"), seed).expect("attempts left"))
                .collect();
            assert!(seen.iter().all(|delay| *delay <= bound));
            let mean = seen.iter().sum::<Duration>() / 500;
            assert!(mean > bound.mul_f64(0.42) && mean < bound.mul_f64(0.58), "mean {mean:?} of {bound:?}");
        }
    }

    #[test]
    fn a_policy_travels_as_json_unless_it_is_a_function() {
        let policy = Retry::exponential().attempts(3);
        let json = serde_json::to_string(&policy).expect("encodes");
        assert_eq!(serde_json::from_str::<Retry>(&json).expect("decodes"), policy);
        assert!(!Retry::custom(|_, _| None).is_portable());
    }
}
