//! `status`: everything at a glance.

use serde_json::json;
use taskq_core::{BoxError, Connection, fleet::MemberKind};

use super::{
    Done, Format,
    output::{say, say_facts},
    queues,
};
use crate::{
    roll,
    words::{counted, length, number},
};

/// Prints it.
pub(super) async fn run(connection: &Connection, format: Format) -> Result<Done, BoxError> {
    let product = connection.broker().capabilities().product;
    let leader = connection.leader().incumbent().await?;
    let roll = roll::call(connection).await?;
    let queues = queues::all(connection).await?;
    let now = connection.broker().now().await?;
    let workers: Vec<_> = roll.iter().filter(|listed| listed.is(MemberKind::Worker)).collect();
    let schedulers = roll.iter().filter(|listed| listed.is(MemberKind::Scheduler)).count() as u64;
    let reports = || workers.iter().filter_map(|listed| listed.report.as_ref());
    let slots: u64 = reports().flat_map(|report| &report.lanes).map(|lane| lane.slots).sum();
    let running: u64 = reports().map(|report| report.running_count).sum();
    let leads = leader.and_then(|leader| roll.iter().find(|listed| listed.member.id == leader.candidate.into()));
    if format.json {
        let lead = leader.map(|leader| json!({"id": leader.candidate.to_string(), "token": leader.token.0}));
        say(json!({
            "broker": connection.address(), "product": product, "leader": lead, "workers": workers.len(),
            "schedulers": schedulers, "slots": slots, "running": running,
            "queues": queues.iter().map(|row| row.as_json(now)).collect::<Vec<_>>(),
        }));
        return Ok(Done::Well);
    }
    let leading = match (&leader, leads.and_then(|listed| listed.report.as_ref())) {
        (None, _) => "nobody leads: nothing is scheduled".to_owned(),
        (Some(leader), Some(report)) => {
            format!("{} (process {} on {}), token {}", report.program, report.pid, report.host, leader.token)
        }
        (Some(leader), None) => format!("{}, token {}", leader.candidate, leader.token),
    };
    say_facts(&[
        ("broker", format!("{} ({product})", connection.address())),
        (
            "workers",
            format!("{}, {} of {} slots busy", counted(workers.len() as u64, "worker"), number(running), number(slots)),
        ),
        ("schedulers", counted(schedulers, "scheduler")),
        ("leader", leading),
        ("oldest", oldest(&queues, now)),
    ]);
    say("");
    queues::print(&queues, now);
    Ok(Done::Well)
}

/// Which ready task has waited longest.
fn oldest(queues: &[queues::QueueRow], now: taskq_core::Timestamp) -> String {
    let waits = queues.iter().filter_map(|row| Some((row.view.oldest_ready?, &row.name)));
    match waits.min() {
        Some((since, queue)) => format!("a ready task has waited for {} in {queue}", length(now.since(since))),
        None => "nothing waits for a slot".to_owned(),
    }
}
