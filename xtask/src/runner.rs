//! Runs the commands of a test run: in the run's folder, in a process group of its own that
//! the folder's guard knows, and with the output passed on while it is counted.

use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::ops::Add;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use crate::failure::Failure;
use crate::summary::{Summary, SummaryFormat};
use crate::test_folder::TestFolder;

/// Runs commands one after the other.
#[derive(Debug)]
pub(crate) struct Runner<'a> {
    folder: &'a mut TestFolder,
    server: &'a Path,
}

impl<'a> Runner<'a> {
    pub(crate) fn new(folder: &'a mut TestFolder, server: &'a Path) -> Runner<'a> {
        Runner { folder, server }
    }

    /// Runs a command and tells whether it succeeded.
    pub(crate) fn run(&mut self, command: &mut Command) -> Result<bool, Failure> {
        let child = self.spawn(command)?;
        Ok(self.wait(child)?.success())
    }

    /// Runs a test command and adds up the summaries it prints.
    pub(crate) fn run_and_count(&mut self, command: &mut Command, format: SummaryFormat) -> Result<Summary, Failure> {
        let (succeeded, summaries) = self.run_and_read(command, move |line| format.read(line))?;
        let summary = summaries.into_iter().fold(Summary::default(), Summary::add);
        if !succeeded && !summary.has_failed() {
            let shown = shown(command);
            eprintln!("{shown} failed without naming a test; this counts as one failed test");
            return Ok(summary + Summary::one_failed());
        }
        Ok(summary)
    }

    /// Runs a command and tells whether it succeeded, and what is read from the lines it prints: first to its standard
    /// output, then to its standard error.
    pub(crate) fn run_and_read<T: Send + 'static>(
        &mut self,
        command: &mut Command,
        read: impl Fn(&str) -> Option<T> + Clone + Send + 'static,
    ) -> Result<(bool, Vec<T>), Failure> {
        if std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
            // Cargo sees our pipes and not the terminal behind them.
            command.env("CARGO_TERM_COLOR", "always");
        }
        let mut child = self.spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
        let output = child.stdout.take().expect("standard output was piped above");
        let errors = child.stderr.take().expect("standard error was piped above");
        let output = pass_on(output, std::io::stdout(), read.clone());
        let errors = pass_on(errors, std::io::stderr(), read);
        let status = self.wait(child)?;
        let both = output.join().and_then(|output| Ok([output, errors.join()?]));
        let both = both.map_err(|_| Failure::new("a reader of the tests' output panicked"))?;
        Ok((status.success(), both.into_iter().flatten().collect()))
    }

    fn spawn(&mut self, command: &mut Command) -> Result<Child, Failure> {
        command
            .env("TASKQ_REDIS_SERVER", self.server)
            .env("TASKQ_TEST_DIR", self.folder.path())
            // So that other temporary files are made there too.
            .env("TMPDIR", self.folder.path())
            // A group that is not the terminal's must not read from it.
            .stdin(Stdio::null())
            .process_group(0);
        match command.spawn() {
            Ok(child) => {
                self.folder.group_began(child.id())?;
                Ok(child)
            }
            Err(err) => Err(Failure::new(format!("cannot run {}: {err}", shown(command)))),
        }
    }

    fn wait(&mut self, mut child: Child) -> Result<ExitStatus, Failure> {
        let status = child.wait();
        self.folder.group_ended(child.id())?;
        status.map_err(|err| Failure::new(format!("cannot await a command: {err}")))
    }
}

/// The command as one would type it.
fn shown(command: &Command) -> String {
    let arguments = command.get_args().map(|argument| argument.to_string_lossy());
    // The very path of cargo tells nothing.
    let program = command.get_program().to_string_lossy();
    let program = program.rsplit('/').next().unwrap_or_default().to_owned();
    let words: Vec<_> = std::iter::once(program.into()).chain(arguments).collect();
    format!("`{}`", words.join(" "))
}

/// Passes on all lines as they come, and keeps what is read from them.
fn pass_on<T: Send + 'static>(
    from: impl Read + Send + 'static,
    mut to: impl Write + Send + 'static,
    read: impl Fn(&str) -> Option<T> + Send + 'static,
) -> JoinHandle<Vec<T>> {
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut kept = Vec::new();
        let mut line = Vec::new();
        // An error on a pipe means the same as its end: nothing more will come.
        while matches!(from.read_until(b'\n', &mut line), Ok(count) if count > 0) {
            // Whoever read our output may be gone; the tests are counted all the same.
            let _ = to.write_all(&line).and_then(|()| to.flush());
            kept.extend(read(&String::from_utf8_lossy(&line)));
            line.clear();
        }
        kept
    })
}
