//! [`Throttle`]: how often a password may be tried.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::limits;

/// Wrong passwords of the last minute, by the address they came from. What has no address, or no place here, counts together.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<HashMap<Option<IpAddr>, Tries>>);

#[derive(Clone, Copy, Debug)]
struct Tries {
    since: Duration,
    failures: u32,
}

impl Tries {
    fn is_over(&self, now: Duration) -> bool {
        now.saturating_sub(self.since) > limits::LOGIN_WINDOW
    }
}

impl Throttle {
    /// Counts a try before its password is looked at, so that many at once are no way around. Answers how long to wait
    /// instead, if there were too many.
    pub(super) fn begin(&self, from: Option<IpAddr>, now: Duration) -> Result<(), Duration> {
        let mut tries = self.lock();
        tries.retain(|_, tries| !tries.is_over(now));
        let in_all: u32 = tries.values().map(|tries| tries.failures).sum();
        if in_all >= limits::LOGIN_FAILURES_IN_ALL {
            return Err(limits::LOGIN_WINDOW);
        }
        let has_room = tries.len() < limits::LOGIN_ADDRESSES || tries.contains_key(&from);
        let mine = tries.entry(if has_room { from } else { None }).or_insert(Tries { since: now, failures: 0 });
        if mine.failures >= limits::LOGIN_FAILURES {
            return Err((mine.since + limits::LOGIN_WINDOW).saturating_sub(now));
        }
        mine.failures += 1;
        Ok(())
    }

    /// The password was right: this try counts no more. Those before stay, which may have been for another's password.
    pub(super) fn succeeded(&self, from: Option<IpAddr>) {
        let mut tries = self.lock();
        let counted = if tries.contains_key(&from) { from } else { None };
        if let Some(tries) = tries.get_mut(&counted) {
            tries.failures = tries.failures.saturating_sub(1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Option<IpAddr>, Tries>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_five_wrong_passwords_an_address_waits_a_minute_and_others_do_not() {
        let (throttle, now) = (Throttle::default(), Duration::from_secs(100));
        let (mine, other) = (Some(IpAddr::from([10, 0, 0, 1])), Some(IpAddr::from([10, 0, 0, 2])));
        for _ in 0..limits::LOGIN_FAILURES {
            assert_eq!(throttle.begin(mine, now), Ok(()));
        }
        assert_eq!(throttle.begin(mine, now + Duration::from_secs(20)), Err(Duration::from_secs(40)));
        assert_eq!(throttle.begin(other, now), Ok(()));
        assert_eq!(throttle.begin(mine, now + limits::LOGIN_WINDOW * 2), Ok(()));
    }

    #[test]
    fn a_right_password_forgives_no_wrong_one() {
        let (throttle, now, mine) = (Throttle::default(), Duration::from_secs(100), Some(IpAddr::from([10, 0, 0, 1])));
        for _ in 1..limits::LOGIN_FAILURES {
            assert_eq!(throttle.begin(mine, now), Ok(()));
        }
        for _ in 0..10 {
            assert_eq!(throttle.begin(mine, now), Ok(()));
            throttle.succeeded(mine);
        }
        assert_eq!(throttle.begin(mine, now), Ok(()));
        assert!(throttle.begin(mine, now).is_err());
    }

    #[test]
    fn from_many_addresses_together_no_more_is_tried_than_from_a_few() {
        let (throttle, now) = (Throttle::default(), Duration::from_secs(100));
        let tried =
            (0..10_000u32).filter(|number| throttle.begin(Some(IpAddr::from(number.to_be_bytes())), now).is_ok());
        assert_eq!(tried.count() as u32, limits::LOGIN_FAILURES_IN_ALL);
    }
}
