//! A program under test, run as a child in a process group of its own, with its lines captured.
//!
//! The promise: when the value is dropped, the child and what it started in its group are gone.
//! Three threads serve each child, and `Drop` awaits them: one reads each stream, one awaits the
//! end. Nobody polls, and no signal is sent to a number that has been given to somebody else.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use crate::pid_file::PidFile;
use crate::printed_lines::{PrintedLines, Stream};

/// How long a child's streams may stay open after its whole group was killed: then a process that
/// left the group holds them.
const STREAMS_CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// How long a stopped process may take to stand still.
const STOPS_WITHIN: Duration = Duration::from_secs(1);

/// So many of the last lines are shown when a wait ends in vain.
const LINES_SHOWN: usize = 60;

/// A running child process; killed when dropped.
#[derive(Debug)]
pub struct ChildProcess {
    name: String,
    process: Pid,
    progress: Arc<Progress>,
    end_watch: Option<JoinHandle<()>>,
    readers: Vec<JoinHandle<()>>,
}

impl ChildProcess {
    /// Starts the program with no input, its output captured, in a process group of its own.
    ///
    /// # Panics
    ///
    /// When the program cannot be started.
    #[must_use]
    pub fn spawn(command: &mut Command) -> ChildProcess {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match command.process_group(0).spawn() {
            Ok(child) => child,
            Err(err) => panic!("cannot start {name}: {err}"),
        };
        let pid_file = PidFile::write(child.id());
        let process = Pid::from_child(&child);
        let progress = Arc::new(Progress::new());
        let output = child.stdout.take().expect("standard output was piped above");
        let errors = child.stderr.take().expect("standard error was piped above");
        let readers =
            vec![read_lines(&progress, output, Stream::Output), read_lines(&progress, errors, Stream::Errors)];
        let end_watch = Some(await_end(&progress, child, process, pid_file));
        ChildProcess { name, process, progress, end_watch, readers }
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.as_raw_nonzero().get().unsigned_abs()
    }

    /// Whether the process has not ended yet. A stopped one counts as running.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.progress.lock().exit.is_none()
    }

    /// Waits until the child prints a line, on either stream, that the predicate accepts, and
    /// returns that line. Each line is looked at once: the next wait begins behind it.
    ///
    /// # Panics
    ///
    /// When the bound passes, or the child ends, before there is such a line; the message shows
    /// what was printed.
    pub fn wait_for_line(&self, accepts: impl Fn(&str) -> bool, bound: Duration) -> String {
        match self.try_wait_for_line(accepts, bound) {
            Some(line) => line,
            None => panic!("{} within {bound:?}", self.report("did not print the awaited line")),
        }
    }

    /// Waits for a line with these words, and gives what stands behind them.
    ///
    /// # Panics
    ///
    /// As [`wait_for_line`](Self::wait_for_line).
    pub fn wait_for_words(&self, words: &str, bound: Duration) -> String {
        let line = self.wait_for_line(|line| line.contains(words), bound);
        let (_, behind) = line.split_once(words).expect("the line has the words");
        behind.trim().to_owned()
    }

    /// Like [`wait_for_line`](Self::wait_for_line), but `None` instead of a panic.
    pub fn try_wait_for_line(&self, accepts: impl Fn(&str) -> bool, bound: Duration) -> Option<String> {
        self.progress.wait_until(bound, |state| match state.printed.take_unread(&accepts) {
            Some(line) => Some(Some(line)),
            None if state.printed.are_complete() => Some(None),
            None => None,
        })?
    }

    /// Waits until the process has ended by itself, or by a signal sent before, and has closed its
    /// streams.
    ///
    /// # Panics
    ///
    /// When the bound passes before the process ends; the message shows what was printed.
    pub fn wait_for_exit(&self, bound: Duration) -> ExitStatus {
        let Some(status) = self.progress.wait_until(bound, |state| state.exit) else {
            panic!("{} within {bound:?}", self.report("did not end"));
        };
        self.wait_for_streams();
        status
    }

    /// Kills the process and its group (SIGKILL, `kill -9`) and waits until it is gone. Does
    /// nothing to a process that has ended.
    pub fn kill(&self) {
        self.signal_group(Signal::KILL);
        self.wait_for_exit(STREAMS_CLOSE_WITHIN);
    }

    /// Asks the process to end (SIGTERM). Does nothing to a process that has ended.
    pub fn terminate(&self) {
        self.signal_process(Signal::TERM);
    }

    /// Hangs up (SIGHUP), as who wants it to read its configuration again. Does nothing to a process that has ended.
    pub fn hang_up(&self) {
        self.signal_process(Signal::HUP);
    }

    /// Interrupts the process (SIGINT), as ctrl-c does. Does nothing to a process that has ended.
    pub fn interrupt(&self) {
        self.signal_process(Signal::INT);
    }

    /// Stops the process and its group (SIGSTOP). When this returns, the process stands still.
    ///
    /// # Panics
    ///
    /// When the process has ended.
    pub fn stop(&self) {
        self.signal_group(Signal::STOP);
        // The signal arrives a little later. The wait has a bound, since a process that is just
        // starting another one is never reported as stopped; it stands still all the same, as it
        // waits for the other one, which was stopped with it.
        let deadline = Instant::now() + STOPS_WITHIN;
        while !self.has_stopped_or_ended() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(self.is_running(), "{}", self.report("cannot be stopped: it has ended"));
    }

    /// Lets a stopped process and its group continue (SIGCONT).
    ///
    /// # Panics
    ///
    /// When the process has ended.
    pub fn resume(&self) {
        assert!(self.is_running(), "{}", self.report("cannot continue: it has ended"));
        self.signal_group(Signal::CONT);
    }

    /// The lines printed to standard output so far.
    #[must_use]
    pub fn output_lines(&self) -> Vec<String> {
        self.progress.lock().printed.of(Stream::Output)
    }

    /// The lines printed to standard error so far.
    #[must_use]
    pub fn error_lines(&self) -> Vec<String> {
        self.progress.lock().printed.of(Stream::Errors)
    }

    /// The last lines of both streams, indented, for a test's own messages.
    #[must_use]
    pub fn last_lines(&self) -> String {
        self.progress.lock().printed.tail(LINES_SHOWN)
    }

    /// Looks without taking, which leaves the end to its watch.
    fn has_stopped_or_ended(&self) -> bool {
        let kinds = WaitIdOptions::STOPPED | WaitIdOptions::EXITED;
        let looking = kinds | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let seen = rustix::process::waitid(WaitId::Pid(self.process), looking);
        !matches!(seen, Ok(None))
    }

    /// Holding the lock keeps the end-watch from reaping the process, so the number is still ours.
    fn signal_process(&self, signal: Signal) {
        let state = self.progress.lock();
        if state.exit.is_none() {
            // The process may end at this moment by itself: then there is nothing left to signal.
            let _ = rustix::process::kill_process(self.process, signal);
        }
    }

    fn signal_group(&self, signal: Signal) {
        let state = self.progress.lock();
        if state.exit.is_none() {
            // As above.
            let _ = rustix::process::kill_process_group(self.process, signal);
        }
    }

    fn wait_for_streams(&self) -> bool {
        let closed = |state: &mut State| state.printed.are_complete().then_some(());
        self.progress.wait_until(STREAMS_CLOSE_WITHIN, closed).is_some()
    }

    fn report(&self, complaint: &str) -> String {
        let ended = match self.progress.lock().exit {
            Some(status) => format!("{status}"),
            None => "still running".to_owned(),
        };
        let (name, id) = (&self.name, self.id());
        format!("{name} (process {id}, {ended}) {complaint}; it printed:\n{}", self.last_lines())
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        self.signal_group(Signal::KILL);
        if let Some(end_watch) = self.end_watch.take() {
            // It ends with the process, which nothing can keep from dying now.
            let _ = end_watch.join();
        }
        if !self.wait_for_streams() {
            // A process that left the group holds the streams. Awaiting it could take for ever.
            eprintln!("{} left a process behind that keeps its output open", self.name);
            return;
        }
        for reader in self.readers.drain(..) {
            // A reader that panicked has nothing to add while we clean up.
            let _ = reader.join();
        }
        if std::thread::panicking() {
            eprintln!("{}", self.report("was dropped by a failing test"));
        }
    }
}

/// What the threads of one child share: how far it has come, and a bell for changes.
#[derive(Debug)]
struct Progress {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    printed: PrintedLines,
    exit: Option<ExitStatus>,
}

impl Progress {
    fn new() -> Progress {
        let state = State { printed: PrintedLines::new(), exit: None };
        Progress { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// A test's predicate may panic under the lock; the state is whole all the same.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Waits until `look` finds something, or gives `None` when the bound has passed.
    fn wait_until<T>(&self, bound: Duration, mut look: impl FnMut(&mut State) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + bound;
        let mut state = self.lock();
        loop {
            if let Some(found) = look(&mut state) {
                return Some(found);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn read_lines(progress: &Arc<Progress>, stream: impl Read + Send + 'static, which: Stream) -> JoinHandle<()> {
    let progress = Arc::clone(progress);
    let reading = move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        // An error on a pipe means the same as its end: nothing more will come.
        while matches!(stream.read_until(b'\n', &mut line), Ok(count) if count > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
            progress.change(|state| state.printed.push(which, text));
            line.clear();
        }
        progress.change(|state| state.printed.close_stream());
    };
    let thread = std::thread::Builder::new().name("child output".to_owned()).spawn(reading);
    thread.expect("a test can start a thread")
}

fn await_end(progress: &Arc<Progress>, mut child: Child, process: Pid, pid_file: PidFile) -> JoinHandle<()> {
    let progress = Arc::clone(progress);
    let awaiting = move || {
        // Look without taking: until it is reaped, a dead process keeps its number, and with it
        // its group's, so that the group can be killed without hitting a stranger.
        let looking = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        // A failure means that there is no such child any more, and then wait() below tells.
        let _ = rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::Pid(process), looking));
        progress.change(|state| {
            // Mostly nobody is left in the group.
            let _ = rustix::process::kill_process_group(process, Signal::KILL);
            state.exit = Some(child.wait().expect("a child is awaited once"));
            pid_file.remove();
        });
    };
    let thread = std::thread::Builder::new().name("child end".to_owned()).spawn(awaiting);
    thread.expect("a test can start a thread")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::{TEST_DIR_VARIABLE, TempFolder};

    const BOUND: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> ChildProcess {
        ChildProcess::spawn(Command::new("sh").args(["-c", script]))
    }

    fn is_alive(process_id: &str) -> bool {
        let number = process_id.parse().unwrap();
        match std::fs::read_to_string(format!("/proc/{number}/stat")) {
            // Where nobody reaps orphans, a killed one stays as a zombie.
            Ok(stat) => !stat.contains(") Z "),
            Err(_) if cfg!(target_os = "linux") => false,
            Err(_) => rustix::process::test_kill_process(Pid::from_raw(number).unwrap()).is_ok(),
        }
    }

    fn wait_until_dead(process_id: &str) {
        let deadline = Instant::now() + BOUND;
        while is_alive(process_id) {
            assert!(Instant::now() < deadline, "process {process_id} is still alive");
            std::thread::yield_now();
        }
    }

    #[test]
    fn lines_of_both_streams_are_found_in_order_and_once() {
        let child = shell("echo one; echo two >&2; echo one");
        child.wait_for_line(|line| line == "one", BOUND);
        child.wait_for_line(|line| line == "one", BOUND);
        assert!(child.try_wait_for_line(|line| line == "one", BOUND).is_none());
        assert!(child.wait_for_exit(BOUND).success());
        assert_eq!(child.output_lines(), ["one", "one"]);
        assert_eq!(child.error_lines(), ["two"]);
    }

    #[test]
    fn a_wait_in_vain_ends_with_the_child_and_not_only_with_the_bound() {
        let child = shell("echo only this");
        let begun = Instant::now();
        assert!(child.try_wait_for_line(|line| line == "that", BOUND * 100).is_none());
        assert!(begun.elapsed() < BOUND);
    }

    #[test]
    #[should_panic(expected = "only this")]
    fn a_failed_wait_shows_what_was_printed() {
        let child = shell("echo only this");
        child.wait_for_line(|line| line == "that", BOUND);
    }

    #[test]
    fn a_dropped_child_is_gone_with_what_it_started() {
        let child = shell("sleep 1000 & echo $!; wait");
        let grandchild = child.wait_for_line(|_| true, BOUND);
        let child_id = child.id().to_string();
        assert!(is_alive(&grandchild));
        drop(child);
        assert!(!is_alive(&child_id));
        wait_until_dead(&grandchild);
    }

    #[test]
    fn what_a_child_leaves_in_its_group_is_killed_when_the_child_ends() {
        let child = shell("sleep 1000 & echo $!");
        let grandchild = child.wait_for_line(|_| true, BOUND);
        assert!(child.wait_for_exit(BOUND).success());
        wait_until_dead(&grandchild);
    }

    #[test]
    fn a_running_child_is_noted_in_the_folder_of_the_test_run() {
        let Some(run_folder) = std::env::var_os(TEST_DIR_VARIABLE) else {
            return run_the_test_above_in_a_folder();
        };
        let child = shell("sleep 1000");
        let note = PathBuf::from(run_folder).join("pids").join(child.id().to_string());
        assert!(!std::fs::read_to_string(&note).unwrap().is_empty());
        drop(child);
        assert!(!note.exists());
    }

    fn run_the_test_above_in_a_folder() {
        let folder = TempFolder::new();
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.arg("a_running_child_is_noted_in_the_folder_of_the_test_run");
        let child = ChildProcess::spawn(again.env(TEST_DIR_VARIABLE, folder.path()));
        child.wait_for_line(|line| line.starts_with("test result: ok. 1 passed"), BOUND);
    }

    #[test]
    fn a_terminated_child_may_end_in_its_own_way() {
        let child = shell("trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.01; done");
        child.wait_for_line(|line| line == "ready", BOUND);
        child.terminate();
        assert_eq!(child.wait_for_exit(BOUND).code(), Some(3));
        assert_eq!(child.output_lines(), ["ready", "bye"]);
    }

    #[test]
    fn a_stopped_child_prints_nothing_until_it_continues() {
        let child = shell("while :; do echo tick; sleep 0.001; done");
        child.wait_for_line(|line| line == "tick", BOUND);
        child.stop();
        assert!(child.is_running());
        // What was in the pipe when it stopped may still arrive, but soon there is silence.
        while child.try_wait_for_line(|_| true, Duration::from_millis(50)).is_some() {}
        child.resume();
        child.wait_for_line(|line| line == "tick", BOUND);
        child.kill();
        assert!(!child.is_running());
    }

    #[test]
    #[should_panic(expected = "cannot start")]
    fn a_missing_program_is_named() {
        let _ = ChildProcess::spawn(&mut Command::new("/no/such/program"));
    }
}
