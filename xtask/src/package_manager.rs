//! The system's package manager, through which a missing Redis server is installed.
//!
//! The promise: nothing is installed without consent, and no installed package starts a service.

use std::io::{BufRead, IsTerminal, Write};
use std::process::{Command, Stdio};

/// Whether the person agreed to an installation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Consent {
    /// By `--yes`, or by running under CI.
    Given,
    /// Not yet.
    ToBeAsked,
}

impl Consent {
    pub(crate) fn from_flag_or_environment(yes: bool) -> Consent {
        let is_set = |value: std::ffi::OsString| !value.is_empty() && value != "false";
        match yes || std::env::var_os("CI").is_some_and(is_set) {
            true => Consent::Given,
            false => Consent::ToBeAsked,
        }
    }
}

/// A package manager and how it installs a Redis server.
#[derive(Debug)]
pub(crate) struct PackageManager {
    program: &'static str,
    /// The steps, each a line of arguments. Only the last one has to succeed: a list of packages
    /// can be good enough although a part of it could not be fetched.
    steps: &'static [&'static [&'static str]],
    rights: Rights,
}

/// Who may install packages.
#[derive(Debug, Eq, PartialEq)]
enum Rights {
    Root,
    AnyUser,
}

/// On Debian and Ubuntu `redis-tools` holds the server program, under the name redis-check-rdb,
/// and unlike `redis-server` starts no service. The packages of the other systems start none.
const PACKAGE_MANAGERS: [PackageManager; 5] = [
    PackageManager {
        program: "apt-get",
        steps: &[&["update"], &["install", "-y", "--no-install-recommends", "redis-tools"]],
        rights: Rights::Root,
    },
    PackageManager { program: "brew", steps: &[&["install", "redis"]], rights: Rights::AnyUser },
    PackageManager { program: "dnf", steps: &[&["install", "-y", "valkey"]], rights: Rights::Root },
    PackageManager { program: "pacman", steps: &[&["-S", "--noconfirm", "valkey"]], rights: Rights::Root },
    PackageManager { program: "apk", steps: &[&["add", "redis"]], rights: Rights::Root },
];

impl PackageManager {
    /// The one that this system has.
    pub(crate) fn of_this_system() -> Option<&'static PackageManager> {
        PACKAGE_MANAGERS.iter().find(|manager| exists(manager.program))
    }

    /// Installs a Redis server, or says why not.
    pub(crate) fn install(&self, consent: Consent) -> Result<(), String> {
        let lines = self.command_lines()?;
        if consent == Consent::ToBeAsked {
            ask(&lines)?;
        }
        let mut last = Ok(());
        for line in &lines {
            println!("running: {}", line.join(" "));
            last = run(line);
        }
        last
    }

    fn command_lines(&self) -> Result<Vec<Vec<&'static str>>, String> {
        let before: &[&str] = match self.rights {
            // env, since sudo does not pass on our own variables. Without it apt asks questions.
            Rights::Root if is_root() => &["env", "DEBIAN_FRONTEND=noninteractive"],
            Rights::Root if exists("sudo") => &["sudo", "env", "DEBIAN_FRONTEND=noninteractive"],
            Rights::Root => {
                return Err(format!("{} needs root, and there is no sudo", self.program));
            }
            Rights::AnyUser => &[],
        };
        let line = |step: &&[&'static str]| [before, &[self.program], step].concat();
        Ok(self.steps.iter().map(line).collect())
    }
}

fn ask(lines: &[Vec<&str>]) -> Result<(), String> {
    if !std::io::stdin().is_terminal() {
        return Err("there is no terminal to ask whether to install one: add --yes".to_owned());
    }
    println!("There is no redis-server on this machine. It can be installed by:");
    for line in lines {
        println!("    {}", line.join(" "));
    }
    print!("Run this now? No service is started. [y/N] ");
    let mut answer = String::new();
    let asked = std::io::stdout().flush().and_then(|()| std::io::stdin().lock().read_line(&mut answer));
    match asked {
        Ok(_) if matches!(answer.trim(), "y" | "Y" | "yes") => Ok(()),
        Ok(_) => Err("you said no to installing one".to_owned()),
        Err(err) => Err(format!("cannot read the answer: {err}")),
    }
}

fn run(line: &[&str]) -> Result<(), String> {
    let shown = line.join(" ");
    match Command::new(line[0]).args(&line[1..]).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{shown}` failed ({status})")),
        Err(err) => Err(format!("`{shown}` cannot be run: {err}")),
    }
}

fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn is_root() -> bool {
    let told = Command::new("id").arg("-u").stderr(Stdio::null()).output();
    told.is_ok_and(|told| told.stdout.trim_ascii() == b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debians_package_is_the_one_without_a_service() {
        let apt = &PACKAGE_MANAGERS[0];
        assert_eq!(apt.program, "apt-get");
        assert_eq!(apt.steps.last().and_then(|step| step.last()), Some(&"redis-tools"));
    }

    #[test]
    fn the_flag_is_consent() {
        assert_eq!(Consent::from_flag_or_environment(true), Consent::Given);
    }
}
