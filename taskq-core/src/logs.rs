//! The contract for log lines: what bodies said while they ran, kept beside their tasks for people.
//!
//! Lines are a convenience, and no promise rests on them: a worker that dies takes with it what it has not sent, a broker in
//! trouble is not asked twice, and of too many the oldest go. So nothing here is fenced either: what an attempt said that
//! has lost its lease was said all the same.

use std::{fmt, str::FromStr};

use async_trait::async_trait;

use crate::{
    clock::Timestamp,
    error::{Error, Result},
    id::TaskId,
    limits,
    text::cut,
};

/// Keeps log lines of tasks: of each the newest [`limits::MAX_LOG_LINES`], in all [`limits::MAX_LOG_BYTES`], until
/// [`limits::LOG_TTL`] after the last one.
///
/// Every method is one atomic step of the queue. Lines are kept whatever becomes of their task, also after it has ended or
/// was purged; a broker does not ask whether there is such a task.
#[async_trait]
pub trait Logs: fmt::Debug + Send + Sync {
    /// Adds lines to those of a task, and drops the oldest beyond the bounds.
    ///
    /// Repeating a call whose answer was lost can double its lines.
    ///
    /// # Errors
    /// [`ErrorKind::Full`](crate::ErrorKind::Full) if the broker has no room.
    async fn append(&self, id: &TaskId, lines: &[LogLine]) -> Result<()>;

    /// The lines of a task, in the order in which they came.
    async fn lines(&self, id: &TaskId) -> Result<Vec<LogLine>>;
}

/// One line that a body wrote with [`Context::log`](crate::Context::log).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When, by the worker's clock.
    pub at: Timestamp,
    /// In which attempt, 1-based.
    pub attempt: u32,
    /// How much it matters.
    pub level: LogLevel,
    text: String,
}

impl LogLine {
    /// A line. What is over [`limits::MAX_LOG_LINE`] bytes is cut, and ends with `…` then.
    pub fn new(at: Timestamp, attempt: u32, level: LogLevel, text: impl Into<String>) -> Self {
        let mut text = text.into();
        cut(&mut text, limits::MAX_LOG_LINE);
        Self { at, attempt, level, text }
    }

    /// What was said: at most [`limits::MAX_LOG_LINE`] bytes. It may hold anything, line breaks too; whoever shows it
    /// escapes it.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// For whoever looks for a mistake.
    Debug,
    /// What is usual.
    #[default]
    Info,
    /// What is unusual, and went on.
    Warn,
    /// What failed.
    Error,
}

impl LogLevel {
    /// The level as one lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for LogLevel {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let levels = [Self::Debug, Self::Info, Self::Warn, Self::Error];
        let found = levels.into_iter().find(|level| level.as_str() == text);
        found.ok_or_else(|| {
            Error::invalid("read log level", format!("\"{}\"", text.escape_debug()), "use debug, info, warn or error")
        })
    }
}

/// For brokers: how many of the oldest lines are beyond the bounds, from the length of each line in bytes, oldest first.
pub fn surplus(lengths: impl DoubleEndedIterator<Item = usize> + ExactSizeIterator) -> usize {
    let count = lengths.len();
    let fits = |bytes: &mut usize, length: usize| {
        *bytes += length;
        (*bytes <= limits::MAX_LOG_BYTES).then_some(())
    };
    count - lengths.rev().take(limits::MAX_LOG_LINES).scan(0, fits).count()
}

/// For brokers: those of one call's lines that can be kept at all. If these are not all, nothing that came before them can.
pub fn newest(lines: &[LogLine]) -> &[LogLine] {
    &lines[surplus(lines.iter().map(|line| line.text.len()))..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> LogLine {
        LogLine::new(Timestamp::default(), 1, LogLevel::Info, text)
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_between_characters_and_marked() {
        assert_eq!(line(&"x".repeat(limits::MAX_LOG_LINE)).text(), "x".repeat(limits::MAX_LOG_LINE));
        let cut = line(&"x".repeat(limits::MAX_LOG_LINE + 1));
        assert_eq!(cut.text(), format!("{}…", "x".repeat(limits::MAX_LOG_LINE - 3)));
        let cut = line(&format!("x{}", "🌙".repeat(300)));
        assert_eq!(cut.text(), format!("x{}…", "🌙".repeat(255)));
    }

    #[test]
    fn of_too_many_or_too_much_the_newest_are_kept() {
        assert_eq!(surplus([].into_iter()), 0);
        assert_eq!(surplus(vec![1; limits::MAX_LOG_LINES].into_iter()), 0);
        assert_eq!(surplus(vec![0; limits::MAX_LOG_LINES + 3].into_iter()), 3);
        assert_eq!(surplus(vec![1_000; 40].into_iter()), 40 - limits::MAX_LOG_BYTES / 1_000);
        let lines: Vec<_> = (0..300).map(|number| line(&number.to_string())).collect();
        assert_eq!(newest(&lines), &lines[100..]);
    }

    #[test]
    fn levels_are_ordered_and_read_back() {
        assert!(LogLevel::Debug < LogLevel::Info && LogLevel::Warn < LogLevel::Error);
        for level in [LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error] {
            assert_eq!(level.to_string().parse::<LogLevel>().expect("reads"), level);
        }
        assert!("loud".parse::<LogLevel>().is_err());
    }
}
