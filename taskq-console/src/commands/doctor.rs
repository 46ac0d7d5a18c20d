//! `doctor`: what is wrong with the broker, the clocks and the versions in use, each with its cure.

use serde_json::json;
use taskq_core::{
    BoxError, Connection,
    inspect::{Finding, Verdict},
};

use super::{
    Done, Format,
    output::{Field, Mark, say, say_table},
    workers::clock_error,
};
use crate::{
    roll::{self, Listed},
    words::{counted, length},
};

/// A clock that is so wrong makes people read times wrongly; no promise hangs on it.
const CLOCK_ERROR: f64 = 2.0;

/// Prints what was found; 1 if something is bad.
pub(super) async fn run(connection: &Connection, format: Format) -> Result<Done, BoxError> {
    let mut findings = connection.inspect().examine().await?;
    findings.push(own_clock(connection).await?);
    let roll = roll::call(connection).await?;
    findings.push(versions(&roll));
    findings.extend(wrong_clocks(&roll));
    findings.extend(not_ready(&roll));
    findings.push(leader(connection, &roll).await?);
    match format.json {
        true => findings.iter().for_each(|finding| say(as_json(finding))),
        false => say_table(["", "WHAT", "FOUND", "WHAT TO DO"], findings.iter().map(cells)),
    }
    Ok(Done::if_so(!findings.iter().any(|finding| finding.verdict == Verdict::Bad)))
}

fn as_json(finding: &Finding) -> serde_json::Value {
    json!({"what": finding.what, "found": finding.found, "verdict": verdict(finding), "cure": finding.cure})
}

fn verdict(finding: &Finding) -> &'static str {
    match finding.verdict {
        Verdict::Good => "good",
        Verdict::Notable => "notable",
        Verdict::Bad => "bad",
    }
}

fn cells(finding: &Finding) -> [Field; 4] {
    let mark = match finding.verdict {
        Verdict::Good => Mark::Good,
        Verdict::Notable => Mark::Notable,
        Verdict::Bad => Mark::Bad,
    };
    [
        Field::Marked(verdict(finding).to_owned(), mark),
        Field::text(&finding.what),
        Field::text(&finding.found),
        Field::text(finding.cure.as_deref().unwrap_or_default()),
    ]
}

async fn own_clock(connection: &Connection) -> Result<Finding, BoxError> {
    let before = connection.clock().now().as_millis();
    let broker = connection.broker().now().await?.as_millis();
    let after = connection.clock().now().as_millis();
    let error = (before + (after - before) / 2 - broker) as f64 / 1_000.0;
    let finding = Finding::good("this machine's clock", format!("{error:+.3} s beside the broker's"));
    Ok(match error.abs() >= CLOCK_ERROR {
        true => finding.notable("set it by NTP: times that people read here are off by that"),
        false => finding,
    })
}

/// Which versions work here.
fn versions(roll: &[Listed]) -> Finding {
    let mut versions: Vec<&str> =
        roll.iter().filter_map(|listed| Some(listed.report.as_ref()?.version.as_str())).collect();
    versions.sort_unstable();
    versions.dedup();
    match versions[..] {
        [] => Finding::good("versions in use", "no worker and no scheduler reports".to_owned()),
        [version] => {
            Finding::good("versions in use", format!("taskq {version}, {}", counted(roll.len() as u64, "process")))
        }
        _ => Finding::good("versions in use", versions.join(", "))
            .notable("finish the upgrade: two versions side by side are meant for a while"),
    }
}

fn wrong_clocks(roll: &[Listed]) -> Vec<Finding> {
    let wrong = |listed: &Listed| {
        let report = listed.report.as_ref()?;
        let error = clock_error(listed, report);
        let found = format!("{error:+.1} s beside the broker's");
        let what = format!("clock of {} (process {})", report.host, report.pid);
        (error.abs() >= CLOCK_ERROR).then(|| Finding::good(what, found).notable("set it by NTP"))
    };
    roll.iter().filter_map(wrong).collect()
}

fn not_ready(roll: &[Listed]) -> Vec<Finding> {
    let trouble = |listed: &Listed| {
        let report = listed.report.as_ref()?;
        let why = report.not_ready.clone().filter(|_| !report.draining)?;
        Some(Finding::good(format!("process {} on {}", report.pid, report.host), why).bad("look into its log"))
    };
    roll.iter().filter_map(trouble).collect()
}

/// Whether somebody leads where something is scheduled.
async fn leader(connection: &Connection, roll: &[Listed]) -> Result<Finding, BoxError> {
    let has_entries = !connection.schedules().marks().await?.is_empty();
    Ok(match connection.leader().incumbent().await? {
        Some(leader) => {
            let name = roll.iter().find(|listed| listed.member.id == leader.candidate.into());
            let name = name.and_then(|listed| listed.report.as_ref());
            let by = name.map_or_else(
                || leader.candidate.to_string(),
                |report| format!("process {} on {}", report.pid, report.host),
            );
            Finding::good("leader of the schedulers", format!("{by}, for {} more", length(leader.ends_in)))
        }
        None if has_entries => {
            Finding::good("leader of the schedulers", "nobody leads, and there are entries".to_owned())
                .bad("start a scheduler: nothing is enqueued by schedule")
        }
        None => Finding::good("leader of the schedulers", "nobody leads; nothing is scheduled".to_owned()),
    })
}
