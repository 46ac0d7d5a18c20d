//! `cargo xtask chaos`: real processes under real faults, from a machine without Redis to a verdict.
//!
//! The promise: the faults hit only what it started itself, and nothing of that is left running. The work is done by the
//! conductor in tests/crash/; this builds it and says where the server program is.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Args;

use crate::cargo::cargo;
use crate::failure::Failure;
use crate::package_manager::{Consent, Package, PackageManager};
use crate::runner::Runner;
use crate::server;
use crate::test_folder::TestFolder;

/// Plays faults on real producers, workers and servers, and checks that nothing is lost or done by a ghost.
///
/// Builds the conductor and hands it every argument: `cargo xtask chaos --help` is its help. It needs a Redis or Valkey
/// server program like `cargo xtask test`, and installs one after asking, or at once if CI=1.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct ChaosOptions {
    /// Arguments of the conductor.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// By which the conductor is told of the library that shows processes another time.
const FAKETIME: &str = "TASKQ_FAKETIME";

/// Where packages put it, with the machine's own name for its processor between.
const FAKETIME_FILE: &str = "faketime/libfaketime.so.1";

/// Builds the conductor and runs it.
pub(crate) fn run(options: &ChaosOptions) -> Result<ExitCode, Failure> {
    let consent = Consent::from_flag_or_environment(false);
    let server = server::find_or_install(consent)?;
    let faketime = match options.plays_clocks() {
        true => find_or_install_faketime(consent)?,
        false => None,
    };
    // The folder's guard ends what was started, however this ends.
    let mut folder = TestFolder::make()?;
    let ran = run_in(&mut folder, server.program(), faketime.as_deref(), options);
    let cleaned = folder.clean_up();
    let code = ran?;
    cleaned?;
    Ok(code)
}

fn run_in(
    folder: &mut TestFolder,
    server: &Path,
    faketime: Option<&Path>,
    options: &ChaosOptions,
) -> Result<ExitCode, Failure> {
    let mut runner = Runner::new(folder, server);
    let mut conductor = conductor(&options.arguments);
    if let Some(library) = faketime {
        conductor.env(FAKETIME, library);
    }
    match runner.run(&mut conductor)? {
        true => Ok(ExitCode::SUCCESS),
        false => Ok(ExitCode::FAILURE),
    }
}

impl ChaosOptions {
    /// Whether the library is needed: it was asked for, or everything is.
    fn plays_clocks(&self) -> bool {
        let mut words = self.arguments.iter().filter_map(|argument| argument.to_str());
        let names_none = !words.clone().take_while(|word| !word.starts_with('-')).any(|_| true);
        let asks_for_help = words.clone().any(|word| word == "--help" || word == "-h");
        !asks_for_help && (names_none || words.any(|word| word == "clocks"))
    }
}

/// The library that the variable names, else one of this system, else one installed now.
fn find_or_install_faketime(consent: Consent) -> Result<Option<PathBuf>, Failure> {
    if let Some(named) = std::env::var_os(FAKETIME) {
        return Ok(Some(PathBuf::from(named)));
    }
    if let Some(found) = find_faketime() {
        return Ok(Some(found));
    }
    let Some(manager) = PackageManager::of_this_system() else { return Ok(None) };
    // Without it the conductor says what is missing, if it comes to that.
    manager.install(Package::Faketime, consent).map_err(|why| Failure::new(format!("no libfaketime, and {why}")))?;
    Ok(find_faketime())
}

fn find_faketime() -> Option<PathBuf> {
    let of_processors =
        std::fs::read_dir("/usr/lib").into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    of_processors
        .chain(["/usr/lib".into(), "/usr/local/lib".into()])
        .map(|folder| folder.join(FAKETIME_FILE))
        .find(|file| file.is_file())
}

fn conductor(arguments: &[OsString]) -> Command {
    let mut command = cargo();
    command.args(["run", "--release", "--quiet", "--package", "taskq-crash-tests", "--bin", "chaos", "--"]);
    command.args(arguments);
    command
}
