//! The lines a child process has printed, and whether it may still print more.
//!
//! The promise: a line is offered to `take_unread` once, in the order of printing, and the memory
//! for lines is bounded.

use std::collections::VecDeque;

/// Older lines are forgotten beyond this number, so that a chatty child cannot fill the memory.
const LINES_KEPT: usize = 200_000;

/// Where a line was printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Errors,
}

/// Everything printed so far by one child, on both of its streams.
#[derive(Debug)]
pub(crate) struct PrintedLines {
    lines: VecDeque<(Stream, String)>,
    first_unread: usize,
    open_streams: usize,
}

impl PrintedLines {
    /// No lines yet, and two streams to come.
    pub(crate) fn new() -> PrintedLines {
        PrintedLines { lines: VecDeque::new(), first_unread: 0, open_streams: 2 }
    }

    /// Adds a line.
    pub(crate) fn push(&mut self, stream: Stream, line: String) {
        if self.lines.len() == LINES_KEPT {
            self.lines.pop_front();
            self.first_unread = self.first_unread.saturating_sub(1);
        }
        self.lines.push_back((stream, line));
    }

    /// Notes that one of the two streams has ended.
    pub(crate) fn close_stream(&mut self) {
        self.open_streams -= 1;
    }

    /// Whether no further line can come.
    pub(crate) fn are_complete(&self) -> bool {
        self.open_streams == 0
    }

    /// The first unread line that the predicate accepts. Lines up to and including it count as
    /// read; when there is none, all do.
    pub(crate) fn take_unread(&mut self, accepts: impl Fn(&str) -> bool) -> Option<String> {
        let found = (self.first_unread..self.lines.len()).find(|&index| accepts(&self.lines[index].1));
        self.first_unread = found.map_or(self.lines.len(), |index| index + 1);
        found.map(|index| self.lines[index].1.clone())
    }

    /// All lines of one stream.
    pub(crate) fn of(&self, stream: Stream) -> Vec<String> {
        let wanted = self.lines.iter().filter(|(of, _)| *of == stream);
        wanted.map(|(_, line)| line.clone()).collect()
    }

    /// The last lines of both streams, as a message shows them.
    pub(crate) fn tail(&self, count: usize) -> String {
        let from = self.lines.len().saturating_sub(count);
        let lines = self.lines.iter().skip(from).map(|(_, line)| format!("    {line}\n"));
        let text: String = lines.collect();
        if text.is_empty() { "    (nothing)\n".to_owned() } else { text }
    }
}
