//! The server's own benchmark program, for reference: it says how this machine compares with others.

use std::process::Command;

use bench_driver::{Job, Outcome, Report};
use redis::{ConnectionAddr, IntoConnectionInfo};

/// The program's names, the best first.
const PROGRAMS: [&str; 2] = ["redis-benchmark", "valkey-benchmark"];

/// Commands for each with one command a round trip, of which it makes ten to twenty thousand a second.
const LONE_COMMANDS: u64 = 20_000;

/// Commands a second by 50 connections: one a round trip, and a hundred.
pub(crate) fn measure(job: &Job) -> Outcome<Report> {
    let Some(program) = PROGRAMS.into_iter().find(|program| runs(program)) else {
        return Ok(Report::skipped("there is no redis-benchmark in the PATH"));
    };
    let port = port(&job.url)?;
    let mut report = Report::default();
    for (pipelined, commands, suffix) in [(1, LONE_COMMANDS, ""), (100, job.tasks, "_p100")] {
        let told = run(program, port, pipelined, commands)?;
        for (test, name) in [("PING_INLINE", "ping"), ("LPUSH", "lpush")] {
            let rate = read_rate(&told, test).ok_or_else(|| format!("{program} says nothing of {test}: {told}"))?;
            report = report.value(&format!("redis_benchmark_{name}{suffix}"), "/s", rate);
        }
    }
    Ok(report)
}

fn runs(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|told| told.status.success())
}

fn port(url: &str) -> Outcome<u16> {
    match url.into_connection_info()?.addr() {
        ConnectionAddr::Tcp(_, port) => Ok(*port),
        other => Err(format!("redis-benchmark needs a TCP port, not {other}").into()),
    }
}

fn run(program: &str, port: u16, pipelined: u64, commands: u64) -> Outcome<String> {
    let (port, pipelined, commands) = (port.to_string(), pipelined.to_string(), commands.to_string());
    let mut command = Command::new(program);
    command.args(["-p", &port, "-t", "ping_inline,lpush", "-d", "80", "--csv", "-n", &commands, "-P", &pipelined]);
    Ok(String::from_utf8(command.output()?.stdout)?)
}

/// The rate in a line such as `"LPUSH","17543.86","2.8"`.
fn read_rate(told: &str, test: &str) -> Option<f64> {
    let line = told.lines().find(|line| line.starts_with(&format!("\"{test}")))?;
    line.split(',').nth(1)?.trim_matches('"').parse().ok()
}
