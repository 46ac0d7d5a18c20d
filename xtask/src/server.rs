//! The Redis or Valkey server program that the tests start: found, or installed.
//!
//! The promise: what is returned was run once and is new enough. Otherwise there is an error with
//! the cure in it, and never a run without the server.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo::own_target_folder;
use crate::failure::Failure;
use crate::package_manager::{self, Consent, Package, PackageManager};

const PROGRAM_VARIABLE: &str = "TASKQ_REDIS_SERVER";

/// The oldest Redis that taskq supports; every Valkey is newer.
const OLDEST: (u32, u32) = (7, 0);

/// The names of the server program, the best first.
const PROGRAM_NAMES: [&str; 4] = ["redis-server", "valkey-server", "redis-check-rdb", "valkey-check-rdb"];

const CURE: &str = "install Redis 7.0 or Valkey 7.2 or newer, \
    or set TASKQ_REDIS_SERVER=/path/to/redis-server";

/// A server program that runs on this machine.
#[derive(Debug)]
pub(crate) struct ServerProgram {
    program: PathBuf,
    /// How it names itself: `Redis 7.0.15`.
    version: String,
}

impl ServerProgram {
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }
}

impl fmt::Display for ServerProgram {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.version, self.program.display())
    }
}

/// The program that `TASKQ_REDIS_SERVER` names, else one from the `PATH`, else one installed now.
pub(crate) fn find_or_install(consent: Consent) -> Result<ServerProgram, Failure> {
    if let Some(named) = std::env::var_os(PROGRAM_VARIABLE) {
        // Tests run in other folders than this one, where a relative path would mean something else.
        let named = std::path::absolute(&named).unwrap_or(PathBuf::from(named));
        let tried = try_program(&under_servers_name(named)?);
        return tried.map_err(|why| Failure::new(format!("{PROGRAM_VARIABLE}: {why}; {CURE}")));
    }
    if let Some(found) = find()? {
        return Ok(found);
    }
    PackageManager::of_this_system()
        .ok_or_else(|| Failure::new(format!("no redis-server, and no known way to install one: {CURE}")))?
        .install(Package::RedisServer, consent)
        .map_err(|why| Failure::new(format!("no redis-server, and {why}; {CURE}")))?;
    find()?.ok_or_else(|| Failure::new(format!("the installed package has no redis-server: {CURE}")))
}

/// The first program in the `PATH` that is new enough.
fn find() -> Result<Option<ServerProgram>, Failure> {
    for program in PROGRAM_NAMES.into_iter().filter_map(package_manager::find) {
        match try_program(&under_servers_name(program)?) {
            Ok(found) => return Ok(Some(found)),
            Err(why) => println!("passed over: {why}"),
        }
    }
    Ok(None)
}

/// Debian's packages of tools hold the server program only under the name of a tool. The program
/// does what its name says, so here it gets the server's name.
fn under_servers_name(program: PathBuf) -> Result<PathBuf, Failure> {
    if !program.file_name().is_some_and(|name| name.as_encoded_bytes().ends_with(b"-check-rdb")) {
        return Ok(program);
    }
    let folder = own_target_folder();
    let link = folder.join("redis-server");
    let new_link = folder.join(format!("redis-server.{}", std::process::id()));
    // Made aside and moved: a test run beside this one may be starting servers by the old link.
    let linked = std::fs::create_dir_all(&folder)
        .and_then(|()| std::os::unix::fs::symlink(&program, &new_link))
        .and_then(|()| std::fs::rename(&new_link, &link));
    match linked {
        Ok(()) => Ok(link),
        Err(err) => Err(Failure::new(format!("cannot make the link {}: {err}", link.display()))),
    }
}

/// Asks the program for its version, or says why it cannot be used.
fn try_program(program: &Path) -> Result<ServerProgram, String> {
    let shown = program.display();
    let told = Command::new(program).arg("--version").output();
    let told = told.map_err(|err| format!("cannot run {shown}: {err}"))?;
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let (product, version) =
        read_version(&told).ok_or_else(|| format!("{shown} is not a Redis server: it says {:?}", first_line(&told)))?;
    if !is_new_enough(version) {
        return Err(format!("{shown} is too old: {product} {version}"));
    }
    let version = format!("{product} {version}");
    Ok(ServerProgram { program: program.to_path_buf(), version })
}

fn first_line(told: &str) -> &str {
    told.lines().next().unwrap_or_default()
}

/// Product and version from `Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.2.1 ..`.
fn read_version(told: &str) -> Option<(&str, &str)> {
    let (product, rest) = told.trim_start().split_once(" server v=")?;
    Some((product, rest.split_whitespace().next()?))
}

fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or_default());
    (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default()) >= OLDEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn product_and_version_are_read_from_what_a_server_says() {
        let redis = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64 build=1\n";
        assert_eq!(read_version(redis), Some(("Redis", "7.0.15")));
        let valkey = "Valkey server v=9.1.2 sha=00000000:0 malloc=libc bits=64 build=2\n";
        assert_eq!(read_version(valkey), Some(("Valkey", "9.1.2")));
        assert_eq!(read_version("redis-check-rdb 7.0.15\n"), None);
        assert_eq!(read_version(""), None);
    }

    #[test]
    fn only_servers_before_7_0_are_too_old() {
        assert!(is_new_enough("7.0.0") && is_new_enough("10.1") && is_new_enough("9"));
        assert!(!is_new_enough("6.2.14") && !is_new_enough("5.0.7") && !is_new_enough("unknown"));
    }

    #[test]
    fn a_program_that_is_no_server_is_refused_in_a_sentence() {
        let refused = try_program(Path::new("/no/such/program")).unwrap_err();
        assert!(refused.starts_with("cannot run /no/such/program: "), "{refused}");
    }
}
