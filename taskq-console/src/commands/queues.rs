//! `queues`: how each is, and what is done to one as a whole.

use std::io::{BufRead, IsTerminal, Write};

use clap::{Args, Subcommand};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use taskq_core::{BoxError, Connection, ControlExt, Purge, QueueName, QueueView, Timestamp};

use super::{
    Done, Format,
    bulk::{AT_ONCE, Bar},
    output::{Field, Mark, note, say, say_table},
    time::for_machines,
};
use crate::words::{counted, length, relative};

#[derive(Args, Debug)]
pub struct QueuesArgs {
    #[command(subcommand)]
    command: Option<QueuesCommand>,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Subcommand)]
enum QueuesCommand {
    /// Hands out nothing more of a queue. What runs goes on, and tasks are accepted as before
    Pause {
        /// The queue
        queue: QueueName,
    },
    /// Hands out tasks of a queue again
    Resume {
        /// The queue
        queue: QueueName,
    },
    /// Cancels everything that waits in a queue, or forgets its dead letters. Running tasks are left alone
    Purge {
        /// The queue
        queue: QueueName,
        /// Its dead letters, instead of what waits
        #[arg(long)]
        dead: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// Tell how many would go, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// A queue with how it is.
pub(super) struct QueueRow {
    pub(super) name: QueueName,
    pub(super) view: QueueView,
}

impl QueueRow {
    pub(super) fn as_json(&self, now: Timestamp) -> Value {
        let QueueView { counts, paused_at, oldest_ready, next_due, workers } = self.view;
        json!({
            "queue": self.name.as_str(), "ready": counts.ready, "scheduled": counts.scheduled,
            "retrying": counts.retrying, "running": counts.running, "dead": counts.dead, "workers": workers,
            "paused_at": paused_at.map(for_machines), "next_due": next_due.map(for_machines),
            "oldest_ready_seconds": oldest_ready.map(|since| now.since(since).as_secs_f64()),
        })
    }
}

pub(super) async fn run(connection: &Connection, args: QueuesArgs) -> Result<Done, BoxError> {
    let Some(command) = args.command else {
        let (rows, now) = (all(connection).await?, connection.broker().now().await?);
        match args.format.json {
            true => rows.iter().for_each(|row| say(row.as_json(now))),
            false => print(&rows, now),
        }
        return Ok(Done::Well);
    };
    let control = connection.control();
    match command {
        QueuesCommand::Pause { queue } => match control.pause(&queue).await? {
            true => say(format_args!("{queue} is paused")),
            false => say(format_args!("{queue} was paused already")),
        },
        QueuesCommand::Resume { queue } => match control.resume(&queue).await? {
            true => say(format_args!("{queue} goes on")),
            false => say(format_args!("{queue} was not paused")),
        },
        QueuesCommand::Purge { queue, dead, yes, dry_run } => {
            let what = if dead { Purge::DeadLetters } else { Purge::Waiting };
            return purge(connection, &queue, what, yes, dry_run).await;
        }
    }
    Ok(Done::Well)
}

/// Every queue, by name. A few are asked about at once, so that many queues cost few round trips.
pub(super) async fn all(connection: &Connection) -> Result<Vec<QueueRow>, BoxError> {
    let mut names = connection.inspect().queues().await?;
    names.sort();
    let look = async |name: QueueName| {
        let view = connection.inspect().queue(&name).await?;
        Ok::<_, taskq_core::Error>(QueueRow { name, view })
    };
    Ok(stream::iter(names).map(look).buffered(AT_ONCE).try_collect().await?)
}

/// Prints them as a table.
pub(super) fn print(rows: &[QueueRow], now: Timestamp) {
    if rows.is_empty() {
        return note("no queue was ever used here: enqueue a task, or look whether --url names the right broker");
    }
    let cells = |row: &QueueRow| {
        let QueueView { counts, paused_at, oldest_ready, workers, .. } = row.view;
        let dead = match counts.dead {
            0 => Field::number(0),
            dead => Field::Marked(crate::words::number(dead), Mark::Bad),
        };
        let notes = match (paused_at, workers) {
            (Some(since), _) => Field::Marked(format!("paused {}", relative(since, now)), Mark::Notable),
            (None, 0) if counts.ready > 0 => Field::Marked("no worker listens".to_owned(), Mark::Bad),
            _ => Field::text(""),
        };
        [
            Field::text(&row.name),
            Field::number(counts.ready),
            Field::number(counts.scheduled),
            Field::number(counts.retrying),
            Field::number(counts.running),
            dead,
            Field::number(workers),
            Field::text(oldest_ready.map_or_else(String::new, |since| length(now.since(since)))),
            notes,
        ]
    };
    let header = ["QUEUE", "READY", "SCHEDULED", "RETRYING", "RUNNING", "DEAD", "WORKERS", "OLDEST", ""];
    say_table(header, rows.iter().map(cells));
}

async fn purge(
    connection: &Connection,
    queue: &QueueName,
    what: Purge,
    yes: bool,
    dry_run: bool,
) -> Result<Done, BoxError> {
    let counts = connection.inspect().counts(queue).await?;
    let (count, kind) = match what {
        Purge::Waiting => (counts.ready + counts.scheduled + counts.retrying, "waiting task"),
        Purge::DeadLetters => (counts.dead, "dead letter"),
    };
    if dry_run {
        say(format_args!("{} of {queue} would go", counted(count, kind)));
        return Ok(Done::Well);
    }
    if !yes && !confirmed(&format!("{} of {queue} go for good.", counted(count, kind)), queue.as_str())? {
        note("nothing was done");
        return Ok(Done::NotSo);
    }
    let bar = Bar::new(count);
    let purged = connection.control().purge_all(queue, what, |purged| bar.at(purged)).await?;
    bar.clear();
    say(format_args!("{} of {queue} went", counted(purged, kind)));
    Ok(Done::Well)
}

/// Asks somebody at a terminal to write a word. Where nobody can be asked the answer is an error with the cure.
pub(super) fn confirmed(what: &str, word: &str) -> Result<bool, BoxError> {
    if !std::io::stdin().is_terminal() {
        return Err(format!("{what} Nobody can be asked here; say --yes, or look first with --dry-run").into());
    }
    eprint!("{what} Write \"{word}\" to go on: ");
    std::io::stderr().flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim() == word)
}
