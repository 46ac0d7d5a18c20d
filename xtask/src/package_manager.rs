//! The system's package manager, through which a missing Redis server, valgrind, libfaketime, chromium or Prometheus is got.
//!
//! The promise: nothing is installed without consent, and no installed package starts a service.

use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
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

/// What can be installed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Package {
    RedisServer,
    Valgrind,
    Faketime,
    Chromium,
    Prometheus,
}

impl Package {
    /// The program that is missing without it.
    fn program(self) -> &'static str {
        match self {
            Package::RedisServer => "redis-server",
            Package::Valgrind => "valgrind",
            Package::Faketime => "libfaketime",
            Package::Chromium => "chromium",
            Package::Prometheus => "prometheus",
        }
    }
}

/// A package manager and how it installs packages.
#[derive(Debug)]
pub(crate) struct PackageManager {
    program: &'static str,
    /// What it is told before, if anything. It need not succeed: a list of packages can be good
    /// enough although a part of it could not be fetched.
    refresh: Option<&'static str>,
    /// What it is told to install a package, whose name follows.
    install: &'static [&'static str],
    /// Its package with a Redis server.
    redis_server: &'static str,
    rights: Rights,
}

/// Who may install packages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Rights {
    Root,
    AnyUser,
}

/// On Debian and Ubuntu `redis-tools` holds the server program, under the name redis-check-rdb,
/// and unlike `redis-server` starts no service. The packages of the other systems start none.
const PACKAGE_MANAGERS: [PackageManager; 5] = [
    PackageManager {
        program: "apt-get",
        refresh: Some("update"),
        install: &["install", "-y", "--no-install-recommends"],
        redis_server: "redis-tools",
        rights: Rights::Root,
    },
    PackageManager {
        program: "brew",
        refresh: None,
        install: &["install"],
        redis_server: "redis",
        rights: Rights::AnyUser,
    },
    PackageManager {
        program: "dnf",
        refresh: None,
        install: &["install", "-y"],
        redis_server: "valkey",
        rights: Rights::Root,
    },
    PackageManager {
        program: "pacman",
        refresh: None,
        install: &["-S", "--noconfirm"],
        redis_server: "valkey",
        rights: Rights::Root,
    },
    PackageManager { program: "apk", refresh: None, install: &["add"], redis_server: "redis", rights: Rights::Root },
];

impl PackageManager {
    /// The one that this system has.
    pub(crate) fn of_this_system() -> Option<&'static PackageManager> {
        PACKAGE_MANAGERS.iter().find(|manager| exists(manager.program))
    }

    /// Installs a package, or says why not.
    pub(crate) fn install(&self, package: Package, consent: Consent) -> Result<(), String> {
        let lines = self.command_lines(package)?;
        if consent == Consent::ToBeAsked {
            ask(package, &lines)?;
        }
        let mut last = Ok(());
        for line in &lines {
            println!("running: {}", line.join(" "));
            last = run(line, Path::new("."));
        }
        last
    }

    /// Fetches a package and unpacks it into a folder, so that no service of it is started; Debian's alone.
    pub(crate) fn unpack(&self, package: Package, consent: Consent, folder: &Path) -> Result<(), String> {
        if self.program != "apt-get" {
            return Err(format!("{} can only install it", self.program));
        }
        let refresh = [self.before()?, &["apt-get", "update"]].concat();
        let fetch = vec!["apt-get", "download", self.name_of(package)];
        if consent == Consent::ToBeAsked {
            ask(package, &[refresh.clone(), fetch.clone()])?;
        }
        let cannot = |what: &str, error: std::io::Error| format!("cannot {what} {}: {error}", folder.display());
        // What an earlier run left is not mixed with what comes.
        if folder.exists() {
            std::fs::remove_dir_all(folder).map_err(|error| cannot("remove", error))?;
        }
        std::fs::create_dir_all(folder).map_err(|error| cannot("make", error))?;
        println!("running: {}", refresh.join(" "));
        // As before an installation, it need not succeed.
        drop(run(&refresh, Path::new(".")));
        println!("running: {}", fetch.join(" "));
        run(&fetch, folder)?;
        let mut entries = std::fs::read_dir(folder).map_err(|error| cannot("read", error))?.flatten();
        let file = entries.next().ok_or("nothing was fetched")?.file_name().to_string_lossy().into_owned();
        run(&["dpkg-deb", "-x", &file, "."], folder)
    }

    fn command_lines(&self, package: Package) -> Result<Vec<Vec<&'static str>>, String> {
        let before = self.before()?;
        let refresh = self.refresh.map(|refresh| [before, &[self.program, refresh]].concat());
        let install = [before, &[self.program], self.install, &[self.name_of(package)]].concat();
        Ok(refresh.into_iter().chain([install]).collect())
    }

    /// What stands before a command that needs rights.
    fn before(&self) -> Result<&'static [&'static str], String> {
        match self.rights {
            // env, since sudo does not pass on our own variables. Without it apt asks questions.
            Rights::Root if is_root() => Ok(&["env", "DEBIAN_FRONTEND=noninteractive"]),
            Rights::Root if exists("sudo") => Ok(&["sudo", "env", "DEBIAN_FRONTEND=noninteractive"]),
            Rights::Root => Err(format!("{} needs root, and there is no sudo", self.program)),
            Rights::AnyUser => Ok(&[]),
        }
    }

    /// What it calls a package.
    fn name_of(&self, package: Package) -> &'static str {
        match package {
            Package::RedisServer => self.redis_server,
            // Its name everywhere.
            Package::Valgrind => "valgrind",
            Package::Faketime => "libfaketime",
            Package::Chromium => "chromium",
            Package::Prometheus => "prometheus",
        }
    }
}

fn ask(package: Package, lines: &[Vec<&str>]) -> Result<(), String> {
    if !std::io::stdin().is_terminal() {
        return Err("there is no terminal to ask whether to install one: add --yes".to_owned());
    }
    println!("There is no {} on this machine. It can be installed by:", package.program());
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

fn run(line: &[&str], folder: &Path) -> Result<(), String> {
    let shown = line.join(" ");
    match Command::new(line[0]).args(&line[1..]).current_dir(folder).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{shown}` failed ({status})")),
        Err(err) => Err(format!("`{shown}` cannot be run: {err}")),
    }
}

/// Whether the `PATH` has this program.
pub(crate) fn exists(program: &str) -> bool {
    find(program).is_some()
}

/// Where the `PATH` has this program.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|program| program.is_file())
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
        assert_eq!(apt.name_of(Package::RedisServer), "redis-tools");
    }

    #[test]
    fn the_list_of_packages_is_refreshed_before_one_is_installed() {
        let brew = PackageManager { refresh: Some("update"), ..PACKAGE_MANAGERS[1] };
        let lines = brew.command_lines(Package::Valgrind).unwrap();
        assert_eq!(lines, [vec!["brew", "update"], vec!["brew", "install", "valgrind"]]);
    }

    #[test]
    fn the_flag_is_consent() {
        assert_eq!(Consent::from_flag_or_environment(true), Consent::Given);
    }
}
