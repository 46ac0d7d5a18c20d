//! The programs of Prometheus, and whether they find our files in order.

use std::{path::PathBuf, process::Command};

use taskq_test_support::ProgramRun;

use crate::repository::path;

/// Names the server's program; `promtool` lies beside it.
const VARIABLE: &str = "TASKQ_PROMETHEUS";

/// The server's program.
pub(crate) fn prometheus() -> PathBuf {
    let named = std::env::var_os(VARIABLE).unwrap_or_else(|| panic!("set {VARIABLE}, or let cargo xtask test do it"));
    named.into()
}

/// The tool that checks files.
pub(crate) fn promtool() -> Command {
    Command::new(prometheus().with_file_name("promtool"))
}

#[test]
fn its_own_tool_finds_the_files_in_order() {
    let rules = ProgramRun::of(promtool().args(["check", "rules"]).arg(path("deploy/prometheus/alerts.yml")));
    assert!(rules.succeeded().contains("rules found"));
    let config = path("deploy/prometheus/prometheus.yml");
    drop(ProgramRun::of(promtool().args(["check", "config", "--lint-fatal"]).arg(config)).succeeded());
}
