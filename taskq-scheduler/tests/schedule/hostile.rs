//! Cron texts and forms that nobody meant: read or refused in a short line, never a panic, and never a search without end.
//!
//! Each property runs over the seeds in `corpus/`, over seeds with bytes changed, and over what is made up. A seed that once
//! broke something stays in the corpus.

use std::path::Path;

use proptest::prelude::*;
use taskq_core::Timestamp;
use taskq_scheduler::{Schedule, cron};
use taskq_test_support::{corrupt, seeds as corpus};

use crate::instants::utc;

/// The seeds of a folder, by name.
fn seeds(folder: &str) -> Vec<(String, Vec<u8>)> {
    corpus(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(folder))
}

/// A seed with a few bytes changed, put in or taken out.
fn mutated(folder: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let seeds: Vec<Vec<u8>> = seeds(folder).into_iter().map(|(_, seed)| seed).collect();
    let byte = prop_oneof![prop::sample::select(b" ,-/*?0123456789#LW@MonJan\"{}:".to_vec()), any::<u8>()];
    let change = (any::<prop::sample::Index>(), byte, 0..4_u8);
    (prop::sample::select(seeds), prop::collection::vec(change, 0..8)).prop_map(|(mut bytes, changes)| {
        for (place, byte, how) in changes {
            let at = place.index(bytes.len() + 1);
            corrupt(&mut bytes, at, byte, how);
        }
        bytes
    })
}

/// Whatever is read keeps its promises and reads back as itself; whatever is not is refused in a short line.
fn judge(read: Result<Schedule, String>) -> bool {
    match read {
        Ok(schedule) => {
            keeps_its_promises(&schedule);
            let form = serde_json::to_string(&schedule).expect("encodes");
            assert_eq!(serde_json::from_str::<Schedule>(&form).expect("reads what it wrote"), schedule);
            true
        }
        Err(told) => {
            // An unknown key is told by serde, as it is.
            let is_ours = !told.starts_with("unknown field");
            assert!(!(is_ours && told.contains(char::is_control)) && told.len() < 2_500, "{told}");
            false
        }
    }
}

/// Fire times grow, none is not later than what was asked, and the way back leads to the same ones.
fn keeps_its_promises(schedule: &Schedule) {
    for after in [Timestamp::from_millis(i64::MIN), utc("2026-03-28T23:59:59.999Z"), Timestamp::from_millis(i64::MAX)] {
        let mut last = after;
        for fire_time in schedule.upcoming(after, 4) {
            assert!(fire_time > last, "{schedule}: {fire_time:?} after {last:?}");
            assert_eq!(schedule.last_between(last, fire_time), Some(fire_time), "{schedule}");
            let just_before = Timestamp::from_millis(fire_time.as_millis() - 1);
            assert_eq!(schedule.last_between(last, just_before), None, "{schedule} {last:?} {just_before:?}");
            last = fire_time;
        }
    }
}

fn read_cron(bytes: &[u8]) -> bool {
    judge(cron(&String::from_utf8_lossy(bytes)).map_err(|error| error.to_string()))
}

fn read_form(bytes: &[u8]) -> bool {
    judge(serde_json::from_slice(bytes).map_err(|error| error.to_string()))
}

/// The names of the seeds that are read.
fn read(folder: &str, reads: fn(&[u8]) -> bool) -> Vec<String> {
    seeds(folder).into_iter().filter(|(_, seed)| reads(seed)).map(|(name, _)| name).collect()
}

#[test]
fn every_seed_of_a_cron_text_is_read_or_refused() {
    let taken = [
        "all_seconds",
        "crlf",
        "daily",
        "full_lists",
        "last_sunday_with_a_step",
        "leap_day",
        "names_mixed",
        "newlines",
        "sparse_years",
        "stars",
    ];
    assert_eq!(read("cron", read_cron), taken);
}

#[test]
fn every_seed_of_a_form_is_read_or_refused() {
    let taken = ["at_offset", "calendar_leap", "cron", "every", "every_iso", "everything", "nulls"];
    assert_eq!(read("schedule", read_form), taken);
}

proptest! {
    #[test]
    fn a_cron_text_with_bytes_changed_is_read_or_refused(bytes in mutated("cron")) {
        read_cron(&bytes);
    }

    #[test]
    fn a_text_of_the_right_characters_is_read_or_refused(text in "[0-9*/,?-]{1,6}( [0-9*/,?-]{1,6}){4,6}") {
        read_cron(text.as_bytes());
    }

    #[test]
    fn a_form_with_bytes_changed_is_read_or_refused(bytes in mutated("schedule")) {
        read_form(&bytes);
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,60}") {
        read_cron(text.as_bytes());
        read_form(text.as_bytes());
    }
}
