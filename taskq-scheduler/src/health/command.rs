//! [`CommandProbe`]: well if a program exits with 0. It runs without a shell, and never longer than its look.
//!
//! It gets nothing of this program but `PATH`: the environment of a worker has passwords and keys, and a command that needs
//! a variable can set it by itself, `["env", "NAME=value", "program"]`. What it writes goes nowhere.

use std::{
    fmt,
    os::unix::process::ExitStatusExt,
    process::{ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use taskq_core::{Result, limits::MAX_HEALTH_LIST, limits::MAX_HEALTH_TEXT};
use tokio::process::Command;

use super::{
    NOUN,
    finding::{Cause, Reason},
    stage::Stage,
};
use crate::table::wrong;

/// Where programs are looked for if this program has no `PATH` itself.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A program and its words.
#[derive(Clone, PartialEq, Eq)]
pub struct CommandProbe(Vec<String>);

impl CommandProbe {
    pub(super) fn read(form: Value) -> Result<Self> {
        let refuse = |cure: &str| wrong(NOUN, "command", cure);
        let Value::Array(words) = form else {
            return Err(refuse("write a list of the program and its words, for example [\"pg_isready\", \"-q\"]"));
        };
        let words: Option<Vec<String>> = words
            .into_iter()
            .map(|word| match word {
                Value::String(word) if word.len() <= MAX_HEALTH_TEXT && !word.contains('\0') => Some(word),
                _ => None,
            })
            .collect();
        match words {
            Some(words) if words.len() > MAX_HEALTH_LIST => {
                Err(refuse(&format!("a command has at most {MAX_HEALTH_LIST} words")))
            }
            Some(words) if words.first().is_some_and(|program| !program.is_empty()) => Ok(Self(words)),
            Some(_) => Err(refuse("name the program first, for example [\"pg_isready\", \"-q\"]")),
            None => Err(refuse("each word is text in quotes, of at most 8 KiB and without zero bytes")),
        }
    }

    pub(super) fn form(&self) -> Value {
        self.0.clone().into()
    }

    /// The program, without its words: they may hold secrets.
    pub(super) fn program(&self) -> &str {
        &self.0[0]
    }

    pub(super) async fn look(&self, stage: &Stage) -> Result<(), Reason> {
        stage.enter("the command was running");
        let mut command = Command::new(self.program());
        command.args(&self.0[1..]);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_else(|| PATH.into()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // A group of its own, so that what it starts can be ended with it.
        command.process_group(0).kill_on_drop(true);
        let shown = self.program();
        let unusable = |error| Reason::new(Cause::Setup, format_args!("cannot start {shown}: {error}"));
        let mut child = command.spawn().map_err(unusable)?;
        let _group = Group::of(child.id());
        match child.wait().await.map_err(unusable)? {
            status if status.success() => Ok(()),
            status => Err(Reason::new(Cause::Answer, format_args!("{shown} {}", ending(status)))),
        }
    }
}

impl fmt::Debug for CommandProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CommandProbe").field(&self.program()).finish_non_exhaustive()
    }
}

/// The processes of a command. They end with the look, whether it ended, took too long or was dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(id: Option<u32>) -> Self {
        Self(id.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // An error means that none is left. The id of a group is not given out again while one is left in it; if none is,
            // no more than a moment has passed since it was ours.
            kill_process_group(group, Signal::KILL).ok();
        }
    }
}

fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}
