//! The tests of `deploy/prometheus` and `deploy/grafana` with Prometheus itself.
//!
//! The promise: the programs are found or, with consent, fetched; no service is installed for that, and a run that was asked for
//! these tests and cannot run them fails.

use std::path::{Path, PathBuf};

use crate::cargo::{cargo, own_target_folder};
use crate::failure::Failure;
use crate::headline;
use crate::package_manager::{self, Consent, Package, PackageManager};
use crate::runner::Runner;
use crate::summary::{Summary, SummaryFormat};

/// What a summary says that has none of these tests.
pub(crate) const LEFT_OUT: &str = "left out: the tests with Prometheus; add --prometheus";

const PROGRAM_VARIABLE: &str = "TASKQ_PROMETHEUS";

const CURE: &str =
    "install Prometheus with its promtool, or set TASKQ_PROMETHEUS=/path/to/prometheus, or leave --prometheus away";

/// A server of Prometheus, with `promtool` beside it.
#[derive(Debug)]
pub(crate) struct Prometheus {
    program: PathBuf,
}

impl Prometheus {
    /// Finds or fetches the programs.
    pub(crate) fn set_up(consent: Consent) -> Result<Prometheus, Failure> {
        headline("prometheus");
        let program = find_or_fetch(consent)?;
        if !program.with_file_name("promtool").is_file() {
            return Err(Failure::new(format!("no promtool beside {}: {CURE}", program.display())));
        }
        println!("{}", program.display());
        Ok(Prometheus { program })
    }

    /// Runs the tests.
    pub(crate) fn run(&self, runner: &mut Runner<'_>) -> Result<Summary, Failure> {
        headline("tests with prometheus");
        let mut command = cargo();
        // With the same features as everything else, so that most is built already.
        command.args(["test", "--workspace", "--all-features", "--test", "prometheus"]);
        let summary = runner.run_and_count(command.env(PROGRAM_VARIABLE, &self.program), SummaryFormat::Libtest)?;
        match summary.counts_no_test() {
            true => Ok(summary + Summary::one_failed()),
            false => Ok(summary),
        }
    }
}

/// The program that the variable names, else one from the `PATH`, else one that was or is now fetched.
fn find_or_fetch(consent: Consent) -> Result<PathBuf, Failure> {
    if let Some(named) = std::env::var_os(PROGRAM_VARIABLE) {
        return Ok(std::path::absolute(&named).unwrap_or(named.into()));
    }
    let folder = own_target_folder().join("prometheus");
    if let Some(found) = package_manager::find("prometheus").or_else(|| unpacked(&folder)) {
        return Ok(found);
    }
    // Debian's package would start a service, so it is unpacked and not installed.
    PackageManager::of_this_system()
        .ok_or_else(|| Failure::new(format!("no Prometheus, and no known way to get one: {CURE}")))?
        .unpack(Package::Prometheus, consent, &folder)
        .map_err(|why| Failure::new(format!("no Prometheus, and {why}; {CURE}")))?;
    unpacked(&folder).ok_or_else(|| Failure::new(format!("the package has no Prometheus: {CURE}")))
}

fn unpacked(folder: &Path) -> Option<PathBuf> {
    Some(folder.join("usr/bin/prometheus")).filter(|program| program.is_file())
}
