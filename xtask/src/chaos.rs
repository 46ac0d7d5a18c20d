//! `cargo xtask chaos`: real processes under real faults, from a machine without Redis to a verdict.
//!
//! The promise: the faults hit only what it started itself, and nothing of that is left running. The work is done by the
//! conductor in tests/crash/; this builds it and says where the server program is.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode};

use clap::Args;

use crate::cargo::cargo;
use crate::failure::Failure;
use crate::package_manager::Consent;
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

/// Builds the conductor and runs it.
pub(crate) fn run(options: &ChaosOptions) -> Result<ExitCode, Failure> {
    let server = server::find_or_install(Consent::from_flag_or_environment(false))?;
    // The folder's guard ends what was started, however this ends.
    let mut folder = TestFolder::make()?;
    let ran = run_in(&mut folder, server.program(), options);
    let cleaned = folder.clean_up();
    let code = ran?;
    cleaned?;
    Ok(code)
}

fn run_in(folder: &mut TestFolder, server: &Path, options: &ChaosOptions) -> Result<ExitCode, Failure> {
    let mut runner = Runner::new(folder, server);
    match runner.run(&mut conductor(&options.arguments))? {
        true => Ok(ExitCode::SUCCESS),
        false => Ok(ExitCode::FAILURE),
    }
}

fn conductor(arguments: &[OsString]) -> Command {
    let mut command = cargo();
    command.args(["run", "--release", "--quiet", "--package", "taskq-crash-tests", "--bin", "chaos", "--"]);
    command.args(arguments);
    command
}
