//! The scheduler process: many entries, each due every second, and a note whenever it becomes the leader.

use std::time::Duration;

use taskq::{Entry, Misfire, Scheduler, every, prelude::*};

use crate::{
    history::{Event, Journal},
    options::SchedulerArguments,
    worker,
};

/// Entries that are due every second.
pub(crate) const ENTRIES: u64 = 50;

/// How often it is asked whether it leads.
const LOOK: Duration = Duration::from_millis(10);

/// What it prints, and a journal says, when that changes.
pub(crate) const LEADS: &str = "leads";
pub(crate) const FOLLOWS: &str = "follows";

/// Notes how late it began.
#[task(queue = "chaos", retry = Retry::never(), no_result)]
pub(crate) async fn tick(ctx: &Context<std::sync::Arc<Journal>>) {
    let id = ctx.id().to_string();
    let planned = id.rsplit_once('@').and_then(|(_, millis)| millis.parse().ok()).unwrap_or(i64::MAX);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let late_millis = i64::try_from(now.as_millis()).unwrap_or(0) - planned;
    ctx.app().note(&Event::Ticked { id, late_millis });
}

pub(crate) async fn run(arguments: &SchedulerArguments) -> Result<(), Box<dyn std::error::Error>> {
    let journal = std::sync::Arc::new(Journal::open(&arguments.history)?);
    worker::note_errors(&journal);
    let mut scheduler = Scheduler::builder(taskq::connect(&arguments.url).await?);
    for number in 0..ENTRIES {
        let entry = Entry::new(format!("entry-{number}"), every(Duration::from_secs(1))?, tick::with());
        scheduler = scheduler.with(entry.misfire(Misfire::All(1_000)));
    }
    let scheduler = scheduler.start().await?;
    println!("ready");
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let (mut looks, mut leads) = (tokio::time::interval(LOOK), false);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = looks.tick() => {}
        }
        if scheduler.is_leader() != leads {
            leads = !leads;
            println!("{}", if leads { LEADS } else { FOLLOWS });
        }
    }
    scheduler.drain();
    println!("tally {:?}", scheduler.ended().await);
    Ok(())
}
