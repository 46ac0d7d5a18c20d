//! Log lines of tasks: a row for each task that said something, and one for each line.

use async_trait::async_trait;
use rusqlite::{OptionalExtension, Row, params};
use taskq_core::{
    LogLevel, LogLine, Logs, Result,
    clock::Timestamp,
    id::TaskId,
    limits,
    logs::{newest, surplus},
};

use super::{broker::SqliteBroker, failure::Failure, queue_row::QueueRow, step::Step};

/// Old logs that one call forgets: more than one, so that they cannot pile up where nobody sweeps.
const FORGET_BESIDE: usize = 2;

#[async_trait]
impl Logs for SqliteBroker {
    async fn append(&self, id: &TaskId, lines: &[LogLine]) -> Result<()> {
        let fitting = newest(lines);
        if fitting.is_empty() {
            return Ok(());
        }
        let (wanted, drops_earlier, fitting) = (id.clone(), fitting.len() < lines.len(), fitting.to_vec());
        let append = move |step: &Step<'_>| {
            let log = open(step, &wanted, drops_earlier)?;
            append(step, log, &fitting)
        };
        self.write("append log lines of", id, append).await
    }

    async fn lines(&self, id: &TaskId) -> Result<Vec<LogLine>> {
        let wanted = id.clone();
        self.look("read log lines of", id, move |step| lines(step, &wanted)).await
    }
}

// Changing --------------------------------------------------------------------------------------------------

fn append(step: &Step<'_>, log: i64, lines: &[LogLine]) -> Result<(), Failure> {
    // in: log, at, attempt, level, text
    let mut insert =
        step.sql("INSERT INTO taskq_log_lines (log, at, attempt, level, text) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for line in lines {
        insert.execute(params![log, line.at.as_millis(), line.attempt, line.level as i64, line.text()])?;
    }
    cut(step, log)
}

/// The row of a task's log, kept for longer now; without the lines that it has if their time is over, or if asked to.
fn open(step: &Step<'_>, id: &TaskId, drops_earlier: bool) -> Result<i64, Failure> {
    let (queue, key) = (QueueRow::open(step, &id.queue)?, id.key.as_bytes());
    forget(step, &queue, FORGET_BESIDE)?;
    // in: queue, key; out: the log, and until when it is kept
    let found: Option<(i64, i64)> = step
        .sql("SELECT log, until FROM taskq_logs WHERE queue = ?1 AND key = ?2")?
        .query_row(params![queue.number, key], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if let Some((log, until)) = found
        && (drops_earlier || until <= step.millis())
    {
        remove(step, log)?;
    }
    // in: queue, key, until; out: the log
    let log = step
        .sql(
            "INSERT INTO taskq_logs (queue, key, until) VALUES (?1, ?2, ?3)
             ON CONFLICT (queue, key) DO UPDATE SET until = ?3 RETURNING log",
        )?
        .query_row(params![queue.number, key, (step.now() + limits::LOG_TTL).as_millis()], |row| row.get(0))?;
    Ok(log)
}

/// Drops the oldest lines beyond the bounds.
fn cut(step: &Step<'_>, log: i64) -> Result<(), Failure> {
    // in: log; out: its lines and their lengths
    let mut statement =
        step.sql("SELECT line, octet_length(text) FROM taskq_log_lines WHERE log = ?1 ORDER BY line")?;
    let rows = statement.query_map([log], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))?;
    let rows: Vec<(i64, i64)> = rows.collect::<rusqlite::Result<_>>()?;
    let lengths = rows.iter().map(|(_, length)| usize::try_from(*length).unwrap_or(usize::MAX));
    let Some((last, _)) = surplus(lengths).checked_sub(1).and_then(|last| rows.get(last)) else { return Ok(()) };
    // in: log, the newest line that goes
    step.sql("DELETE FROM taskq_log_lines WHERE log = ?1 AND line <= ?2")?.execute([log, *last])?;
    Ok(())
}

/// Forgets logs whose time is over; how many.
pub(super) fn forget(step: &Step<'_>, queue: &QueueRow, limit: usize) -> Result<usize, Failure> {
    // in: queue, now, limit; out: logs whose time is over
    let mut statement =
        step.sql("SELECT log FROM taskq_logs WHERE queue = ?1 AND until <= ?2 ORDER BY until LIMIT ?3")?;
    let rows = statement.query_map(params![queue.number, step.millis(), limit as i64], |row| row.get(0))?;
    let logs: Vec<i64> = rows.collect::<rusqlite::Result<_>>()?;
    for log in &logs {
        remove(step, *log)?;
    }
    Ok(logs.len())
}

fn remove(step: &Step<'_>, log: i64) -> Result<(), Failure> {
    // in: log
    step.sql("DELETE FROM taskq_log_lines WHERE log = ?1")?.execute([log])?;
    // in: log
    step.sql("DELETE FROM taskq_logs WHERE log = ?1")?.execute([log])?;
    Ok(())
}

// Reading ---------------------------------------------------------------------------------------------------

fn lines(step: &Step<'_>, id: &TaskId) -> Result<Vec<LogLine>, Failure> {
    let Some(queue) = QueueRow::find(step, &id.queue)? else { return Ok(Vec::new()) };
    // in: queue, key, now; out: lines, oldest first
    let mut statement = step.sql(
        "SELECT at, attempt, level, text FROM taskq_log_lines WHERE log =
         (SELECT log FROM taskq_logs WHERE queue = ?1 AND key = ?2 AND until > ?3) ORDER BY line",
    )?;
    let rows = statement.query_map(params![queue.number, id.key.as_bytes(), step.millis()], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<LogLine> {
    let level = match row.get(2)? {
        0i64 => LogLevel::Debug,
        1 => LogLevel::Info,
        2 => LogLevel::Warn,
        // What a later version adds matters at least as much.
        _ => LogLevel::Error,
    };
    let text: String = row.get(3)?;
    Ok(LogLine::new(Timestamp::from_millis(row.get(0)?), row.get(1)?, level, text))
}
