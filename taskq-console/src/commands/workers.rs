//! `workers`: the processes of the fleet, what each does, and the wish that one drains.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use taskq_core::{BoxError, Connection, Report, Request, Timestamp, fleet::MemberKind, limits};

use super::{
    Done, Format,
    output::{Field, Mark, note, say, say_facts, say_table},
    time::for_machines,
};
use crate::{
    roll::{self, Listed},
    words::{length, number, relative},
};

#[derive(Args, Debug)]
pub struct WorkersArgs {
    #[command(subcommand)]
    command: Option<WorkersCommand>,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Subcommand)]
enum WorkersCommand {
    /// Shows what one does: its queues, its tasks, what it runs and for how long
    Show {
        /// Its id, or the end of it
        id: String,
        #[command(flatten)]
        format: Format,
    },
    /// Asks one to claim no more, finish what runs, and end; it hears that with its next report
    Drain {
        /// Its id, or the end of it
        id: String,
    },
}

pub(super) async fn run(connection: &Connection, args: WorkersArgs) -> Result<Done, BoxError> {
    let (roll, now) = (roll::call(connection).await?, connection.broker().now().await?);
    match args.command {
        None => {
            match args.format.json {
                true => roll.iter().for_each(|listed| say(as_json(listed, now))),
                false => print(&roll, now),
            }
            Ok(Done::Well)
        }
        Some(WorkersCommand::Show { id, format }) => {
            let listed = one(&roll, &id)?;
            match format.json {
                true => say(as_json(listed, now)),
                false => show(listed, now),
            }
            Ok(Done::Well)
        }
        Some(WorkersCommand::Drain { id }) => {
            let listed = one(&roll, &id)?;
            let asked = connection.fleet().ask(listed.member.id, Request::Drain).await?;
            match asked {
                true => say(format_args!(
                    "{} is asked to drain; it hears that within {}",
                    listed.member.id,
                    length(limits::REPORT_IDLE)
                )),
                false => note("it has gone meanwhile"),
            }
            Ok(Done::if_so(asked))
        }
    }
}

/// The member whose id ends so.
fn one<'a>(roll: &'a [Listed], id: &str) -> Result<&'a Listed, BoxError> {
    let mut meant = roll.iter().filter(|listed| !id.is_empty() && listed.member.id.to_string().ends_with(id));
    match (meant.next(), meant.next()) {
        (Some(listed), None) => Ok(listed),
        (Some(_), Some(_)) => Err(format!("several ids end in \"{id}\"; write more of it").into()),
        (None, _) => {
            Err(format!("no worker or scheduler has an id that ends in \"{id}\"; `workers` lists them").into())
        }
    }
}

/// Prints a table of them.
pub(super) fn print(roll: &[Listed], now: Timestamp) {
    if roll.is_empty() {
        return note("no worker and no scheduler has reported of late");
    }
    say_table(
        ["ID", "KIND", "HOST", "PROCESS", "VERSION", "STATE", "BUSY", "SLOTS", "SEEN", "QUEUES"],
        roll.iter().map(|l| cells(l, now)),
    );
}

fn cells(listed: &Listed, now: Timestamp) -> [Field; 10] {
    let id = listed.member.id.to_string();
    // The beginning is the time of its start, which many share.
    let id = Field::text(&id[id.len().saturating_sub(12)..]);
    let seen = Field::text(relative(listed.member.seen_at, now));
    let Some(report) = &listed.report else {
        let unreadable = Field::Marked("unreadable".to_owned(), Mark::Notable);
        let none = || Field::text("");
        return [id, none(), none(), none(), none(), unreadable, none(), none(), seen, none()];
    };
    let queues = report.lanes.iter().flat_map(|lane| lane.queues.iter().map(String::as_str));
    [
        id,
        Field::text(kind(report)),
        Field::text(&report.host),
        Field::text(report.pid),
        Field::text(&report.version),
        condition(listed, report),
        Field::number(report.running_count),
        Field::number(report.lanes.iter().map(|lane| lane.slots).sum()),
        seen,
        Field::text(queues.collect::<Vec<_>>().join(", ")),
    ]
}

fn kind(report: &Report) -> &'static str {
    match report.kind {
        MemberKind::Worker => "worker",
        MemberKind::Scheduler => "scheduler",
        MemberKind::Other => "other",
    }
}

fn condition(listed: &Listed, report: &Report) -> Field {
    match report {
        Report { draining: true, .. } => Field::Marked("draining".to_owned(), Mark::Notable),
        Report { not_ready: Some(_), .. } => Field::Marked("not ready".to_owned(), Mark::Bad),
        _ if listed.member.asked.is_some() => Field::Marked("asked to drain".to_owned(), Mark::Notable),
        Report { leads: Some(_), .. } => Field::Marked("leads".to_owned(), Mark::Good),
        Report { kind: MemberKind::Scheduler, .. } => Field::text("stands by"),
        Report { running_count: 0, .. } => Field::text("idle"),
        _ => Field::Marked("works".to_owned(), Mark::Good),
    }
}

fn as_json(listed: &Listed, now: Timestamp) -> Value {
    let report = listed.report.as_ref();
    json!({
        "id": listed.member.id.to_string(), "seen_at": for_machines(listed.member.seen_at),
        "asked": listed.member.asked.map(|request| request.as_str()),
        "clock_error_seconds": report.map(|report| clock_error(listed, report)),
        "up_seconds": report.map(|report| now.since(report.started_at).as_secs()),
        "report": report,
    })
}

/// How far its clock is ahead of the broker's, by what stood in its report when that came.
pub(super) fn clock_error(listed: &Listed, report: &Report) -> f64 {
    (report.sent_at.as_millis() - listed.member.seen_at.as_millis()) as f64 / 1_000.0
}

fn show(listed: &Listed, now: Timestamp) {
    let mut facts = vec![("id", listed.member.id.to_string()), ("seen", relative(listed.member.seen_at, now))];
    let Some(report) = &listed.report else {
        facts.push(("report", "of a version that this one does not read".to_owned()));
        return say_facts(&facts);
    };
    facts.push(("kind", kind(report).to_owned()));
    facts.push(("program", format!("{}, taskq {}", report.program, report.version)));
    facts.push(("process", format!("{} on {}", report.pid, report.host)));
    facts.push(("started", relative(report.started_at, now)));
    facts.extend(report.not_ready.as_ref().map(|why| ("not ready", why.clone())));
    facts.extend(report.leads.map(|token| ("leads", format!("under token {token}"))));
    for lane in &report.lanes {
        facts.push(("queues", format!("{} with {} slots", lane.queues.join(", "), number(lane.slots))));
    }
    if !report.tasks.is_empty() {
        facts.push(("tasks", report.tasks.join(", ")));
    }
    facts.push(("runs", number(report.running_count)));
    say_facts(&facts);
    if report.running.is_empty() {
        return;
    }
    say("");
    let since = now.since(listed.member.seen_at);
    say_table(
        ["RUNNING", "TASK", "ATTEMPT", "FOR"],
        report.running.iter().map(|task| {
            [
                Field::text(&task.id),
                Field::text(&task.task),
                Field::number(u64::from(task.attempt)),
                Field::text(length(Duration::from_millis(task.for_ms) + since)),
            ]
        }),
    );
    let more = report.running_count.saturating_sub(report.running.len() as u64);
    if more > 0 {
        note(format_args!("and {} more: tasks list --state running", number(more)));
    }
}
