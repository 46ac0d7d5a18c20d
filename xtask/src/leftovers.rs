//! What a test run may leave behind: processes and the folder. The guard of the folder
//! (`test_folder` says why it is a process) waits here for the end of the run and removes them.
//!
//! The promise: it kills what the run started and nobody else. A process group is one that xtask
//! named through the pipe; a process is one whose pid file tells the same beginning as the system.

use std::collections::BTreeSet;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Args;

use crate::failure::Failure;

/// How the folders of test runs are called. The guard removes no other.
pub(crate) const FOLDER_PREFIX: &str = "taskq-test-";

/// How long a runner may take to end its tests when it is asked to. nextest gives them 10 seconds.
const RUNNERS_END_WITHIN: Duration = Duration::from_secs(15);

/// How long killed processes may take to be gone.
const KILLED_GO_WITHIN: Duration = Duration::from_secs(10);

/// Between two looks at processes that are nobody's children here, so that nobody is told of their
/// end.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// Waits for the end of a test run and removes what it left. For xtask's own use.
#[derive(Args, Debug)]
pub(crate) struct CleanUpOptions {
    /// The folder of the test run.
    folder: PathBuf,
}

/// The line that names a process group to end.
pub(crate) fn group_began(group: u32) -> String {
    format!("began {group}\n")
}

/// The line that takes it back.
pub(crate) fn group_ended(group: u32) -> String {
    format!("ended {group}\n")
}

/// Reads lines until the run's end of the pipe is closed, then cleans up.
pub(crate) fn clean_up_after(options: &CleanUpOptions) -> Result<ExitCode, Failure> {
    let folder = &options.folder;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    if !name.starts_with(FOLDER_PREFIX) {
        return Err(Failure::new(format!("{} is not the folder of a test run", folder.display())));
    }
    let groups = read_groups();
    end_runners(&groups);
    let killed = kill_leftovers(&folder.join("pids"));
    if killed > 0 {
        eprintln!("processes that tests left running, killed now: {killed}");
    }
    match std::fs::remove_dir_all(folder) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(err) => Err(Failure::new(format!("cannot remove {}: {err}", folder.display()))),
    }
}

fn read_groups() -> BTreeSet<u32> {
    let mut groups = BTreeSet::new();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        match line.split_once(' ').map(|(what, group)| (what, group.parse())) {
            Some(("began", Ok(group))) => groups.insert(group),
            Some(("ended", Ok(group))) => groups.remove(&group),
            _ => false,
        };
    }
    groups
}

/// Asks first, since a runner that is killed leaves its tests.
fn end_runners(groups: &BTreeSet<u32>) {
    for &group in groups {
        signal_group(group, "TERM");
        wait_while(RUNNERS_END_WITHIN, || signal_group(group, "0"));
        signal_group(group, "KILL");
    }
}

/// Kills what the pid files name, and gives the number of processes that were still running.
fn kill_leftovers(pid_files: &Path) -> usize {
    let leftovers = leftovers_noted_in(pid_files);
    for leftover in &leftovers {
        signal_group(leftover.process_id, "KILL");
    }
    wait_while(KILLED_GO_WITHIN, || leftovers.iter().any(Leftover::is_running));
    leftovers.len()
}

fn leftovers_noted_in(pid_files: &Path) -> Vec<Leftover> {
    // Where no test started a child, there is no such folder.
    let Ok(entries) = std::fs::read_dir(pid_files) else {
        return Vec::new();
    };
    let noted = entries.filter_map(|entry| {
        let path = entry.ok()?.path();
        let process_id = path.file_name()?.to_str()?.parse().ok()?;
        let beginning = std::fs::read_to_string(&path).ok()?;
        Some(Leftover { process_id, beginning })
    });
    noted.filter(Leftover::is_running).collect()
}

/// A process that a pid file names.
#[derive(Debug)]
struct Leftover {
    process_id: u32,
    beginning: String,
}

impl Leftover {
    /// Whether this very process still runs, and not another that was given its number.
    fn is_running(&self) -> bool {
        running_since(self.process_id).is_some_and(|beginning| beginning == self.beginning)
    }
}

/// When a process began, in the words that taskq-test-support writes into pid files. `None` for
/// one that has ended, also if nobody has taken notice of its end.
fn running_since(process_id: u32) -> Option<String> {
    if !Path::new("/proc/self/stat").exists() {
        return running_since_told_by_ps(process_id);
    }
    let stat = std::fs::read_to_string(format!("/proc/{process_id}/stat")).ok()?;
    // Behind the program's name in brackets, which may hold anything: state and 19 more fields.
    let mut fields = stat.rsplit(')').next()?.split_whitespace();
    let state = fields.next()?;
    let beginning = fields.nth(18)?;
    (!matches!(state, "Z" | "X")).then(|| beginning.to_owned())
}

/// The same where there is no /proc, as on macOS.
fn running_since_told_by_ps(process_id: u32) -> Option<String> {
    let ask = |what: &str| {
        let told = Command::new("ps").args(["-o", what, "-p", &process_id.to_string()]).output();
        told.ok().map(|told| String::from_utf8_lossy(&told.stdout).trim().to_owned())
    };
    let state = ask("stat=")?;
    (!state.is_empty() && !state.starts_with('Z')).then(|| ask("lstart="))?
}

/// Sends a signal to a process group and tells whether there was one. Every shell has `kill`,
/// where a slim container has no program of that name.
fn signal_group(group: u32, signal: &str) -> bool {
    let script = format!("kill -s {signal} -- -{group}");
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.status().is_ok_and(|status| status.success())
}

fn wait_while(bound: Duration, still_so: impl Fn() -> bool) {
    let deadline = Instant::now() + bound;
    while still_so() && Instant::now() < deadline {
        std::thread::sleep(LOOK_AGAIN_AFTER);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;

    use super::*;

    #[test]
    fn only_a_process_of_the_same_beginning_is_a_leftover() {
        let folder = std::env::temp_dir().join(format!("xtask-pids-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut left = Command::new("sleep").arg("1000").process_group(0).spawn().unwrap();
        let note = folder.join(left.id().to_string());

        std::fs::write(&note, "another beginning").unwrap();
        assert_eq!(kill_leftovers(&folder), 0);
        assert!(left.try_wait().unwrap().is_none());

        std::fs::write(&note, running_since(left.id()).unwrap()).unwrap();
        assert_eq!(kill_leftovers(&folder), 1);
        assert!(!left.wait().unwrap().success());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_folder_of_another_name_is_not_touched() {
        let folder = std::env::temp_dir().join(format!("xtask-other-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        assert!(clean_up_after(&CleanUpOptions { folder: folder.clone() }).is_err());
        assert!(folder.exists());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
