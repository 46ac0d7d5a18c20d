//! What the command line asks for. `cargo xtask bench --help` tells the same.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::catalogue::Engine;

/// Measures taskq beside what the engine allows. Started by `cargo xtask bench`, which builds the drivers.
#[derive(Debug, Parser)]
#[command(name = "bench")]
pub(crate) struct Options {
    /// Under five minutes: fewer tasks, without the rows that take long
    #[arg(long)]
    pub(crate) quick: bool,
    /// Also with an append-only file, synced every second and always
    #[arg(long)]
    pub(crate) aof: bool,
    /// Only metrics whose name contains one of these; =NAME for exactly that one
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub(crate) only: Vec<String>,
    /// How often each measurement is made, at least three times
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(3..=1_000))]
    pub(crate) runs: u64,
    /// Tasks of one run in bulk [default: 400000, with --quick 100000]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    tasks: Option<u64>,
    /// Also writes one JSON object a line into this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Only on this engine
    #[arg(long)]
    engine: Option<EngineName>,
    /// The driver of a peer
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) peer: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum EngineName {
    Redis,
    Sqlite,
}

impl Options {
    /// Tasks of one run in bulk on Redis.
    pub(crate) fn tasks(&self) -> u64 {
        self.tasks.unwrap_or(if self.quick { 100_000 } else { 400_000 })
    }

    /// Seconds that an idle worker is watched.
    pub(crate) fn idle_seconds(&self) -> f64 {
        if self.quick { 10.0 } else { 20.0 }
    }

    /// Seconds of each load.
    pub(crate) fn load_seconds(&self) -> f64 {
        if self.quick { 3.0 } else { 10.0 }
    }

    /// Whether this engine is wanted.
    pub(crate) fn wants(&self, engine: Engine) -> bool {
        match self.engine {
            None => true,
            Some(EngineName::Redis) => engine == Engine::Redis,
            Some(EngineName::Sqlite) => engine == Engine::Sqlite,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_than_three_runs_are_refused() {
        let refused = Options::try_parse_from(["bench", "--runs", "2"]).unwrap_err().to_string();
        assert!(refused.contains("3..=1000"), "{refused}");
        assert_eq!(Options::try_parse_from(["bench", "--quick"]).unwrap().runs, 3);
    }

    #[test]
    fn an_engine_can_be_chosen() {
        let options = Options::try_parse_from(["bench", "--engine", "sqlite"]).unwrap();
        assert!(options.wants(Engine::Sqlite) && !options.wants(Engine::Redis));
        assert!(Options::try_parse_from(["bench", "--engine", "mysql"]).is_err());
    }
}
