//! Which ticks of an entry are fired when some of them are late: a decision about times, without a clock.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use taskq_core::{Timestamp, limits};

use crate::Schedule;

/// What becomes of ticks that were missed: that are late by more than the entry's grace time, since nobody led or the
/// broker was away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Misfire {
    /// They are not fired. Those within the grace time are.
    Skip,
    /// All that is due becomes one: the last tick is fired, and none before it.
    #[default]
    Once,
    /// Each is fired, in its order; of more than so many the latest ones, and at most
    /// [`limits::MAX_CATCH_UP`].
    All(u32),
}

/// One step of an entry's cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// What to fire, in order; the last one is `to`, unless there is none.
    pub(crate) fire: Vec<Timestamp>,
    /// Where the cursor moves.
    pub(crate) to: Timestamp,
}

impl Misfire {
    /// The next step of a cursor, at most `most` ticks; `None` if nothing is due.
    pub(crate) fn step(
        self,
        schedule: &Schedule,
        grace: Duration,
        cursor: Timestamp,
        now: Timestamp,
        most: usize,
    ) -> Option<Step> {
        let first = schedule.next_after(cursor).filter(|first| *first <= now)?;
        let last = schedule.last_between(cursor, now)?;
        let grace = i64::try_from(grace.as_millis()).unwrap_or(i64::MAX);
        let latest_missed = Timestamp::from_millis(now.as_millis().saturating_sub(grace).saturating_sub(1));
        let each_after = |after: Timestamp| schedule.between(after, now, most).collect::<Vec<_>>();
        let fire = match self {
            _ if first > latest_missed => each_after(cursor),
            Self::Skip => each_after(cursor.max(latest_missed)),
            Self::Once => vec![last],
            Self::All(bound) => {
                let mut latest = latest(schedule, cursor, last, bound.min(limits::MAX_CATCH_UP));
                latest.truncate(most);
                latest
            }
        };
        let to = fire.last().copied().unwrap_or(last);
        Some(Step { fire, to })
    }
}

/// The latest fire times up to `last`, at most `count`, oldest first.
fn latest(schedule: &Schedule, after: Timestamp, last: Timestamp, count: u32) -> Vec<Timestamp> {
    let before = |time: &Timestamp| schedule.last_between(after, Timestamp::from_millis(time.as_millis() - 1));
    let mut latest: Vec<_> = std::iter::successors(Some(last), before).take(count as usize).collect();
    latest.reverse();
    latest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::every;

    const GRACE: Duration = Duration::from_secs(30);

    /// The step of an entry of every ten seconds at this second: what is fired, and where the cursor moves.
    fn step(misfire: Misfire, cursor: i64, now: i64, most: usize) -> Option<(Vec<i64>, i64)> {
        let schedule = every(Duration::from_secs(10)).expect("valid");
        let at = |second: i64| Timestamp::from_millis(second * 1_000);
        let step = misfire.step(&schedule, GRACE, at(cursor), at(now), most)?;
        let second = |time: &Timestamp| time.as_millis() / 1_000;
        Some((step.fire.iter().map(second).collect(), second(&step.to)))
    }

    #[test]
    fn what_is_within_the_grace_time_is_fired_by_every_policy() {
        for misfire in [Misfire::Skip, Misfire::Once, Misfire::All(1)] {
            assert_eq!(step(misfire, 100, 109, 9), None);
            assert_eq!(step(misfire, 100, 110, 9), Some((vec![110], 110)));
            assert_eq!(step(misfire, 100, 140, 9), Some((vec![110, 120, 130, 140], 140)));
            assert_eq!(step(misfire, 100, 140, 2), Some((vec![110, 120], 120)), "the rest comes with the next step");
        }
    }

    #[test]
    fn skip_fires_no_missed_tick_and_all_that_are_not() {
        assert_eq!(step(Misfire::Skip, 100, 165, 9), Some((vec![140, 150, 160], 160)));
        assert_eq!(step(Misfire::Skip, 100, 165, 2), Some((vec![140, 150], 150)));
        let hourly = every(Duration::from_secs(3_600)).expect("valid");
        let at = |second: i64| Timestamp::from_millis(second * 1_000);
        let step = Misfire::Skip.step(&hourly, GRACE, at(1), at(9_000), 9);
        assert_eq!(step, Some(Step { fire: Vec::new(), to: at(7_200) }));
    }

    #[test]
    fn once_fires_the_last_of_all_that_is_due() {
        assert_eq!(step(Misfire::Once, 100, 141, 9), Some((vec![140], 140)));
        assert_eq!(step(Misfire::Once, 100, 86_409, 9), Some((vec![86_400], 86_400)));
    }

    #[test]
    fn all_fires_each_up_to_its_bound_and_then_the_latest() {
        assert_eq!(step(Misfire::All(9), 100, 145, 9), Some((vec![110, 120, 130, 140], 140)));
        assert_eq!(step(Misfire::All(9), 100, 145, 3), Some((vec![110, 120, 130], 130)));
        assert_eq!(step(Misfire::All(2), 100, 86_409, 9), Some((vec![86_390, 86_400], 86_400)));
        assert_eq!(step(Misfire::All(0), 100, 86_409, 9), Some((vec![], 86_400)));
        let (fire, to) = step(Misfire::All(u32::MAX), 0, 864_000, 100).expect("is due");
        assert_eq!((fire.len(), fire[0], to), (100, 854_010, 855_000));
    }
}
