//! Any text is a cron text or an error, and so is any form of a schedule; what is read fires later and later.
#![no_main]

use libfuzzer_sys::fuzz_target;
use taskq_core::Timestamp;
use taskq_scheduler::{Schedule, cron};

fuzz_target!(|text: &str| {
    let forms = [cron(text).ok(), serde_json::from_str(text).ok()];
    for schedule in forms.into_iter().flatten() {
        let form = serde_json::to_string(&schedule).expect("encodes");
        assert_eq!(serde_json::from_str::<Schedule>(&form).expect("reads what it wrote"), schedule);
        let mut last = Timestamp::from_millis(i64::MIN);
        for fire_time in schedule.upcoming(last, 4) {
            assert!(fire_time > last);
            assert_eq!(schedule.last_between(last, fire_time), Some(fire_time));
            last = fire_time;
        }
    }
});
