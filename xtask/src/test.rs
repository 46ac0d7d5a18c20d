//! `cargo xtask test`: the whole test run, from a machine without Redis to one summary line.
//!
//! The promise: green means that every test ran and passed. A missing server is an error with its
//! cure, a runner that ends badly without naming a test counts as one failed test, and nothing is
//! left running or lying about, however the run ends.

use std::path::Path;
use std::process::{Command, ExitCode};

use clap::Args;

use crate::browser::{self, Browser};
use crate::cargo::{cargo, has_cargo_command};
use crate::failure::Failure;
use crate::headline;
use crate::instructions::Gate;
use crate::package_manager::Consent;
use crate::prometheus::{self, Prometheus};
use crate::runner::Runner;
use crate::server;
use crate::summary::{Summary, SummaryFormat};
use crate::test_folder::TestFolder;

/// Runs all tests, against real servers on free ports.
///
/// The run needs a Redis or Valkey server program and starts its own servers from it. It takes
/// the one that TASKQ_REDIS_SERVER names, else redis-server or valkey-server from the PATH, else
/// it installs one through the system's package manager. It asks before it installs, and leaves no
/// service running.
///
/// Unit, conformance, UI, example and crash tests run through cargo-nextest where that is
/// installed, else through cargo test; then the tests in the documentation. At last, on x86-64
/// Linux, the instructions of the hottest parts are counted by valgrind, which is installed like the
/// server, and each count above its limit is one failed test. All children and temporary files are
/// gone at the end, also after ctrl-c.
///
/// With --browser the dashboard is tested in a chromium too, which is installed like the server; the npm packages for that go
/// below target/. With --prometheus what deploy/ has for Prometheus and Grafana is tested with Prometheus itself, which on Debian is
/// unpacked below target/ and not installed. The last line counts the tests: "N passed, N failed, N skipped".
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    cargo xtask test                    everything\n  \
    cargo xtask test retry              the tests with \"retry\" in their names\n  \
    cargo xtask test instructions       the instruction counts, after the few tests with this name\n  \
    cargo xtask test --browser          everything, and the dashboard in a browser\n  \
    cargo xtask test --prometheus       everything, and deploy/prometheus with Prometheus\n  \
    cargo xtask test --yes              installs a server without asking, as does CI=1\n  \
    TASKQ_REDIS_SERVER=/opt/valkey/bin/valkey-server cargo xtask test")]
pub(crate) struct TestOptions {
    /// Install a missing server program without asking.
    #[arg(long)]
    yes: bool,

    /// Test the dashboard in a browser too.
    #[arg(long)]
    browser: bool,

    /// Test the alerts and what the dashboard for Grafana asks with Prometheus too.
    #[arg(long)]
    prometheus: bool,

    /// Run only the tests with this text in their names.
    filter: Option<String>,
}

/// Runs the tests and prints their summary as the last line.
pub(crate) fn run(options: &TestOptions) -> Result<ExitCode, Failure> {
    headline("redis server");
    let consent = Consent::from_flag_or_environment(options.yes);
    let server = server::find_or_install(consent)?;
    println!("{server}");

    let mut folder = TestFolder::make()?;
    let ran = run_in(&mut folder, server.program(), consent, options);
    // The folder is cleaned up before the result is looked at, so that no error can prevent it.
    let cleaned = folder.clean_up();
    let summary = ran?;
    cleaned?;
    if summary.counts_no_test() {
        eprintln!("no test ran: no test has the filter's text in its name");
    }
    if !options.browser {
        println!("{}", browser::LEFT_OUT);
    }
    if !options.prometheus {
        println!("{}", prometheus::LEFT_OUT);
    }
    println!("{summary}");
    Ok(summary.exit_code())
}

fn run_in(folder: &mut TestFolder, server: &Path, consent: Consent, options: &TestOptions) -> Result<Summary, Failure> {
    let filter = options.filter.as_deref();
    let mut runner = Runner::new(folder, server);
    let gate = match Gate::is_wanted(filter) {
        true => Gate::set_up(&mut runner, consent)?,
        false => None,
    };
    let prometheus = match options.prometheus {
        true => Some(Prometheus::set_up(consent)?),
        false => None,
    };
    let browser = match options.browser {
        true => Some(Browser::set_up(&mut runner, consent)?),
        false => None,
    };

    headline("build");
    if !runner.run(&mut build())? {
        eprintln!("the workspace does not build; this counts as one failed test");
        return Ok(Summary::one_failed());
    }

    headline("tests");
    let tests = match has_cargo_command("nextest") {
        true => runner.run_and_count(&mut tests_by_nextest(filter), SummaryFormat::Nextest)?,
        false => runner.run_and_count(&mut tests_by_cargo(filter), SummaryFormat::Libtest)?,
    };

    headline("documentation tests");
    let documentation = runner.run_and_count(&mut tests_in_documentation(filter), SummaryFormat::Libtest)?;

    let counts = match gate {
        Some(gate) => gate.run(&mut runner)?,
        None => Summary::default(),
    };
    let browsed = match browser {
        Some(browser) => browser.run(&mut runner)?,
        None => Summary::default(),
    };
    let scraped = match prometheus {
        Some(prometheus) => prometheus.run(&mut runner)?,
        None => Summary::default(),
    };
    Ok(tests + documentation + counts + browsed + scraped)
}

/// What tests spawn must be there before they run: Cargo builds no examples for them.
fn build() -> Command {
    let mut command = cargo();
    command.args(["build", "--workspace", "--all-features", "--examples", "--bins"]);
    command
}

fn tests_by_nextest(filter: Option<&str>) -> Command {
    let mut command = cargo();
    command.args(["nextest", "run", "--workspace", "--all-features", "--no-fail-fast"]);
    // A filter may match only documentation tests; the summary complains if it matches nothing.
    command.arg("--no-tests=pass").args(filter);
    command
}

/// `--tests` is every target with tests; `--all-targets` would also run the benchmarks.
fn tests_by_cargo(filter: Option<&str>) -> Command {
    let mut command = cargo();
    command.args(["test", "--workspace", "--all-features", "--no-fail-fast", "--tests"]);
    command.args(filter);
    command
}

fn tests_in_documentation(filter: Option<&str>) -> Command {
    let mut command = cargo();
    command.args(["test", "--doc", "--workspace", "--all-features", "--no-fail-fast"]);
    // The examples of `#[task]` need the facade, which runs them; in their own crate they cannot compile.
    command.args(["--exclude", "taskq-macros"]);
    command.args(filter);
    command
}
