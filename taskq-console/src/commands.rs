//! The commands of people who run taskq: one file a noun. Tables for people, `--json` for programs.
//!
//! They are subcommands of every program that ends in `taskq::app().main()`, and of the program `taskq`, which has no tasks
//! of its own. All of them look through the contracts of the broker, in bounded pages.

mod answer;
mod bench;
mod bulk;
mod dead;
mod doctor;
mod events;
mod output;
mod pick;
mod queues;
mod status;
mod tasks;
mod time;
mod top;
mod workers;

use clap::{Args, Subcommand};
use taskq_core::{BoxError, Connection, TaskId};

pub use answer::Done;

/// What people can ask and do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows the broker, the leader, workers and queues at a glance
    Status(Format),
    /// Lists queues, and pauses, resumes and empties them
    Queues(queues::QueuesArgs),
    /// Lists tasks, finds some among many, and shows, cancels, retries, hastens and deletes them
    #[command(subcommand)]
    Tasks(Box<tasks::TasksCommand>),
    /// Lists dead letters, shows every attempt of one, and replays or drops them
    #[command(subcommand)]
    Dead(dead::DeadCommand),
    /// Lists workers and schedulers, shows what one does, and asks one to drain
    Workers(workers::WorkersArgs),
    /// Watches queues and workers, live, until q or ctrl-c
    Top(top::TopArgs),
    /// Prints what happens: tasks enqueued, started and settled, workers, leaders, health; where processes tell it
    /// (events = "on")
    Events(events::EventsArgs),
    /// Answers why a task is not running, or what became of it
    Why {
        /// The task's id: QUEUE/KEY
        id: TaskId,
        /// How it answers
        #[command(flatten)]
        format: Format,
    },
    /// Looks for what is wrong with the broker, the clocks and the versions in use; exit code 1 if something is
    Doctor(Format),
    /// Measures this broker with tasks that do nothing, in a queue of its own
    Bench(bench::BenchArgs),
}

/// How a command answers.
#[derive(Args, Clone, Copy, Debug)]
pub struct Format {
    /// Print JSON: one object, or one a line
    #[arg(long)]
    json: bool,
}

impl Command {
    /// Does what the command says.
    ///
    /// # Errors
    /// If the broker cannot be asked, or refuses; the message names what and the cure.
    pub async fn run(self, connection: &Connection) -> Result<Done, BoxError> {
        let done = self.run_on(connection).await;
        // What it has changed is news, and the program ends.
        connection.flush_events().await;
        done
    }

    async fn run_on(self, connection: &Connection) -> Result<Done, BoxError> {
        match self {
            Self::Status(format) => status::run(connection, format).await,
            Self::Queues(args) => queues::run(connection, args).await,
            Self::Tasks(command) => tasks::run(connection, *command).await,
            Self::Dead(command) => dead::run(connection, command).await,
            Self::Workers(args) => workers::run(connection, args).await,
            Self::Top(args) => top::run(connection, args).await,
            Self::Events(args) => events::run(connection, args).await,
            Self::Why { id, format } => answer::why(connection, &id, format).await,
            Self::Doctor(format) => doctor::run(connection, format).await,
            Self::Bench(args) => bench::run(connection, args).await,
        }
    }
}
