//! Several processes on one file: they die, they compete, and they leave nothing behind.

use std::{
    fs,
    os::unix::{fs::MetadataExt, fs::PermissionsExt, process::CommandExt},
    process::Command,
    time::Duration,
};

use taskq_core::{State, TaskId};
use taskq_test_support::{ChildProcess, example_program};
use tempfile::TempDir;

use crate::{Place, enqueue, queue};

/// Far more than any of these processes takes, far less than a test may.
const BOUND: Duration = Duration::from_secs(60);

/// `examples/sqlite_process.rs`, about to play a role on a file.
pub(crate) struct Process {
    role: &'static str,
    url: String,
    command: Command,
    copy: Option<TempDir>,
}

impl Process {
    pub(crate) fn of(role: &'static str, url: &str) -> Self {
        let mut command = Command::new(example_program("sqlite_process"));
        command.args([role, url]);
        Self { role, url: url.to_owned(), command, copy: None }
    }

    /// Root gives up its rights, and runs a copy where nobody may read it; everybody else goes as they are.
    pub(crate) fn run_as_nobody(self) -> Self {
        let place = tempfile::tempdir().expect("a folder");
        if fs::metadata(place.path()).expect("exists").uid() != 0 {
            return self;
        }
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).expect("sets");
        let program = place.path().join("sqlite_process");
        fs::copy(self.command.get_program(), &program).expect("copies");
        let mut command = Command::new(program);
        command.args([self.role, &self.url]).uid(65_534).gid(65_534).current_dir("/");
        Self { command, copy: Some(place), ..self }
    }

    /// What it printed when it has ended.
    pub(crate) fn lines(mut self) -> Vec<String> {
        let child = self.spawn();
        assert!(child.wait_for_exit(BOUND).success(), "{}", child.last_lines());
        drop(self.copy);
        child.output_lines()
    }

    fn spawn(&mut self) -> ChildProcess {
        ChildProcess::spawn(&mut self.command)
    }
}

#[tokio::test]
async fn a_killed_process_loses_nothing_that_was_acknowledged() {
    let place = Place::new();
    let mut told = Vec::new();
    for killed_after in [50, 300, 1_000] {
        let child = Process::of("work-until-killed", &place.url()).spawn();
        for _ in 0..killed_after {
            child.wait_for_line(|_| true, BOUND);
        }
        child.kill();
        told.extend(child.output_lines());
    }
    let connection = place.connect().await;
    let (mut enqueued, mut settled) = (0, 0);
    for line in &told {
        let (what, id) = line.split_once(' ').unwrap_or((line, ""));
        // The last line of each may be half a line, and so may name no task.
        let Ok(id) = id.parse::<TaskId>() else { continue };
        if id.key.as_uuid().is_none() {
            continue;
        }
        let snapshot = connection.broker().find(&id).await.expect("finds").expect("what was acknowledged is known");
        match what {
            "settled" => assert_eq!(snapshot.state, State::Succeeded),
            "enqueued" => enqueued += 1,
            _ => continue,
        }
        settled += usize::from(what == "settled");
    }
    assert!(enqueued > 100 && settled > 10, "{enqueued} enqueued, {settled} settled");
    // Nothing is half done: every task is in one state, and the rest can be worked off.
    let counts = connection.inspect().counts(&queue()).await.expect("counts");
    assert!(counts.running <= 15, "{counts:?}");
    let check = rusqlite::Connection::open(place.file()).expect("opens");
    let verdict: String = check.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("checks");
    assert_eq!(verdict, "ok");
}

#[tokio::test]
async fn two_processes_that_write_in_a_loop_take_turns() {
    let place = Place::new();
    let connection = place.connect().await;
    let children: Vec<_> = (0..2).map(|_| Process::of("write-for-a-while", &place.url()).spawn()).collect();
    for child in &children {
        child.wait_for_line(|line| line == "ready", BOUND);
    }
    enqueue(&connection).await;
    let mut commits = Vec::new();
    for child in &children {
        assert!(child.wait_for_exit(BOUND).success(), "{}", child.last_lines());
        commits.push(child.output_lines()[1].parse::<u32>().expect("a number"));
    }
    commits.sort_unstable();
    println!("commits of the two: {commits:?}");
    assert!(commits[0] * 2 >= commits[1], "{commits:?}");
}

/// Linux tells which threads and files a process has.
#[cfg(target_os = "linux")]
#[test]
fn a_dropped_connection_leaves_no_thread_no_socket_and_no_file_open() {
    let place = Place::new();
    let told = Process::of("open-wait-and-drop", &place.url()).lines();
    assert_eq!(told, ["busy 6", "left 0 0", "busy 6", "left 0 0", "busy 6", "left 0 0"]);
    assert!(!place.bells().exists());
    let mut left: Vec<_> =
        fs::read_dir(place.folder.path()).expect("lists").map(|entry| entry.expect("lists").file_name()).collect();
    left.sort();
    assert_eq!(left, ["taskq.db"], "the last connection also tidies the write-ahead log");
}

/// The folder of the bells belongs to whoever waited first. As root this has a second user; everybody else takes the
/// folder's rights away, which comes to the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_may_not_hang_up_a_bell_waits_all_the_same_and_says_so_once() {
    let place = Place::new();
    let connection = place.connect().await;
    for (path, mode) in [(place.folder.path().to_owned(), 0o777), (place.file(), 0o666)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("sets");
    }
    for suffix in ["-wal", "-shm"] {
        let path = format!("{}{suffix}", place.file().display());
        fs::set_permissions(path, fs::Permissions::from_mode(0o666)).expect("sets");
    }
    fs::create_dir(place.bells()).expect("creates");
    fs::set_permissions(place.bells(), fs::Permissions::from_mode(0o500)).expect("sets");
    let mut other = Process::of("wait-for-work", &place.url()).run_as_nobody();
    let child = other.spawn();
    for _ in 0..3 {
        child.wait_for_line(|line| line == "waits", BOUND);
        let id = enqueue(&connection).await;
        child.wait_for_line(|line| line == format!("got {id}"), BOUND);
    }
    assert!(child.wait_for_exit(BOUND).success(), "{}", child.last_lines());
    let warnings = child.error_lines().iter().filter(|line| line.contains("no bell beside the file")).count();
    assert_eq!(warnings, 1, "{}", child.last_lines());
}
