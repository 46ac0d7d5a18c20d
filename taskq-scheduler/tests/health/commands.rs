//! Commands: how they end, what they get, and that nothing of them is left.

use std::{fs, path::Path, time::Duration};

use serde_json::json;
use taskq_core::Clock;
use taskq_scheduler::health::{Cause, Check, Finding, Observer, Trust};

use crate::world::{World, bad, check};

/// Runs a shell with this script, in real time.
async fn run(script: &str, timeout: &str) -> taskq_scheduler::health::Look {
    let form = json!({ "every": "30s", "timeout": timeout, "command": ["sh", "-c", script] });
    let observer = Observer::new(Clock::system()).run_commands();
    observer.look(&Check::read(form).expect("valid"), &Trust::Config).await
}

#[tokio::test]
async fn a_command_is_well_if_it_exits_with_zero() {
    assert_eq!(run("exit 0", "30s").await.finding, Finding::Well);
    assert_eq!(bad(run("exit 3", "30s").await), (Cause::Answer, "sh exited with 3".to_owned()));
    assert_eq!(bad(run("kill -9 $$", "30s").await), (Cause::Answer, "sh was ended by signal 9".to_owned()));
}

#[tokio::test]
async fn a_command_gets_nothing_but_a_path() {
    let alone = "test -n \"$PATH\" && test -z \"$CARGO_MANIFEST_DIR$HOME\" && test -z \"$(cat)\"";
    assert_eq!(run(alone, "30s").await.finding, Finding::Well);
}

#[tokio::test]
async fn what_a_command_writes_goes_nowhere_however_much_it_is() {
    let look = run("head -c 20000000 /dev/zero; head -c 20000000 /dev/zero >&2; echo canary; exit 1", "30s").await;
    assert_eq!(bad(look), (Cause::Answer, "sh exited with 1".to_owned()));
}

#[tokio::test]
async fn commands_run_only_where_that_is_allowed() {
    let (cause, told) = World::new().is_bad(json!({ "command": ["true"] })).await;
    assert_eq!((cause, told.as_str()), (Cause::Setup, "this program does not allow commands"));
}

#[tokio::test]
async fn a_program_that_is_not_there_is_told() {
    let observer = Observer::new(Clock::system()).run_commands();
    let probe = json!({ "command": ["taskq-no-such-program", "canary"] });
    let (cause, told) = bad(observer.look(&check(probe), &Trust::Config).await);
    assert_eq!(cause, Cause::Setup);
    assert!(told.starts_with("cannot start taskq-no-such-program: ") && !told.contains("canary"), "{told}");
}

/// Whether a process runs; one that nobody has buried yet does not.
fn is_alive(id: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/stat", id.trim())).unwrap_or_default();
    status.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.trim_start().starts_with(['Z', 'X']))
}

async fn read_ids(path: &Path) -> Vec<String> {
    loop {
        match fs::read_to_string(path) {
            Ok(ids) if ids.lines().count() == 2 => return ids.lines().map(str::to_owned).collect(),
            _ => tokio::task::yield_now().await,
        }
    }
}

async fn end(ids: &[String]) {
    let all_ended = async {
        while ids.iter().any(|id| is_alive(id)) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all_ended).await.expect("every process has ended");
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_killed_with_all_that_it_started() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ids");
    let script = format!("sh -c 'echo $$ >> {0}; sleep 1000' & echo $$ >> {0}; wait", path.display());
    let (cause, told) = bad(run(&script, "1s").await);
    assert_eq!((cause, told.as_str()), (Cause::Timeout, "not done within 1s: the command was running"));
    end(&read_ids(&path).await).await;
}

#[tokio::test]
async fn what_a_command_leaves_behind_is_killed_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ids");
    let script = format!(
        "sh -c 'echo $$ >> {0}; sleep 1000' & echo $! >> {0}; while ! [ $(wc -l < {0}) = 2 ]; do :; done",
        path.display()
    );
    assert_eq!(run(&script, "30s").await.finding, Finding::Well);
    end(&read_ids(&path).await).await;
}

#[tokio::test]
async fn a_look_that_is_dropped_kills_its_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ids");
    let script = format!("echo $$ >> {0}; echo $$ >> {0}; sleep 1000", path.display());
    let ids = tokio::select! {
        _ = run(&script, "30s") => panic!("it sleeps"),
        ids = read_ids(&path) => ids,
    };
    end(&ids).await;
}
