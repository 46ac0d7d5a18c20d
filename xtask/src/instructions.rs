//! The gate on instruction counts: taskq's hot parts run under callgrind, each against its limit, which a busy machine does
//! not blur. `benches/instructions` has the parts and the limits.
//!
//! The promise: a part that grew over its limit fails the run, with its name and by how much. A count that cannot be made
//! is an error too, except on a system that the limits are not for.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo::{cargo, target_folder, workspace};
use crate::failure::Failure;
use crate::headline;
use crate::package_manager::{self, Consent, Package, PackageManager};
use crate::runner::Runner;
use crate::summary::{Summary, SummaryFormat, without_colours};

/// The name that a filter is compared with.
const NAME: &str = "instructions";

/// Where the parts and the limits are.
const TABLE: &str = "benches/instructions/benches/hot_parts.rs";

/// Another processor has other instructions, and another C library other ones for copying and allocating.
const HAS_LIMITS: bool = cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"));

const CURE: &str = "install valgrind, or name a filter, with which nothing is counted";

/// The gate, with all it needs on this machine.
#[derive(Debug)]
pub(crate) struct Gate {
    /// gungraun's runner, which starts valgrind and reads what it counted.
    counter: PathBuf,
}

impl Gate {
    /// Whether instructions are counted in a run with this filter.
    pub(crate) fn is_wanted(filter: Option<&str>) -> bool {
        filter.is_none_or(|filter| NAME.contains(filter))
    }

    /// Finds or installs what the gate needs; `None` on a system that the limits are not for.
    pub(crate) fn set_up(runner: &mut Runner<'_>, consent: Consent) -> Result<Option<Gate>, Failure> {
        headline("valgrind");
        if !HAS_LIMITS {
            println!("instructions are not counted: their limits are for x86-64 Linux with glibc");
            return Ok(None);
        }
        println!("{}", find_or_install_valgrind(consent)?);
        Ok(Some(Gate { counter: find_or_install_counter(runner)? }))
    }

    /// Counts, and says what is over its limit.
    pub(crate) fn run(&self, runner: &mut Runner<'_>) -> Result<Summary, Failure> {
        headline("instruction counts");
        let (succeeded, lines) = runner.run_and_read(&mut self.command(), |line| Some(without_colours(line)))?;
        let summaries = lines.iter().filter_map(|line| SummaryFormat::Gungraun.read(line));
        let summary = summaries.fold(Summary::default(), |sum, summary| sum + summary);
        // Nothing counted is not the same as nothing wrong.
        if summary.counts_no_test() || !(succeeded || summary.has_failed()) {
            eprintln!("instruction counts: they could not be made; this counts as one failed test");
            return Ok(summary + Summary::one_failed());
        }
        match summary.has_failed() {
            true => eprintln!("{}", excesses(&lines)),
            false => println!("instruction counts: {} within their limits", summary.passed()),
        }
        Ok(summary)
    }

    fn command(&self) -> Command {
        let mut command = cargo();
        command.args(["bench", "--package", "taskq-instructions", "--bench", "hot_parts"]);
        // Read when the benchmark is compiled; Cargo notices if it changes.
        command.env("GUNGRAUN_RUNNER", &self.counter);
        command
    }
}

/// How valgrind names itself: `valgrind-3.19.0`.
fn find_or_install_valgrind(consent: Consent) -> Result<String, Failure> {
    if !package_manager::exists("valgrind") {
        PackageManager::of_this_system()
            .ok_or_else(|| Failure::new(format!("no valgrind, and no known way to install one: {CURE}")))?
            .install(Package::Valgrind, consent)
            .map_err(|why| Failure::new(format!("no valgrind, and {why}; {CURE}")))?;
    }
    version_of(Path::new("valgrind")).ok_or_else(|| Failure::new(format!("valgrind does not run: {CURE}")))
}

/// gungraun's runner in the library's very version, installed below the target folder and nowhere else.
fn find_or_install_counter(runner: &mut Runner<'_>) -> Result<PathBuf, Failure> {
    let lock = workspace().join("Cargo.lock");
    let lock =
        std::fs::read_to_string(&lock).map_err(|err| Failure::new(format!("cannot read {}: {err}", lock.display())))?;
    let version = locked_version(&lock).ok_or_else(|| Failure::new("Cargo.lock has no gungraun"))?;
    let folder = target_folder().join("tools");
    let counter = folder.join("bin/gungraun-runner");
    let wanted = format!("gungraun-runner {version}");
    if version_of(&counter).as_ref() == Some(&wanted) {
        return Ok(counter);
    }
    println!("installing {wanted} into {}", folder.display());
    match runner.run(&mut installation(version, &folder))? {
        true => Ok(counter),
        false => Err(Failure::new(format!("{wanted} cannot be installed, which counts instructions: {CURE}"))),
    }
}

fn installation(version: &str, folder: &Path) -> Command {
    let mut command = cargo();
    command.args(["install", "--quiet", "--locked", "--force", "gungraun-runner", "--version", &format!("={version}")]);
    command.arg("--root").arg(folder);
    // It starts seven programs, so what counts is how soon it is compiled.
    command.arg("--debug").env("CARGO_PROFILE_DEV_DEBUG", "0");
    command
}

/// The version of the library gungraun in a lock file.
fn locked_version(lock: &str) -> Option<&str> {
    let (_, rest) = lock.split_once("name = \"gungraun\"\nversion = \"")?;
    rest.split_once('"').map(|(version, _)| version)
}

/// The first line that a program says about its version.
fn version_of(program: &Path) -> Option<String> {
    let told = Command::new(program).arg("--version").output().ok()?;
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    told.lines().next().map(str::to_owned)
}

/// A part that took more than it may.
#[derive(Debug, PartialEq)]
struct Excess<'a> {
    part: &'a str,
    count: u64,
    limit: u64,
}

impl<'a> Excess<'a> {
    /// From the name of a part, `  hot_parts::harness::parts::dispatch small_task:`, and the line after it, `    Callgrind:
    /// Instructions (2600): 2600 exceeds limit of 2523 by 77`.
    fn read(name: &'a str, excess: &str) -> Option<Excess<'a>> {
        let (_, excess) = excess.trim().strip_prefix("Callgrind: Instructions (")?.split_once("): ")?;
        let (count, rest) = excess.split_once(" exceeds limit of ")?;
        let (limit, _) = rest.split_once(" by ")?;
        let path = name.split_whitespace().next()?.trim_end_matches(':');
        let part = path.rsplit("::").next()?;
        Some(Excess { part, count: count.parse().ok()?, limit: limit.parse().ok()? })
    }
}

impl fmt::Display for Excess<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Excess { part, count, limit } = *self;
        // In tenths of a per cent, without floating point.
        let tenths = u128::from(count.saturating_sub(limit)) * 1_000 / u128::from(limit.max(1));
        write!(
            formatter,
            "{part} takes {count} instructions, {}.{} % over its limit of {limit}",
            tenths / 10,
            tenths % 10
        )
    }
}

/// What to tell the person: which parts grew and by how much, and under which compiler the limits were made.
fn excesses(lines: &[String]) -> String {
    let excesses = lines.windows(2).filter_map(|pair| Excess::read(&pair[0], &pair[1]));
    let mut told = String::from("instruction counts grew over their limits:\n");
    for excess in excesses {
        told += &format!("    {excess}\n");
    }
    let measured_with = lines.iter().find_map(|line| line.trim().strip_prefix("the limits were measured with "));
    told + &compilers(measured_with.unwrap_or("an unknown compiler"), &compiler())
}

/// Whose fault it may be.
fn compilers(then: &str, now: &str) -> String {
    let renew = format!("if that is worth its price, renew the limits as {TABLE} says");
    match then == now {
        true => format!("The limits were made with {then}, as in this run, so the code grew: {renew}."),
        false => format!("The limits were made with {then} and this is {now}, which may be the only reason: {renew}."),
    }
}

/// The compiler of this run: `rustc 1.95.0`.
fn compiler() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let told = version_of(Path::new(&rustc)).unwrap_or_default();
    told.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "\
Regressions:

  hot_parts::harness::parts::dispatch small_task:
    Callgrind: Instructions (2804): 2804 exceeds limit of 2523 by 281
  hot_parts::harness::parts::settle_tracked:
    Callgrind: Instructions (10): 10 exceeds limit of 9 by 1

Gungraun result: Regressed. 5 without regressions; 2 regressed; 0 filtered; 7 benchmarks finished in 3.02074s
the limits were measured with rustc 1.2.3";

    #[test]
    fn what_grew_is_told_with_its_name_its_share_and_the_compilers() {
        let lines: Vec<_> = PRINTED.lines().map(str::to_owned).collect();
        let told = excesses(&lines);
        assert!(told.contains("    dispatch takes 2804 instructions, 11.1 % over its limit of 2523\n"), "{told}");
        assert!(told.contains("    settle_tracked takes 10 instructions, 11.1 % over its limit of 9\n"), "{told}");
        assert!(told.contains("made with rustc 1.2.3 and this is rustc 1."), "{told}");
    }

    #[test]
    fn the_same_compiler_is_not_blamed() {
        assert!(compilers("rustc 1.95.0", "rustc 1.95.0").contains("so the code grew"));
        assert!(compilers("rustc 1.95.0", "rustc 1.96.0").contains("may be the only reason"));
    }

    #[test]
    fn a_filter_leaves_the_counts_out_unless_it_means_them() {
        assert!(Gate::is_wanted(None) && Gate::is_wanted(Some("instruction")));
        assert!(!Gate::is_wanted(Some("retry")));
    }

    #[test]
    fn the_counter_has_the_version_of_the_locked_library() {
        let lock = "[[package]]\nname = \"gungraun-common\"\nversion = \"0.1.0\"\n\n\
            [[package]]\nname = \"gungraun\"\nversion = \"0.20.0\"\nsource = \"registry\"\n";
        assert_eq!(locked_version(lock), Some("0.20.0"));
    }
}
