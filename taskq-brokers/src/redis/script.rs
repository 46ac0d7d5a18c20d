//! The Lua scripts, one a transition, each with the shared prelude before it.

use std::{collections::HashSet, sync::OnceLock};

use taskq_core::Namespace;

use crate::patch::Patch;

/// Where scripts take the time from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Time {
    /// The server's clock.
    Server,
    /// The server's clock and the number at `<namespace>:skew`, for tests; and perhaps a mistake in the scripts.
    Shifted(Patch),
}

macro_rules! scripts {
    ($($name:ident $file:literal),* $(,)?) => {
        /// Which script.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(super) enum Script {
            $($name),*
        }

        impl Script {
            pub(super) const ALL: &[Self] = &[$(Self::$name),*];

            fn body(self) -> &'static str {
                match self {
                    $(Self::$name => include_str!(concat!("scripts/", $file, ".lua"))),*
                }
            }
        }
    };
}

scripts! {
    Enqueue "enqueue",
    EnqueueOne "enqueue_one",
    EnqueueEach "enqueue_each",
    List "list",
    Join "join",
    Beat "beat",
    Claim "claim",
    Held "held",
    Succeed "succeed",
    Settle "settle",
    Applied "applied",
    Report "report",
    Leave "leave",
    Sweep "sweep",
    Cancel "cancel",
    Find "find",
    Listen "listen",
    Counts "counts",
    Replay "replay",
    PurgeWaiting "purge_waiting",
    PurgeDead "purge_dead",
    Now "now",
    Stand "stand",
    Renew "renew",
    Resign "resign",
    Vacated "vacated",
    PutEntry "put_entry",
    RemoveEntry "remove_entry",
    PauseEntry "pause_entry",
    Entries "entries",
    Fire "fire",
    SaveDocument "save_document",
    ForgetDocument "forget_document",
    Documents "documents",
    Pause "pause",
    Resume "resume",
    RunNow "run_now",
    View "view",
    PageReady "page_ready",
    PageDue "page_due",
    PageRunning "page_running",
    PageDead "page_dead",
    SeekReady "seek_ready",
    Unique "unique",
    CheckIn "check_in",
    CheckOut "check_out",
    Members "members",
    Ask "ask",
    Incumbent "incumbent",
    AppendLog "append_log",
    LogLines "log_lines",
    PublishEvents "publish_events",
    Events "events",
}

/// All scripts as a server takes them, with their SHA-1 as it names them.
#[derive(Debug)]
pub(super) struct Scripts {
    sources: Vec<String>,
    names: OnceLock<Vec<String>>,
}

impl Scripts {
    pub(super) fn new(time: Time, namespace: &Namespace) -> Self {
        Self {
            sources: Script::ALL.iter().map(|script| source(*script, time, namespace)).collect(),
            names: OnceLock::new(),
        }
    }

    pub(super) fn sources(&self) -> &[String] {
        &self.sources
    }

    /// The names that a server gave, in the order of [`Script::ALL`].
    pub(super) fn named(&self, names: Vec<String>) {
        // The names are digests of the same sources, so the first answer is as good as any.
        drop(self.names.set(names));
    }

    pub(super) fn name(&self, script: Script) -> &str {
        self.names.get().map_or("", |names| &names[script as usize])
    }
}

/// Where a script wants the prelude, if not at its beginning.
const PRELUDE_HERE: &str = "--PRELUDE\n";

/// A flags line must come first; then where time comes from, the prelude, and the script.
fn source(script: Script, time: Time, namespace: &Namespace) -> String {
    let body = script.body();
    let (flags, rest) = match body.split_once('\n') {
        Some((flags, rest)) if flags.starts_with("#!") => (format!("{flags}\n"), rest),
        _ => (String::new(), body),
    };
    let clock = match time {
        Time::Server => "local MERCY = true\nlocal function skew() return 0 end\n".to_owned(),
        Time::Shifted(_) => format!(
            "local MERCY = false\nlocal function skew() return tonumber(redis.call('GET', '{namespace}:skew') or '0') end\n"
        ),
    };
    let needed = needed_blocks(include_str!("scripts/prelude.lua"), rest);
    let clock = if needed.contains("skew()") || rest.contains("skew()") { clock } else { String::new() };
    let whole = match rest.split_once(PRELUDE_HERE) {
        Some((before, after)) => format!("{flags}{before}{clock}{needed}{after}"),
        None => format!("{flags}{clock}{needed}{rest}"),
    };
    match time {
        Time::Server => whole,
        Time::Shifted(patch) => patch.applied_to(&whole).into_owned(),
    }
}

/// Those blocks of the prelude whose names the script uses, and those that they use in turn.
fn needed_blocks(prelude: &str, script: &str) -> String {
    let blocks: Vec<&str> = prelude.split("\n\n").collect();
    let mut used: HashSet<&str> = words(script).chain(["p"]).collect();
    let mut needed = vec![false; blocks.len()];
    // A block only uses what stands before it, so one walk backwards finds all.
    for (index, block) in blocks.iter().enumerate().rev() {
        if names_of(block).any(|name| used.contains(name)) {
            needed[index] = true;
            used.extend(words(block));
        }
    }
    let chosen = blocks.iter().zip(needed).filter(|(_, needed)| *needed).map(|(block, _)| *block);
    chosen.fold(String::new(), |text, block| text + block + "\n")
}

fn words(lua: &str) -> impl Iterator<Item = &str> {
    let code = lua.lines().map(|line| line.split_once("--").map_or(line, |(code, _comment)| code));
    code.flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')).filter(|word| !word.is_empty())
}

/// What a block defines at its top level.
fn names_of(block: &str) -> impl Iterator<Item = &str> {
    block.lines().filter_map(|line| line.strip_prefix("local ")).flat_map(|line| {
        let line = line.strip_prefix("function ").unwrap_or(line);
        let end = line.find(['=', '(']).unwrap_or(line.len());
        line[..end].split(',').map(str::trim)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_says_what_it_takes_and_answers() {
        for script in Script::ALL {
            let body = script.body();
            let header: String =
                body.lines().take_while(|line| line.starts_with("--") || line.starts_with("#!")).collect();
            assert!(header.contains("--"), "{script:?} has no header");
        }
    }

    #[test]
    fn every_key_of_every_script_begins_with_the_queues_prefix() {
        // One prefix is one hash tag, so a script stays within one slot of a cluster.
        for script in Script::ALL {
            let body = format!("{}{}", include_str!("scripts/prelude.lua"), script.body());
            for call in body.match_indices("call('").map(|(at, _)| &body[at + 6..]) {
                let (command, rest) = call.split_once('\'').expect("a quoted command");
                if ["TIME", "INFO", "PUBLISH"].contains(&command) {
                    continue;
                }
                let rest = rest.trim_start_matches([',', ' ']);
                let rest = if command == "LMPOP" { rest.trim_start_matches(['1', '0', ',', ' ']) } else { rest };
                let starts = [
                    "p..",
                    "p,",
                    "own",
                    "idx",
                    "name",
                    "marks",
                    "stream",
                    "list",
                    "bucket(",
                    "READY",
                    "unpack(READY",
                    "unpack(old",
                    "named[1]",
                    "found[1]",
                    "popped[i][1]",
                ];
                assert!(
                    starts.iter().any(|start| rest.starts_with(start)),
                    "{script:?}: {command} {}",
                    &rest[..rest.len().min(30)]
                );
            }
        }
    }

    #[test]
    fn a_script_is_loaded_with_what_it_needs_and_no_more() {
        let namespace = Namespace::new("n").expect("valid");
        let enqueue = source(Script::Enqueue, Time::Server, &namespace);
        assert!(enqueue.contains("local function ring") && enqueue.contains("local function now"));
        assert!(!enqueue.contains("drain_owner") && !enqueue.contains("CLASSES"), "{enqueue}");
        let sweep = source(Script::Sweep, Time::Server, &namespace);
        assert!(sweep.starts_with("#!lua flags=allow-oom\n") && sweep.contains("local function drain_owner"));
    }

    #[test]
    fn no_script_walks_the_keyspace() {
        for script in Script::ALL {
            let body = script.body();
            assert!(!body.contains("'KEYS'") && !body.contains("'SCAN'"), "{script:?}");
        }
    }
}
