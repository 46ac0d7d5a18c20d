//! Times, lengths of time and numbers as people read them.

use std::time::Duration;

use taskq_core::Timestamp;

/// `2026-11-28 02:14:34`, by UTC.
pub(crate) fn instant(at: Timestamp) -> String {
    written(at, "%Y-%m-%d %H:%M:%S").unwrap_or_else(|| format!("{} ms after 1970", at.as_millis()))
}

/// Its time of day alone: `02:14:34`.
#[cfg(feature = "dashboard")]
pub(crate) fn time_of_day(at: Timestamp) -> String {
    written(at, "%H:%M:%S").unwrap_or_else(|| instant(at))
}

/// The same as machines read it: `2026-11-28T02:14:34Z`.
#[cfg(feature = "dashboard")]
pub(crate) fn machine_instant(at: Timestamp) -> String {
    written(at, "%Y-%m-%dT%H:%M:%SZ").unwrap_or_else(|| at.as_millis().to_string())
}

/// In this form; nothing for a time that is thousands of years away, which only a damaged task tells.
fn written(at: Timestamp, form: &str) -> Option<String> {
    jiff::Timestamp::from_millisecond(at.as_millis()).ok().map(|at| at.strftime(form).to_string())
}

/// How long, in the two largest units: `850 ms`, `4.2 s`, `3 m 20 s`, `2 d 4 h`.
pub(crate) fn length(length: Duration) -> String {
    let (millis, seconds) = (length.as_millis(), length.as_secs());
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        _ if length.is_zero() => "0 ms".to_owned(),
        _ if length < Duration::from_millis(1) => format!("{} µs", length.as_micros()),
        _ if millis < 10 => format!("{:.1} ms", length.as_secs_f64() * 1_000.0),
        _ if millis < 1_000 => format!("{millis} ms"),
        _ if seconds < 10 => format!("{:.1} s", millis as f64 / 1_000.0),
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => two((minutes, "m"), (seconds % 60, "s")),
        (0, ..) => two((hours, "h"), (minutes, "m")),
        _ => two((days, "d"), (hours, "h")),
    }
}

fn two((large, unit): (u64, &str), (small, smaller): (u64, &str)) -> String {
    if small == 0 { format!("{large} {unit}") } else { format!("{large} {unit} {small} {smaller}") }
}

/// How long ago or ahead: `4 s ago`, `in 3 m 20 s`.
pub(crate) fn relative(at: Timestamp, now: Timestamp) -> String {
    // Tenths flicker from one look to the next and tell nothing.
    let whole = |distance: Duration| match distance.as_secs() {
        seconds if seconds < 10 => format!("{seconds} s"),
        seconds => length(Duration::from_secs(seconds)),
    };
    match at.as_millis().saturating_sub(now.as_millis()) {
        -999..=999 => "now".to_owned(),
        ahead if ahead > 0 => format!("in {}", whole(at.since(now))),
        _ => format!("{} ago", whole(now.since(at))),
    }
}

/// `12,345`.
pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `850`, `12.3 k`, `1.05 M`: for the axis of a chart.
#[cfg(feature = "dashboard")]
pub(crate) fn short_number(number: f64) -> String {
    match number {
        number if number >= 1e6 => format!("{} M", trimmed(number / 1e6)),
        number if number >= 1e4 => format!("{} k", trimmed(number / 1e3)),
        number => trimmed(number),
    }
}

/// How often a second: `0`, `0.4`, `12.5`, `1,240`.
pub(crate) fn rate(per_second: f64) -> String {
    match per_second {
        rate if rate >= 100.0 => number(rate.round() as u64),
        rate => trimmed(rate),
    }
}

fn trimmed(number: f64) -> String {
    let text = match number {
        number if number >= 100.0 => format!("{number:.0}"),
        number if number >= 10.0 => format!("{number:.1}"),
        number => format!("{number:.2}"),
    };
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// `1 task`, `3 tasks`.
pub(crate) fn counted(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        count => format!("{} {what}s", number(count)),
    }
}

/// The beginning of a text, in one line.
pub(crate) fn preview(text: &str, characters: usize) -> String {
    let mut shown: String = text.chars().take(characters).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_told_by_utc_in_all_years() {
        for (millis, text) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_399_999, "2000-02-28 23:59:59"),
            (951_782_400_000, "2000-02-29 00:00:00"),
            (1_795_832_074_000, "2026-11-28 02:14:34"),
            (4_107_542_400_000, "2100-03-01 00:00:00"),
            (-1, "1969-12-31 23:59:59"),
        ] {
            assert_eq!(instant(Timestamp::from_millis(millis)), text);
        }
    }

    #[test]
    fn however_wrong_a_time_is_it_is_told() {
        let late = Timestamp::from_millis(253_370_764_800_000);
        assert_eq!(instant(late), "9999-01-01 00:00:00");
        for (millis, text) in
            [(i64::MAX, "9223372036854775807 ms after 1970"), (i64::MIN, "-9223372036854775808 ms after 1970")]
        {
            let at = Timestamp::from_millis(millis);
            assert_eq!(instant(at), text);
            for other in [0, -1, i64::MIN, i64::MAX].map(Timestamp::from_millis) {
                assert!(!relative(at, other).is_empty() && !relative(other, at).is_empty());
            }
        }
        let mut millis: i64 = 1;
        while let Some(next) = millis.checked_mul(3) {
            for at in [millis, -millis].map(Timestamp::from_millis) {
                assert!(!instant(at).is_empty());
                #[cfg(feature = "dashboard")]
                assert!(!machine_instant(at).is_empty() && !time_of_day(at).is_empty());
            }
            millis = next;
        }
    }

    #[test]
    #[cfg(feature = "dashboard")]
    fn machines_read_the_same_instants() {
        let at = Timestamp::from_millis(1_795_832_074_567);
        assert_eq!(machine_instant(at), "2026-11-28T02:14:34Z");
        assert_eq!(time_of_day(at), "02:14:34");
        assert_eq!(machine_instant(Timestamp::from_millis(i64::MIN)), "-9223372036854775808");
    }

    #[test]
    fn lengths_have_the_two_largest_units() {
        for (millis, text) in [
            (0, "0 ms"),
            (7, "7.0 ms"),
            (850, "850 ms"),
            (4_200, "4.2 s"),
            (42_000, "42 s"),
            (200_000, "3 m 20 s"),
            (7_260_000, "2 h 1 m"),
            (187_200_000, "2 d 4 h"),
        ] {
            assert_eq!(length(Duration::from_millis(millis)), text);
        }
        let now = Timestamp::from_millis(1_000_000);
        assert_eq!(relative(Timestamp::from_millis(995_700), now), "4 s ago");
        assert_eq!(relative(now, now), "now");
    }

    #[test]
    fn numbers_have_groups_and_rates_few_digits() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 0.4, 12.5, 1_240.4].map(rate), ["0", "0.4", "12.5", "1,240"]);
        #[cfg(feature = "dashboard")]
        assert_eq!([20.0, 12_300.0, 1_050_000.0].map(short_number), ["20", "12.3 k", "1.05 M"]);
    }
}
