//! A driver process and the talk with it: it says where it has come to, and goes on when it is told to.

use std::{
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread::JoinHandle,
    time::Duration,
};

use bench_driver::{Outcome, Report};
use serde::Deserialize;

/// A driver that says nothing for so long hangs.
const PATIENCE: Duration = Duration::from_secs(300);

/// So much of its complaints is shown when it fails.
const SHOWN_COMPLAINTS: usize = 600;

/// A running driver; killed when dropped.
#[derive(Debug)]
pub(crate) struct Driver {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    complaints: Option<JoinHandle<String>>,
}

/// What a driver says.
#[derive(Debug)]
pub(crate) enum Said {
    /// It has come to this phase and waits.
    Phase(String),
    /// It is done.
    Report(Report),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Phase { phase: String },
    Report(Report),
}

impl Driver {
    /// Starts it in our own process group, so that whoever ends the group ends it too.
    pub(crate) fn start(program: &Path, arguments: &[String]) -> Outcome<Self> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("cannot run {}: {error}", program.display()))?;
        let input = child.stdin.take().ok_or("the driver has no input")?;
        let output = child.stdout.take().ok_or("the driver has no output")?;
        let mut errors = child.stderr.take().ok_or("the driver has no standard error")?;
        let complaints = std::thread::spawn(move || {
            let mut text = Vec::new();
            // What was read before an error is as good as anything.
            let _ = errors.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Ok(Self { child, input, lines: read_lines(output), complaints: Some(complaints) })
    }

    /// What it says next.
    pub(crate) fn listen(&mut self) -> Outcome<Said> {
        loop {
            let line = match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => return Err(format!("it said nothing for {PATIENCE:?}").into()),
                Err(RecvTimeoutError::Disconnected) => return Err(self.last_words().into()),
            };
            match serde_json::from_str(&line) {
                Ok(Line::Phase { phase }) => return Ok(Said::Phase(phase)),
                Ok(Line::Report(report)) => return Ok(Said::Report(report)),
                // A library under a driver may print what it likes.
                Err(_) => {}
            }
        }
    }

    /// Waits for a phase of this name and nothing else.
    pub(crate) fn expect_phase(&mut self, name: &str) -> Outcome<()> {
        match self.listen()? {
            Said::Phase(phase) if phase == name => Ok(()),
            other => Err(format!("it should have come to \"{name}\" and says {other:?}").into()),
        }
    }

    /// Tells it to go on.
    pub(crate) fn go_on(&mut self) -> Outcome<()> {
        self.input.write_all(b"\n")?;
        Ok(self.input.flush()?)
    }

    fn last_words(&mut self) -> String {
        let status = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        let complaints = self.complaints.take().and_then(|reader| reader.join().ok()).unwrap_or_default();
        let complaints = complaints.trim();
        let begin = complaints.char_indices().rev().nth(SHOWN_COMPLAINTS).map_or(0, |(index, _)| index);
        format!("it ended without a report ({status}): {}", &complaints[begin..])
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nobody to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_lines(output: ChildStdout) -> Receiver<String> {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    told
}
