//! [`Zone`]: when in time a wall clock shows what a pattern asks for, however the clock is changed.
//!
//! Between two changes of the clock a zone has one offset from UTC. Such a [`Stretch`] is searched as a whole, then the
//! change at its end, then the next one. At a change the clock skips wall times (a gap) or shows some once more (a fold):
//!
//! ```text
//!                  named hours                          every hour
//!  gap             once, at the first instant after it  what does not exist does not happen
//!  fold            the first time only                  both times
//! ```
//!
//! The promise: whoever searches again from an instant that was found goes on as if the search had never ended.

use std::fmt;

use jiff::{
    Timestamp,
    tz::{TimeZone, TimeZoneDatabase},
};
use taskq_core::{Error, Result, limits};

use super::wall::{Hours, Pattern, Wall};

/// Wall time and UTC are never further apart than this, in seconds: what a time zone file can say at most.
const FURTHEST_OFFSET: i64 = 26 * 3600;

/// A time zone.
#[derive(Clone)]
pub(super) struct Zone(TimeZone);

impl Zone {
    pub(super) const UTC: Self = Self(TimeZone::UTC);

    /// The zone of a name in the machine's time zone database or, if it has none of that name, in the one of this program.
    pub(super) fn named(name: &str) -> Result<Self> {
        if name.len() > limits::MAX_NAME {
            let cure = format!("use the name of a zone, at most {} bytes", limits::MAX_NAME);
            return Err(Error::invalid("time zone", format!("of {} bytes", name.len()), cure));
        }
        let found = jiff::tz::db().get(name).or_else(|_| TimeZoneDatabase::bundled().get(name));
        match found {
            Ok(zone) if zone.iana_name().is_some() && !zone.is_unknown() => Ok(Self(zone)),
            _ => {
                let cure = format!("use an IANA name such as \"Europe/Paris\"; the nearest is \"{}\"", nearest(name));
                Err(Error::invalid("time zone", format!("\"{}\"", name.escape_debug()), cure))
            }
        }
    }

    /// What the zone is called in the IANA database.
    pub(super) fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// An instant as the zone's clocks show it.
    pub(super) fn wall_time(&self, instant: taskq_core::Timestamp) -> String {
        match Timestamp::from_millisecond(instant.as_millis()) {
            Ok(instant) => instant.to_zoned_datetime(self.0.clone()).strftime("%Y-%m-%d %H:%M:%S%:z").to_string(),
            Err(_) => format!("{} ms after 1970", instant.as_millis()),
        }
    }

    /// The first instant from `from` on, in seconds, at which the clock shows a wall time of the pattern.
    pub(super) fn first_from(&self, pattern: &dyn Pattern, mut from: i64) -> Option<i64> {
        loop {
            let stretch = self.stretch(from)?;
            if stretch.start.is_some_and(|change| change.at == from && change.has_skipped(pattern)) {
                return Some(from);
            }
            let wall = pattern.first_from(stretch.wall(from).max(stretch.first_wall(pattern.hours())));
            let Some(change) = stretch.end else {
                return Some(stretch.instant(wall?));
            };
            match wall {
                Some(wall) if wall < change.wall_before() => return Some(stretch.instant(wall)),
                // What was passed here may come once more.
                _ if change.is_fold() => from = change.at,
                // Nothing comes before this wall time, so the years until then are passed in one leap.
                wall => from = change.at.max(wall?.0 - FURTHEST_OFFSET),
            }
        }
    }

    /// The last instant until `until`, in seconds, at which the clock shows a wall time of the pattern.
    pub(super) fn last_until(&self, pattern: &dyn Pattern, mut until: i64) -> Option<i64> {
        loop {
            let stretch = self.stretch(until)?;
            let wall = pattern.last_until(stretch.wall(until));
            let Some(change) = stretch.start else {
                return Some(stretch.instant(wall?));
            };
            match wall {
                Some(wall) if wall >= stretch.first_wall(pattern.hours()) => return Some(stretch.instant(wall)),
                _ if change.has_skipped(pattern) => return Some(change.at),
                _ if change.is_fold() => until = change.at - 1,
                wall => until = (change.at - 1).min(wall?.0 + FURTHEST_OFFSET),
            }
        }
    }

    /// The stretch that an instant lies in; `None` beyond the calendar.
    fn stretch(&self, instant: i64) -> Option<Stretch> {
        let offset = |second| Some(i64::from(self.0.to_offset(Timestamp::from_second(second).ok()?).seconds()));
        let change = |at: Timestamp| {
            let at = at.as_second();
            Some(Change { at, before: offset(at - 1)?, after: offset(at)? })
        };
        let before = self.0.preceding(Timestamp::from_second(instant + 1).ok()?).next();
        let after = self.0.following(Timestamp::from_second(instant).ok()?).next();
        Some(Stretch {
            offset: offset(instant)?,
            start: before.and_then(|transition| change(transition.timestamp())),
            end: after.and_then(|transition| change(transition.timestamp())),
        })
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Time in which the offset stays the same.
struct Stretch {
    /// Wall time minus UTC, in seconds.
    offset: i64,
    start: Option<Change>,
    end: Option<Change>,
}

impl Stretch {
    fn wall(&self, instant: i64) -> Wall {
        Wall(instant + self.offset)
    }

    fn instant(&self, wall: Wall) -> i64 {
        wall.0 - self.offset
    }

    /// The first wall time that counts here. What a fold shows once more does not count where hours are named.
    fn first_wall(&self, hours: Hours) -> Wall {
        match (self.start, hours) {
            (Some(change), Hours::Named) => change.wall_before().max(change.wall_after()),
            (Some(change), Hours::Every) => change.wall_after(),
            (None, _) => Wall(i64::MIN),
        }
    }
}

/// A change of the clock.
#[derive(Clone, Copy)]
struct Change {
    /// The first instant with the new offset, in seconds.
    at: i64,
    /// The offset before, in seconds.
    before: i64,
    /// The offset from then on, in seconds.
    after: i64,
}

impl Change {
    /// Whether wall times are shown once more.
    fn is_fold(self) -> bool {
        self.after < self.before
    }

    /// Whether it skips wall times of a pattern that are then due at once.
    fn has_skipped(self, pattern: &dyn Pattern) -> bool {
        pattern.hours() == Hours::Named
            && self.after > self.before
            && pattern.first_from(self.wall_before()).is_some_and(|wall| wall < self.wall_after())
    }

    /// What the clock would show if it were not changed.
    fn wall_before(self) -> Wall {
        Wall(self.at + self.before)
    }

    /// What it shows instead.
    fn wall_after(self) -> Wall {
        Wall(self.at + self.after)
    }
}

/// The known name that looks most like this one, compared as a whole and by its last part, as people write `Paris`.
fn nearest(name: &str) -> String {
    let asked = name.to_lowercase();
    let distance = |known: &str| {
        let known = known.to_lowercase();
        let city = known.rsplit('/').next().unwrap_or_default();
        (strsim::levenshtein(&known, &asked).min(strsim::levenshtein(city, &asked)), known.len())
    };
    let known = TimeZoneDatabase::bundled();
    let nearest = known.available().map(|known| known.as_str().to_owned()).min_by_key(|known| distance(known));
    nearest.unwrap_or_else(|| "UTC".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_zone_is_refused_with_the_nearest_name() {
        for (asked, nearest) in
            [("Europe/Pari", "Europe/Paris"), ("paris", "Europe/Paris"), ("US/Pacfic", "US/Pacific"), ("Zulo", "Zulu")]
        {
            let told = Zone::named(asked).expect_err(asked).to_string();
            let cure = format!("use an IANA name such as \"Europe/Paris\"; the nearest is \"{nearest}\"");
            assert_eq!(told, format!("time zone \"{asked}\": invalid input: {cure}"));
        }
    }

    #[test]
    fn odd_names_are_refused_in_a_short_line() {
        for name in ["", " ", "Etc/Unknown", "../../etc/passwd", "a\nb", "+02:00", "EST5EDT,M3.2.0,M11.1.0", "local"] {
            let told = Zone::named(name).expect_err(name).to_string();
            assert!(told.starts_with("time zone \"") && !told.contains('\n'), "{told}");
        }
        let long = Zone::named(&"a".repeat(1_000)).expect_err("too long").to_string();
        assert_eq!(long, "time zone of 1000 bytes: invalid input: use the name of a zone, at most 128 bytes");
    }

    #[test]
    fn a_zone_is_called_as_the_database_calls_it() {
        for (asked, name) in [("europe/paris", "Europe/Paris"), ("UTC", "UTC"), ("Asia/Calcutta", "Asia/Calcutta")] {
            assert_eq!(Zone::named(asked).expect("known").name(), name);
        }
    }
}
