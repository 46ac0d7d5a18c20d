//! Sends log lines to the broker: those of one task together, in the background, and none twice.
//!
//! A body never waits for this. It puts its line into a bounded buffer; if that is full, the oldest line of all goes. What
//! the broker does not take at once is dropped, counted and told, for a line is worth less than the task that wrote it.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use taskq_core::{Error, ErrorKind, LogLine, Result, TaskId, limits};
use tokio::sync::Notify;

use crate::{shutdown::Ended, worker::Shared};

/// Lines that wait to be sent.
#[derive(Debug, Default)]
pub(crate) struct Said {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<(TaskId, LogLine)>,
    /// Lines that had to go since somebody looked.
    dropped: usize,
}

impl Said {
    /// Keeps a line until it is sent. Callable from any thread.
    pub(crate) fn put(&self, id: &TaskId, line: LogLine) {
        let mut waiting = self.waiting();
        if waiting.lines.len() >= limits::LOG_BACKLOG {
            waiting.lines.pop_front();
            waiting.dropped += 1;
        }
        waiting.lines.push_back((id.clone(), line));
        drop(waiting);
        self.arrived.notify_one();
    }

    fn take(&self) -> Waiting {
        mem::take(&mut *self.waiting())
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics while holding it.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The loop: send what has arrived, then hold back for the interval. What is left at the end gets a moment more.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut ended = shared.ended();
    let mut backoff = shared.backoff();
    while arrived(&shared, &mut ended).await {
        let goes_on = match send(&shared).await {
            Ok(()) => {
                backoff.reset();
                rest(&shared, &mut ended).await
            }
            Err(_told) => backoff.pause(&shared, &mut ended).await,
        };
        if !goes_on {
            break;
        }
    }
    // It has told what it lost, and there is nothing to go on with.
    let _told = send(&shared).await;
}

/// Waits for lines; false when the worker has ended.
async fn arrived(shared: &Shared, ended: &mut Ended) -> bool {
    tokio::select! {
        biased;
        () = shared.said.arrived.notified() => true,
        () = ended.wait() => false,
    }
}

/// Holds back, so that lines go together; false when the worker has ended.
async fn rest(shared: &Shared, ended: &mut Ended) -> bool {
    tokio::select! {
        biased;
        () = shared.clock.sleep(limits::LOG_INTERVAL) => true,
        () = ended.wait() => false,
    }
}

/// Sends everything that waits, and tells of what is lost. The last error, if there was one.
async fn send(shared: &Shared) -> Result<()> {
    let end = shared.clock.monotonic() + limits::LOG_PATIENCE;
    let Waiting { lines, dropped } = shared.said.take();
    let mut by_task: BTreeMap<TaskId, Vec<LogLine>> = BTreeMap::new();
    for (id, line) in lines {
        by_task.entry(id).or_default().push(line);
    }
    let mut answers = stream::iter(by_task)
        .map(|(id, lines)| append(shared, id, lines, end))
        .buffer_unordered(limits::LOGS_IN_FLIGHT);
    let (mut lost, mut outcome) = (dropped, Ok(()));
    while let Some((count, answer)) = answers.next().await {
        if let Err(error) = answer {
            lost += count;
            outcome = Err(error);
        }
    }
    if lost > 0 {
        shared.counters.log_lines_lost.add(lost as u64);
        let why = outcome.as_ref().err().map_or_else(|| "too many at once".to_owned(), Error::to_string);
        tracing::warn!(lost, why, "log lines of tasks are lost");
    }
    outcome
}

/// Sends the lines of one task, once.
async fn append(shared: &Shared, id: TaskId, lines: Vec<LogLine>, end: Duration) -> (usize, Result<()>) {
    let left = end.saturating_sub(shared.clock.monotonic());
    let answer = shared.clock.timeout(left, shared.logs.append(&id, &lines)).await;
    let too_late = |_| Err(Error::new(ErrorKind::DeadlineExceeded, "append log lines of", &id));
    (lines.len(), answer.unwrap_or_else(too_late))
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskq_core::{LogLevel, Timestamp};

    #[test]
    fn of_too_many_lines_the_oldest_go_and_are_counted() {
        let (said, id) = (Said::default(), "q/x".parse().expect("valid"));
        for number in 0..limits::LOG_BACKLOG + 3 {
            said.put(&id, LogLine::new(Timestamp::default(), 1, LogLevel::Info, number.to_string()));
        }
        let Waiting { lines, dropped } = said.take();
        assert_eq!((lines.len(), dropped), (limits::LOG_BACKLOG, 3));
        assert_eq!(lines[0].1.text(), "3");
        let Waiting { lines, dropped } = said.take();
        assert_eq!((lines.len(), dropped), (0, 0));
    }
}
