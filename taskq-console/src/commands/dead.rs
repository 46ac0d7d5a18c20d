//! `dead`: dead letters, which run no more unless somebody replays them.

use clap::Subcommand;
use taskq_core::{BoxError, Connection, Shelf, TaskId};

use super::{
    Done, Format, bulk,
    output::say,
    pick::{ListArgs, Pick},
    tasks,
};
use crate::words::counted;

#[derive(Debug, Subcommand)]
pub enum DeadCommand {
    /// Lists dead letters, oldest first
    List(Box<ListArgs>),
    /// Shows a dead letter with its arguments and every attempt
    Show {
        /// The task's id: QUEUE/KEY
        id: TaskId,
        #[command(flatten)]
        format: Format,
    },
    /// Runs dead letters again, with all their attempts
    Replay(Box<Pick>),
    /// Forgets dead letters
    Drop(Box<Pick>),
}

pub(super) async fn run(connection: &Connection, command: DeadCommand) -> Result<Done, BoxError> {
    let control = connection.control();
    match command {
        DeadCommand::List(args) => tasks::list(connection, &args, &[Shelf::Dead]).await,
        DeadCommand::Show { id, format } => tasks::show(connection, &id, format).await,
        DeadCommand::Replay(pick) => {
            let Some(ids) = pick.ids(connection, &[Shelf::Dead], "Replay").await? else { return Ok(Done::Well) };
            let asked = ids.len();
            let done = bulk::each(ids, |id| async move { control.replay(&id).await }).await?;
            Ok(told(done, asked, "replayed"))
        }
        DeadCommand::Drop(pick) => {
            let Some(ids) = pick.ids(connection, &[Shelf::Dead], "Drop").await? else { return Ok(Done::Well) };
            let asked = ids.len();
            let done = bulk::each(ids, |id| async move { control.drop_dead(&id).await }).await?;
            Ok(told(done, asked, "dropped"))
        }
    }
}

fn told(done: u64, asked: usize, how: &str) -> Done {
    say(format_args!("{} {how}", counted(done, "dead letter")));
    Done::if_so(done > 0 || asked == 0)
}
