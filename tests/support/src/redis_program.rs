//! Which program is the Redis server on this machine. A missing one is a panic that names the
//! cure, never a skipped test.

use std::path::{Path, PathBuf};

/// The variable that names the server program.
const PROGRAM_VARIABLE: &str = "TASKQ_REDIS_SERVER";

/// The names of the server program, the best first. Debian's packages of tools hold it only under
/// the name of a tool: it is the same program, told by its name what to do.
const PROGRAM_NAMES: [&str; 4] = ["redis-server", "valkey-server", "redis-check-rdb", "valkey-check-rdb"];

const CURE: &str = "run cargo xtask test, or set TASKQ_REDIS_SERVER=/path/to/redis-server";

/// The Redis or Valkey server program: `TASKQ_REDIS_SERVER` if that is set, else from the `PATH`.
///
/// # Panics
///
/// When there is none.
#[must_use]
pub fn redis_program() -> PathBuf {
    match std::env::var_os(PROGRAM_VARIABLE) {
        Some(named) => named_program(PathBuf::from(named)),
        None => match PROGRAM_NAMES.iter().find_map(|name| find_in_path(name)) {
            Some(program) => program,
            None => panic!("no redis-server on this machine: {CURE}"),
        },
    }
}

fn named_program(program: PathBuf) -> PathBuf {
    // A server is started in a folder of its own, where a relative path would mean something else.
    let program = std::path::absolute(&program).unwrap_or(program);
    let shown = program.display();
    assert!(program.is_file(), "{PROGRAM_VARIABLE} names {shown}, which is no file: {CURE}");
    program
}

fn find_in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| Path::is_file(file))
}
