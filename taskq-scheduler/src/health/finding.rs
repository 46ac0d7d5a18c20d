//! [`Look`]: what one look at a target found. A reason is short, on one line, and never holds a secret.

use std::{fmt, time::Duration};

use taskq_core::limits::MAX_HEALTH_REASON;

/// How a target is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// As it should be.
    Well,
    /// It works, and something is worth a warning: it is slow, or its certificate is near its end.
    Poor(Reason),
    /// It does not work, or cannot be reached.
    Bad(Reason),
}

/// One look at a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// How the target is.
    pub finding: Finding,
    /// How long the look took, from the first question to the last answer.
    pub latency: Duration,
}

/// Why a target is not well, in words for people. It has at most [`MAX_HEALTH_REASON`] bytes and no control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    cause: Cause,
    words: String,
}

/// The kinds of reasons, for metrics and rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The look took longer than its timeout.
    Timeout,
    /// The name has no address.
    Name,
    /// No connection, or one that broke.
    Connection,
    /// The certificate is not accepted, or its end is near.
    Certificate,
    /// The answer is not the one that was asked for.
    Answer,
    /// The answer is right and took long.
    Slow,
    /// The target may not be looked at: see [`Trust`](super::Trust).
    Forbidden,
    /// The look could not be made: something is wrong here, and not with the target.
    Setup,
}

impl Cause {
    /// Its name in lower case, for labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Name => "name",
            Self::Connection => "connection",
            Self::Certificate => "certificate",
            Self::Answer => "answer",
            Self::Slow => "slow",
            Self::Forbidden => "forbidden",
            Self::Setup => "setup",
        }
    }
}

impl Reason {
    pub(crate) fn new(cause: Cause, words: impl fmt::Display) -> Self {
        // Part of it may be the target's words, which must not break the lines of a log.
        let mut shown = String::new();
        for character in words.to_string().chars() {
            let escaped: String = match character.is_control() {
                true => character.escape_default().collect(),
                false => character.into(),
            };
            if shown.len() + escaped.len() > MAX_HEALTH_REASON - "..".len() {
                shown.push_str("..");
                break;
            }
            shown.push_str(&escaped);
        }
        Self { cause, words: shown }
    }

    /// Which kind of reason it is.
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// Both reasons in one; the first one's cause stays.
    pub(super) fn and(self, other: Self) -> Self {
        Self::new(self.cause, format_args!("{}; {}", self.words, other.words))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_short_line() {
        let reason = Reason::new(Cause::Answer, format!("bad\r\n\u{1b}[31m{}", "ü".repeat(1_000)));
        let shown = reason.to_string();
        assert!(shown.starts_with("bad\\r\\n\\u{1b}[31mü") && shown.ends_with("ü.."), "{shown}");
        assert!(shown.len() <= MAX_HEALTH_REASON && !shown.contains(char::is_control), "{shown}");
    }
}
