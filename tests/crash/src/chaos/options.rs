//! The command line, of the conductor and of the processes that it starts.

use std::{fmt, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum, builder::RangedU64ValueParser};

use crate::nemesis::Nemesis;

/// Real producers, workers and servers under real faults, and a check of what happened.
///
/// Starts its own servers and files, plays a seeded schedule of faults while producers enqueue and workers work, then
/// heals everything, lets the rest end, and compares what was acknowledged, what ran, and what the broker says.
#[derive(Debug, Parser)]
#[command(
    name = "chaos",
    after_help = "Examples:\n  \
    cargo xtask chaos                                   every nemesis, a minute each\n  \
    cargo xtask chaos worker-kill --broker sqlite       one of them, on one broker\n  \
    cargo xtask chaos worker-kill --tasks 20000 --minutes 10 --kills 200\n  \
    cargo xtask chaos worker-kill --lease-ms 1200       the same with leases of 1.2 s\n  \
    cargo xtask chaos zombie --seed 7 --json            the same schedule again; a JSON object a line\n  \
    cargo xtask chaos soak --minutes 20                 memory, files and keys after a steady flow; only if asked for"
)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) role: Option<Role>,

    /// What is done to the processes; the default is everything but the soak
    #[arg(value_enum)]
    nemeses: Vec<Nemesis>,

    /// On which brokers; the default is all on which the nemesis can be played
    #[arg(long, value_enum)]
    broker: Vec<Kind>,

    /// What the schedule of faults is made from
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// How long faults are made, at most
    #[arg(long, default_value_t = 1.0, value_parser = minutes)]
    pub(crate) minutes: f64,

    /// Faults are made until there were so many, if that is sooner
    #[arg(long)]
    pub(crate) kills: Option<u64>,

    /// Tasks to enqueue
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(2..=10_000_000))]
    pub(crate) tasks: u64,

    /// Worker processes, of eight slots each; at least two, so that one is left while another is stopped
    #[arg(long, default_value_t = 4, value_parser = RangedU64ValueParser::<usize>::new().range(2..=64))]
    pub(crate) workers: usize,

    /// How long the workers' leases are, in milliseconds
    #[arg(long, default_value_t = 4_500, value_parser = clap::value_parser!(u64).range(600..=600_000))]
    pub(crate) lease_ms: u64,

    /// A JSON object a line instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

/// More than nothing, and not more than a day.
fn minutes(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(minutes) if minutes > 0.0 && minutes <= 1_440.0 => Ok(minutes),
        _ => Err("give a number of minutes, more than 0 and at most 1440".to_owned()),
    }
}

/// What a process is that the conductor starts.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Works until it is told to end.
    #[command(hide = true)]
    Worker(WorkerArguments),
    /// Enqueues tasks.
    #[command(hide = true)]
    Producer(ProducerArguments),
    /// Fires entries.
    #[command(hide = true)]
    Scheduler(SchedulerArguments),
}

#[derive(Args, Debug)]
pub(crate) struct WorkerArguments {
    pub(crate) url: String,
    pub(crate) slots: usize,
    pub(crate) lease_ms: u64,
    pub(crate) history: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct SchedulerArguments {
    pub(crate) url: String,
    pub(crate) history: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct ProducerArguments {
    pub(crate) url: String,
    pub(crate) manner: Manner,
    pub(crate) seed: u64,
    /// The first of its numbers, and how many it enqueues.
    pub(crate) first: u64,
    pub(crate) count: u64,
    /// Over how many seconds it spreads them.
    pub(crate) seconds: f64,
    pub(crate) history: PathBuf,
}

/// What a producer does besides enqueueing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Manner {
    /// Nothing: each enqueue has as long as it needs.
    Plain,
    /// Has each task acknowledged by a replica.
    Replicated,
    /// Gives each enqueue a second, and does not mind.
    CutOff,
    /// The same, and has each task acknowledged by a replica.
    CutOffReplicated,
    /// Waits for every result at the same time.
    Waiting,
    /// Has results kept for the shortest time.
    Forgetful,
}

impl Manner {
    pub(crate) fn is_cut_off(self) -> bool {
        matches!(self, Self::CutOff | Self::CutOffReplicated)
    }

    pub(crate) fn is_replicated(self) -> bool {
        matches!(self, Self::Replicated | Self::CutOffReplicated)
    }
}

impl fmt::Display for Manner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("none is skipped");
        f.write_str(value.get_name())
    }
}

/// A kind of broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// A file, with `synchronous=normal`: the disk is not what is tested.
    Sqlite,
    /// A server that appends to a file, synced every second.
    Redis,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "sqlite",
            Self::Redis => "redis",
        })
    }
}

impl Options {
    /// Which nemesis is played on which broker.
    pub(crate) fn campaigns(&self) -> Result<Vec<(Nemesis, Kind)>, String> {
        let usual: Vec<Nemesis> =
            Nemesis::value_variants().iter().copied().filter(|nemesis| *nemesis != Nemesis::Soak).collect();
        let nemeses = if self.nemeses.is_empty() { &usual } else { &self.nemeses };
        let brokers = if self.broker.is_empty() { Kind::value_variants() } else { &self.broker };
        let pairs = nemeses.iter().flat_map(|nemesis| brokers.iter().map(move |broker| (*nemesis, *broker)));
        let pairs: Vec<_> = pairs.filter(|(nemesis, broker)| nemesis.can_be_played_on(*broker)).collect();
        match pairs.is_empty() {
            true => Err("this nemesis needs a server to do something to; use --broker redis".to_owned()),
            false => Ok(pairs),
        }
    }
}
