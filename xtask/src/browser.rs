//! The tests in a browser: the demo with its dashboard, Debian's chromium in front of it, driven by playwright-core.
//!
//! The promise: what is missing is installed with consent, the browser by the system's package manager and the npm packages
//! below the target folder; and a run that was asked for these tests and cannot run them fails.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo::{cargo, target_folder, workspace};
use crate::failure::Failure;
use crate::headline;
use crate::package_manager::{self, Consent, Package, PackageManager};
use crate::runner::Runner;
use crate::summary::{Summary, SummaryFormat};

/// What a summary says that has none of these tests.
pub(crate) const LEFT_OUT: &str = "left out: the tests in a browser; add --browser";

/// Names of the browser's program, as Debian and others have it.
const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

const CURE: &str = "install chromium, Node.js 20 or newer and npm, or leave --browser away";

/// A browser, and the folder in which the tests run.
#[derive(Debug)]
pub(crate) struct Browser {
    program: PathBuf,
    folder: PathBuf,
}

impl Browser {
    /// Finds or installs what the tests need.
    pub(crate) fn set_up(runner: &mut Runner<'_>, consent: Consent) -> Result<Browser, Failure> {
        headline("browser");
        let program = find_or_install(consent)?;
        for needed in ["node", "npm"] {
            if !package_manager::exists(needed) {
                return Err(Failure::new(format!("no {needed} on the PATH: {CURE}")));
            }
        }
        let folder = target_folder().join("browser");
        copy_tests(&folder)
            .map_err(|err| Failure::new(format!("cannot copy the tests to {}: {err}", folder.display())))?;
        let mut install = Command::new("npm");
        install.args(["install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]);
        // A browser of playwright's own would be fetched from elsewhere, and is not wanted.
        install.env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1").current_dir(&folder);
        match runner.run(&mut install)? {
            true => Ok(Browser { program, folder }),
            false => Err(Failure::new(format!("npm cannot install playwright-core: {CURE}"))),
        }
    }

    /// Runs the tests, one file after the other: each has a demo and a browser of its own.
    pub(crate) fn run(&self, runner: &mut Runner<'_>) -> Result<Summary, Failure> {
        headline("tests in a browser");
        if !runner.run(&mut demo())? {
            eprintln!("the demo does not build; this counts as one failed test");
            return Ok(Summary::one_failed());
        }
        let mut command = Command::new("node");
        command.args(["--test", "--test-concurrency=1", "--test-reporter=tap"]).current_dir(&self.folder);
        command.env("TASKQ_DEMO", target_folder().join("debug/examples/demo")).env("TASKQ_CHROMIUM", &self.program);
        let summary = runner.run_and_count(&mut command, SummaryFormat::Node)?;
        match summary.counts_no_test() {
            true => Ok(summary + Summary::one_failed()),
            false => Ok(summary),
        }
    }
}

/// With the same features as everything else, so that it is built already.
fn demo() -> Command {
    let mut command = cargo();
    command.args(["build", "--workspace", "--all-features", "--example", "demo"]);
    command
}

/// Programs find packages only beside or above themselves, and nothing is installed into the sources.
fn copy_tests(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "mjs") {
            std::fs::remove_file(path)?;
        }
    }
    for entry in std::fs::read_dir(workspace().join("tests/browser"))? {
        let entry = entry?;
        std::fs::copy(entry.path(), folder.join(entry.file_name()))?;
    }
    Ok(())
}

fn find_or_install(consent: Consent) -> Result<PathBuf, Failure> {
    if let Some(found) = find() {
        return Ok(found);
    }
    PackageManager::of_this_system()
        .ok_or_else(|| Failure::new(format!("no chromium, and no known way to install one: {CURE}")))?
        .install(Package::Chromium, consent)
        .map_err(|why| Failure::new(format!("no chromium, and {why}; {CURE}")))?;
    find().ok_or_else(|| Failure::new(format!("the installed package has no chromium: {CURE}")))
}

/// The browser that `TASKQ_CHROMIUM` names, else one from the `PATH`.
fn find() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("TASKQ_CHROMIUM") {
        return Some(named.into());
    }
    let found = PROGRAMS.into_iter().find_map(package_manager::find);
    found.inspect(|program| println!("{}", program.display()))
}
