//! `cargo xtask bench`: taskq beside what the engine allows and beside its peers, from a machine without Redis to a table.
//!
//! The promise: what is compared was measured in one run, on servers of its own, and nothing of it is left running. The work
//! is done by the harness in benches/; this builds it and its drivers, and says where the server program is.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::{Args, ValueEnum};

use crate::cargo::{cargo, workspace};
use crate::failure::Failure;
use crate::package_manager::Consent;
use crate::runner::Runner;
use crate::server;
use crate::test_folder::TestFolder;

/// Where the drivers of the peers lie: crates of their own, so that users never compile a peer.
const PEERS: &str = "benches/peers";

/// Measures taskq beside what the engine allows (the floor), and beside other task queues (the peers).
///
/// Starts its own server (Redis or Valkey: the program that TASKQ_REDIS_SERVER names, else one from the PATH, else one
/// that it installs after asking), makes every measurement several times, every system in turn, audits each run, and prints
/// a table of medians with minimum, maximum and ratio, then what was to be reached. Progress goes to standard error.
///
/// The names of all metrics are shown for --only with a name that does not exist. docs/performance.md says what they mean.
/// Figures of SQLite begin with sqlite_full_ or sqlite_normal_, by `synchronous`; those of an append-only file end in
/// _aof_everysec or _aof_always, those of a server one millisecond away in _1ms.
///
/// The exit code is 1 if a run of taskq or a floor fails or does not stand its audit. A peer's failure is only shown.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    cargo xtask bench --quick                          floors and taskq, under five minutes\n  \
    cargo xtask bench                                  everything, with peers\n  \
    cargo xtask bench --quick --only drain flow        metrics with these texts in their names\n  \
    cargo xtask bench --quick --only =drain            this one, with what it is compared to\n  \
    cargo xtask bench --aof --json figures.jsonl       also with an append-only file; figures for programs\n  \
    cargo xtask bench --engine sqlite --runs 5         only SQLite, each measurement five times")]
pub(crate) struct BenchOptions {
    /// Under five minutes: fewer tasks, no peers, and without the measurements that take long.
    #[arg(long)]
    quick: bool,

    /// Also with an append-only file, synced every second and always.
    #[arg(long)]
    aof: bool,

    /// Only metrics whose name contains one of these; =NAME for exactly that one.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    only: Vec<String>,

    /// How often each measurement is made, at least three times.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(3..=1_000))]
    runs: u64,

    /// Tasks of one run in bulk; SQLite gets a tenth [default: 400000, with --quick 100000].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    tasks: Option<u64>,

    /// Also write one JSON object a line into this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Measure the peers too, which is the default without --quick.
    #[arg(long, conflicts_with = "no_peers")]
    peers: bool,

    /// Leave the peers out.
    #[arg(long)]
    no_peers: bool,

    /// Only on this engine.
    #[arg(long)]
    engine: Option<Engine>,

    /// Install a missing server program without asking.
    #[arg(long)]
    yes: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Engine {
    Redis,
    Sqlite,
}

/// Builds everything and runs the harness.
pub(crate) fn run(options: &BenchOptions) -> Result<ExitCode, Failure> {
    let server = server::find_or_install(Consent::from_flag_or_environment(options.yes))?;
    eprintln!("== {server}");
    // The folder's guard ends what was started, however this ends.
    let mut folder = TestFolder::make()?;
    let ran = run_in(&mut folder, server.program(), options);
    let cleaned = folder.clean_up();
    let code = ran?;
    cleaned?;
    Ok(code)
}

fn run_in(folder: &mut TestFolder, server: &Path, options: &BenchOptions) -> Result<ExitCode, Failure> {
    let mut runner = Runner::new(folder, server);
    eprintln!("== build");
    if !runner.run(&mut build())? {
        return Err(Failure::new("the benchmark does not build"));
    }
    let peers = match options.wants_peers() {
        true => built_peers()?,
        false => Vec::new(),
    };
    eprintln!("== measure");
    match runner.run(&mut harness(options, &peers)?)? {
        true => Ok(ExitCode::SUCCESS),
        false => Ok(ExitCode::FAILURE),
    }
}

impl BenchOptions {
    fn wants_peers(&self) -> bool {
        self.peers || !(self.quick || self.no_peers)
    }
}

/// The harness looks for the drivers beside itself.
fn build() -> Command {
    let mut command = cargo();
    command.args(["build", "--release", "--package", "taskq-benches"]);
    command.args(["--example", "bench", "--example", "bench_floor", "--example", "bench_taskq"]);
    command
}

fn harness(options: &BenchOptions, peers: &[PathBuf]) -> Result<Command, Failure> {
    let mut command = cargo();
    command.args(["run", "--release", "--quiet", "--package", "taskq-benches", "--example", "bench", "--"]);
    for (given, flag) in [(options.quick, "--quick"), (options.aof, "--aof")] {
        command.args(given.then_some(flag));
    }
    command.args(["--runs", &options.runs.to_string()]);
    if let Some(tasks) = options.tasks {
        command.args(["--tasks", &tasks.to_string()]);
    }
    if let Some(file) = &options.json {
        // The harness runs at the top of the workspace, where a relative path would mean something else.
        let file = std::path::absolute(file)
            .map_err(|err| Failure::new(format!("cannot write to {}: {err}", file.display())))?;
        command.arg("--json").arg(file);
    }
    if let Some(engine) = options.engine {
        command.args(["--engine", if matches!(engine, Engine::Redis) { "redis" } else { "sqlite" }]);
    }
    for peer in peers {
        command.arg("--peer").arg(peer);
    }
    for name in &options.only {
        command.args(["--only", name]);
    }
    Ok(command)
}

/// The drivers of those peers that build. One that does not build, offline perhaps, is named and left out.
fn built_peers() -> Result<Vec<PathBuf>, Failure> {
    let folder = workspace().join(PEERS);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(err) => return Err(Failure::new(format!("cannot look for peers in {}: {err}", folder.display()))),
    };
    let mut manifests: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        // What they share is no driver.
        .filter(|peer| peer.join("src/main.rs").is_file())
        .map(|peer| peer.join("Cargo.toml"))
        .collect();
    manifests.sort();
    let mut drivers = Vec::new();
    for manifest in manifests {
        match build_peer(&manifest)? {
            built if built.is_empty() => eprintln!("left out, since it does not build: {}", manifest.display()),
            built => drivers.extend(built),
        }
    }
    Ok(drivers)
}

/// The programs that Cargo built of a manifest; none if it could not.
fn build_peer(manifest: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut command = cargo();
    command.args(["build", "--release", "--manifest-path"]).arg(manifest);
    command.arg("--target-dir").arg(workspace().join("target/peers"));
    command.args(["--message-format", "json-render-diagnostics"]).stdin(Stdio::null()).stderr(Stdio::inherit());
    let told = command.output().map_err(|err| Failure::new(format!("cannot run cargo: {err}")))?;
    match told.status.success() {
        true => Ok(executables(&String::from_utf8_lossy(&told.stdout))),
        false => Ok(Vec::new()),
    }
}

/// The programs that Cargo's messages name: `..,"executable":"/path/of/program",..`.
fn executables(messages: &str) -> Vec<PathBuf> {
    let program = |line: &str| {
        let (_, rest) = line.split_once(r#""executable":""#)?;
        let (path, _) = rest.split_once('"')?;
        Some(PathBuf::from(path))
    };
    let is_program = |line: &&str| line.contains(r#""kind":["bin"]"#);
    messages.lines().filter(is_program).filter_map(program).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct CommandLine {
        #[command(flatten)]
        options: BenchOptions,
    }

    fn parse(arguments: &[&str]) -> Result<BenchOptions, clap::Error> {
        CommandLine::try_parse_from(["bench"].iter().chain(arguments)).map(|line| line.options)
    }

    #[test]
    fn peers_take_part_unless_it_shall_be_quick() {
        let wanted = |arguments: &[&str]| parse(arguments).unwrap().wants_peers();
        assert!(wanted(&[]) && wanted(&["--quick", "--peers"]));
        assert!(!wanted(&["--quick"]) && !wanted(&["--no-peers"]));
    }

    #[test]
    fn wrong_values_are_refused_with_the_right_ones() {
        let refused = |arguments: &[&str]| parse(arguments).unwrap_err().to_string();
        assert!(refused(&["--runs", "2"]).contains("3..=1000"));
        assert!(refused(&["--engine", "mysql"]).contains("redis, sqlite"));
        assert!(refused(&["--qick"]).contains("--quick"));
    }

    #[test]
    fn what_is_wanted_reaches_the_harness() {
        let options = parse(&["--quick", "--only", "drain", "flow", "--json", "/tmp/figures", "--engine", "sqlite"]);
        let command = harness(&options.unwrap(), &[PathBuf::from("/peer")]).unwrap();
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
        let given = arguments.split(|argument| argument == "--").nth(1).unwrap();
        let expected = "--quick --runs 3 --json /tmp/figures --engine sqlite --peer /peer --only drain --only flow";
        assert_eq!(given.join(" "), expected);
    }

    #[test]
    fn programs_are_read_from_what_cargo_tells() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"kind":["lib"]},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"kind":["bin"]},"executable":"/t/release/peer-x","fresh":true}"#,
            "\n",
        );
        assert_eq!(executables(messages), [PathBuf::from("/t/release/peer-x")]);
    }
}
