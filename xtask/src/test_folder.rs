//! The folder of one test run, and the guard that cleans it up.
//!
//! The promise: however the run ends, also by ctrl-c or by being killed, the processes it started
//! and the folder itself go. A program that forbids `unsafe` and has only std cannot catch a
//! signal, and none could catch SIGKILL. So the guard is a second process of xtask, outside of the
//! terminal's reach, which reads from a pipe whose other end only we hold. The system closes that
//! end when we end, in any way, and then the guard does its work (`leftovers`).

use std::fs::DirBuilder;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::failure::Failure;
use crate::leftovers;

/// A test run's folder, guarded.
#[derive(Debug)]
pub(crate) struct TestFolder {
    path: PathBuf,
    guard: Child,
    /// Closing it is what the guard waits for.
    line_to_guard: ChildStdin,
}

impl TestFolder {
    /// Makes the folder and sets the guard.
    pub(crate) fn make() -> Result<TestFolder, Failure> {
        let path = make_folder()?;
        let mut guard = guard_of(&path)?;
        let line_to_guard = guard.stdin.take().expect("the guard's input was piped");
        Ok(TestFolder { path, guard, line_to_guard })
    }

    /// Where the folder is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Tells the guard of a process group to end when we are gone.
    pub(crate) fn group_began(&mut self, group: u32) -> Result<(), Failure> {
        self.tell_guard(&leftovers::group_began(group))
    }

    /// Tells the guard that the group needs no more ending.
    pub(crate) fn group_ended(&mut self, group: u32) -> Result<(), Failure> {
        self.tell_guard(&leftovers::group_ended(group))
    }

    /// Lets the guard do its work, and waits for it.
    pub(crate) fn clean_up(self) -> Result<(), Failure> {
        let TestFolder { path, mut guard, line_to_guard } = self;
        drop(line_to_guard);
        match guard.wait() {
            Ok(status) if status.success() => Ok(()),
            other => Err(Failure::new(format!("cannot clean up {}: {other:?}", path.display()))),
        }
    }

    fn tell_guard(&mut self, line: &str) -> Result<(), Failure> {
        let told = self.line_to_guard.write_all(line.as_bytes());
        told.map_err(|err| Failure::new(format!("the guard of the test folder is gone: {err}")))
    }
}

fn make_folder() -> Result<PathBuf, Failure> {
    let parent = std::env::temp_dir();
    let process_id = std::process::id();
    for number in 0..100 {
        // Short, since unix sockets in it must fit into about a hundred characters.
        let path = parent.join(format!("{}{process_id}-{number}", leftovers::FOLDER_PREFIX));
        match DirBuilder::new().mode(0o711).create(&path) {
            Ok(()) => return Ok(path),
            // Somebody else's, or of a run before the machine lost its power.
            Err(err) if err.kind() == ErrorKind::AlreadyExists => {}
            Err(err) => {
                return Err(Failure::new(format!("cannot make {}: {err}", path.display())));
            }
        }
    }
    Err(Failure::new(format!("{} is full of old test folders: remove them", parent.display())))
}

fn guard_of(folder: &Path) -> Result<Child, Failure> {
    let program = std::env::current_exe().expect("a running program can name its own file");
    let mut command = Command::new(program);
    command.arg("clean-up-after").arg(folder).stdin(Stdio::piped());
    // In a group of its own, so that ctrl-c does not reach it.
    let guard = command.process_group(0).spawn();
    guard.map_err(|err| Failure::new(format!("cannot start the guard of the test folder: {err}")))
}
