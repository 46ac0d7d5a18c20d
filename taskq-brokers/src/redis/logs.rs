//! Log lines of tasks: a list for each task that said something, in the tag of its queue, which ends by itself.

use async_trait::async_trait;
use taskq_core::{LogLevel, LogLine, Logs, Result, TaskId, Timestamp, limits, logs::newest};

use super::{broker::RedisBroker, reply, script::Script};

/// The largest time that 14 digits tell.
const LATEST: i64 = 99_999_999_999_999;

/// What `append_log.lua` puts before a line.
const BEFORE_LINE: usize = 15 + 14;

#[async_trait]
impl Logs for RedisBroker {
    async fn append(&self, id: &TaskId, lines: &[LogLine]) -> Result<()> {
        let fitting = newest(lines);
        if fitting.is_empty() {
            return Ok(());
        }
        let drops_earlier = fitting.len() < lines.len();
        let answer = self.run("append log lines at", Script::AppendLog, &id.queue, |command| {
            command.arg(id.key.as_bytes()).arg(limits::MAX_LOG_LINES).arg(limits::MAX_LOG_BYTES);
            command.arg(limits::LOG_TTL.as_millis() as u64).arg(u8::from(drops_earlier));
            for line in fitting {
                command.arg(written(line));
            }
        });
        answer.await.map(drop)
    }

    async fn lines(&self, id: &TaskId) -> Result<Vec<LogLine>> {
        let answer = self.run("read log lines at", Script::LogLines, &id.queue, |command| {
            command.arg(id.key.as_bytes()).arg(limits::LOG_TTL.as_millis() as u64);
        });
        reply::array(answer.await?)?.into_iter().map(|entry| read(&reply::text(entry)?)).collect()
    }
}

/// A line as entries have it: 1 letter of level | 14 digits of time | 10 digits of attempt | text.
fn written(line: &LogLine) -> String {
    let level = match line.level {
        LogLevel::Debug => 'd',
        LogLevel::Info => 'i',
        LogLevel::Warn => 'w',
        LogLevel::Error => 'e',
    };
    format!("{level}{:014}{:010}{}", line.at.as_millis().clamp(0, LATEST), line.attempt, line.text())
}

fn read(entry: &str) -> Result<LogLine> {
    let malformed = || reply::wrong("a log line");
    let line = entry.get(BEFORE_LINE..).ok_or_else(malformed)?;
    let (head, text) = line.split_at_checked(25).ok_or_else(malformed)?;
    let (level, at, attempt) = match (head.get(..1), head.get(1..15), head.get(15..)) {
        (Some(level), Some(at), Some(attempt)) => (level, at, attempt),
        _ => return Err(malformed()),
    };
    let level = match level {
        "d" => LogLevel::Debug,
        "i" => LogLevel::Info,
        "w" => LogLevel::Warn,
        // What a later version adds matters at least as much.
        _ => LogLevel::Error,
    };
    let at = Timestamp::from_millis(at.parse().map_err(|_| malformed())?);
    Ok(LogLine::new(at, attempt.parse().map_err(|_| malformed())?, level, text))
}
