//! Lengths of time as people write them: `90s`, `15m`, `1h 30m`, `2d`. What is written here is read here.

use std::{fmt::Write, time::Duration};

use jiff::SignedDuration;
use taskq_core::{Error, Result};

const UNITS: [(&str, u128); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A length of time in words, for example `1h 30m`. A day has 24 hours here. What is left over below a millisecond is told
/// in nanoseconds.
pub(crate) fn write(length: Duration) -> String {
    let mut text = String::new();
    let mut millis = length.as_millis();
    for (unit, size) in UNITS {
        if millis >= size {
            let _infallible = write!(text, "{}{unit} ", millis / size);
            millis %= size;
        }
    }
    let nanos = length.subsec_nanos() % 1_000_000;
    if nanos > 0 {
        let _infallible = write!(text, "{nanos}ns");
    }
    match text.trim_end() {
        "" => "0s".to_owned(),
        text => text.to_owned(),
    }
}

/// Reads what [`write`] writes and what people write, ISO 8601 among it. `what` is told in the error.
pub(crate) fn read(what: &'static str, text: &str) -> Result<Duration> {
    let refuse = || {
        let cure = "write for example \"90s\", \"15m\", \"1h 30m\" or \"2d\"";
        Error::invalid(what, format!("\"{}\"", text.escape_debug()), cure)
    };
    // Days have 24 hours here, so they are read here: to jiff a day is a date.
    let (days, rest) = match text.trim().split_once('d') {
        Some((days, rest)) if days.bytes().all(|byte| byte.is_ascii_digit()) => (days, rest.trim()),
        _ => ("0", text.trim()),
    };
    let days: u64 = days.parse().map_err(|_| refuse())?;
    let rest = match rest {
        "" if days > 0 => Duration::ZERO,
        rest => {
            let rest: SignedDuration = rest.parse().map_err(|_| refuse())?;
            Duration::try_from(rest).map_err(|_| refuse())?
        }
    };
    let days = Duration::from_secs(days.checked_mul(86_400).ok_or_else(refuse)?);
    days.checked_add(rest).ok_or_else(refuse)
}

/// A length in milliseconds, if it is a whole number of them that fits.
pub(crate) fn whole_millis(length: Duration) -> Option<i64> {
    match length.subsec_nanos() % 1_000_000 {
        0 => i64::try_from(length.as_millis()).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_read_as_they_are_written() {
        for (text, millis) in
            [("1s", 1_000), ("5m", 300_000), ("1h 30m", 5_400_000), ("2d 1ms", 172_800_001), ("1m 30s", 90_000)]
        {
            let length = Duration::from_millis(millis);
            assert_eq!(write(length), text);
            assert_eq!(read("interval", text).expect("reads what it wrote"), length);
        }
        assert_eq!(write(Duration::ZERO), "0s");
        assert_eq!(write(Duration::new(1, 5)), "1s 5ns");
        assert_eq!(read("interval", "PT5M").expect("ISO 8601"), Duration::from_secs(300));
        assert_eq!(read("interval", " 1d12h ").expect("no space"), Duration::from_secs(36 * 3600));
    }

    #[test]
    fn what_is_no_length_is_refused() {
        for text in
            ["", "d", "5", "-5m", "5 fortnights", "99999999999999999999d", "18446744073709551615d", "soon", "1d -1h"]
        {
            let told = read("jitter", text).expect_err(text).to_string();
            let cure = "invalid input: write for example \"90s\", \"15m\", \"1h 30m\" or \"2d\"";
            assert_eq!(told, format!("jitter \"{text}\": {cure}"));
        }
    }
}
