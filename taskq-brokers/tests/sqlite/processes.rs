//! Several processes on one file: they die, they compete, and they leave nothing behind.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::PathBuf,
    process::{self, Command, Stdio},
    time::{Duration, Instant},
};

use taskq_core::{State, TaskId, broker::Settled};

use crate::{Place, claim, connect, enqueue, join, queue, succeed, try_connect};

/// The variable that tells a child its file.
const URL: &str = "TASKQ_TEST_URL";

/// A `child_*` test, about to be run in a process of its own.
pub(crate) struct Child {
    test: &'static str,
    command: Command,
    copy: Option<tempfile::TempDir>,
}

impl Child {
    pub(crate) fn of(test: &'static str, url: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("a path"));
        Self::prepare(&mut command, test, url);
        Self { test, command, copy: None }
    }

    fn prepare(command: &mut Command, test: &'static str, url: &str) {
        command.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]);
        command.env(URL, url).stdout(Stdio::piped()).stderr(Stdio::inherit());
    }

    /// Root gives up its rights, and runs a copy where nobody may read it; everybody else goes as they are.
    pub(crate) fn run_as_nobody(self) -> Self {
        let place = tempfile::tempdir().expect("a folder");
        if std::os::unix::fs::MetadataExt::uid(&fs::metadata(place.path()).expect("exists")) != 0 {
            return self;
        }
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).expect("sets");
        let binary: PathBuf = place.path().join("child");
        fs::copy(std::env::current_exe().expect("a path"), &binary).expect("copies");
        let mut command = Command::new(binary);
        let url = self.command.get_envs().find_map(|(name, value)| (name == URL).then_some(value)?);
        Self::prepare(&mut command, self.test, url.and_then(|url| url.to_str()).expect("a url"));
        command.uid(65_534).gid(65_534).current_dir("/");
        Self { command, copy: Some(place), ..self }
    }

    /// What it said when it has ended.
    pub(crate) fn lines(mut self) -> Vec<String> {
        let output = self.command.output().expect("runs");
        drop(self.copy);
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(output.status.success(), "{text}");
        said(text.lines())
    }

    fn spawn(mut self) -> process::Child {
        self.command.spawn().expect("starts")
    }
}

/// Children mark what they say, since the test harness says things too, on the same line at times.
fn say(text: impl std::fmt::Display) {
    println!("\n> {text}");
}

fn said<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    lines.filter_map(|line| line.strip_prefix("> ")).map(str::to_owned).collect()
}

fn child_url() -> String {
    std::env::var(URL).expect("run by another test")
}

#[tokio::test]
#[ignore = "run by file::a_read_only_folder_and_a_read_only_file_are_refused_with_the_cure"]
async fn child_connects() {
    match try_connect(&child_url()).await {
        Ok(_) => say("opened"),
        Err(error) => say(format!("{:?} {error}", error.kind())),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by a_killed_process_loses_nothing_that_was_acknowledged"]
async fn child_works_until_killed() {
    let connection = connect(&child_url()).await;
    let owner = join(&connection).await;
    for _ in 0..4 {
        let connection = connection.clone();
        tokio::spawn(async move {
            loop {
                say(format!("enqueued {}", enqueue(&connection).await));
            }
        });
    }
    loop {
        connection.broker().beat(&[(owner, queue())]).await.expect("beats");
        for claimed in claim(&connection, owner, 5).await {
            let id = claimed.envelope.id.clone();
            say(format!("claimed {id}"));
            assert_eq!(succeed(&connection, owner, claimed).await, Settled::Applied);
            say(format!("settled {id}"));
        }
    }
}

#[tokio::test]
async fn a_killed_process_loses_nothing_that_was_acknowledged() {
    let place = Place::new();
    let mut lines = Vec::new();
    for killed_after in [50, 300, 1_000] {
        let mut child = Child::of("processes::child_works_until_killed", &place.url()).spawn();
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let mut output = output.lines().map(|line| line.expect("text"));
        lines.extend(output.by_ref().take(killed_after));
        child.kill().expect("kill -9");
        lines.extend(output);
        child.wait().expect("ends");
    }
    // The last line may be half a line, and so may name no task.
    let told = said(lines.iter().map(String::as_str));
    let connection = place.connect().await;
    let (mut enqueued, mut settled) = (0, 0);
    for line in &told {
        let (what, id) = line.split_once(' ').unwrap_or((line, ""));
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by two_processes_that_write_in_a_loop_take_turns"]
async fn child_writes_for_a_while() {
    let connection = connect(&child_url()).await;
    say("ready");
    // Both begin when the other has begun too.
    while connection.inspect().queues().await.expect("lists").is_empty() {
        tokio::task::yield_now().await;
    }
    // Several callers, so that the next transaction is always at hand: alone this process would never let go.
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let connection = connection.clone();
            tokio::spawn(async move {
                let (start, mut accepted) = (Instant::now(), 0);
                while start.elapsed() < Duration::from_secs(2) {
                    enqueue(&connection).await;
                    accepted += 1;
                }
                accepted
            })
        })
        .collect();
    let mut commits = 0;
    for caller in callers {
        commits += caller.await.expect("ends");
    }
    say(commits);
}

#[tokio::test]
async fn two_processes_that_write_in_a_loop_take_turns() {
    let place = Place::new();
    let connection = place.connect().await;
    let mut children: Vec<_> = (0..2)
        .map(|_| {
            let mut child = Child::of("processes::child_writes_for_a_while", &place.url()).spawn();
            let lines = BufReader::new(child.stdout.take().expect("piped")).lines().map(|line| line.expect("text"));
            (child, lines)
        })
        .collect();
    for (_, lines) in &mut children {
        assert!(lines.any(|line| line == "> ready"));
    }
    enqueue(&connection).await;
    let mut commits = Vec::new();
    for (mut child, lines) in children {
        let lines: Vec<String> = lines.collect();
        commits.push(said(lines.iter().map(String::as_str))[0].parse::<u32>().expect("a number"));
        assert!(child.wait().expect("ends").success());
    }
    commits.sort_unstable();
    println!("commits of the two: {commits:?}");
    assert!(commits[0] * 2 >= commits[1], "{commits:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by a_dropped_connection_leaves_no_thread_no_socket_and_no_file_open"]
async fn child_opens_waits_and_drops() {
    // What the runtime itself opens comes first.
    tokio::spawn(async {}).await.expect("ends");
    let before = open_files();
    for _ in 0..3 {
        let connection = connect(&child_url()).await;
        let another = connection.open_another().await.expect("opens");
        let owner = join(&connection).await;
        let id = enqueue(&another).await;
        connection.broker().work_arrived(&[(owner, queue())], Duration::from_secs(5)).await.expect("waits");
        another.broker().wait(&id, Duration::from_millis(1)).await.expect("waits");
        say(format!("busy {}", own_threads()));
        drop((connection, another));
        say(format!("left {} {}", own_threads(), open_files() as i64 - before as i64));
    }
}

fn own_threads() -> usize {
    let named = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
    let threads = fs::read_dir("/proc/self/task").expect("lists").flatten().map(named);
    threads.filter(|name| name.starts_with("taskq-")).count()
}

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").expect("lists").count()
}

/// Linux tells which threads and files a process has.
#[cfg(target_os = "linux")]
#[test]
fn a_dropped_connection_leaves_no_thread_no_socket_and_no_file_open() {
    let place = Place::new();
    let told = Child::of("processes::child_opens_waits_and_drops", &place.url()).lines();
    assert_eq!(told, ["busy 6", "left 0 0", "busy 6", "left 0 0", "busy 6", "left 0 0"]);
    assert!(!place.bells().exists());
    let mut left: Vec<_> =
        fs::read_dir(place.folder.path()).expect("lists").map(|entry| entry.expect("lists").file_name()).collect();
    left.sort();
    assert_eq!(left, ["taskq.db"], "the last connection also tidies the write-ahead log");
}
