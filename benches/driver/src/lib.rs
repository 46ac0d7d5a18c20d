//! A driver measures one system: taskq, the floor below it, or a peer. Each is a program with the same arguments and the
//! same answer, so that the harness can run them in turn and compare them.
//!
//! A driver is called as `DRIVER METRIC --url URL [--tasks N ...]`, measures that once on an empty broker, and prints one
//! [`Report`] as a line of JSON. On the way it may stop at a [`Job::phase`]: it prints a line `{"phase":"filled"}` and goes
//! on when it reads a line on standard input. In between, the harness looks at the server: its CPU time, memory, commands.

use std::{error::Error, future::Future, process::ExitCode};

use clap::Parser;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, BufReader, Stdin};
use tokio::sync::Mutex;

mod ledger;
mod report;
mod spent;

pub use ledger::Ledger;
pub use report::{Audit, Report, Value, quantile_micros};
pub use spent::{Spent, resident_kib};

/// What a driver answers, or why it could not measure.
pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Which system a driver measures, for the table and the documents.
#[derive(Clone, Debug, Serialize)]
pub struct About {
    /// Its name in the table.
    pub system: &'static str,
    /// The version measured.
    pub version: &'static str,
    /// `redis` or `sqlite`.
    pub engine: &'static str,
    /// The settings it was given, and why.
    pub settings: &'static str,
    /// What it does not do of what taskq does: results, fencing, recovery, durability.
    pub lacks: &'static str,
}

/// One measurement to make.
#[derive(Clone, Debug, Parser)]
struct Arguments {
    /// What to measure, or `about`
    metric: String,
    /// The broker, empty
    #[arg(long, default_value = "")]
    url: String,
    /// Tasks to measure with
    #[arg(long, default_value_t = 100_000)]
    tasks: u64,
    /// Tasks that are queued before the measurement begins and stay behind it
    #[arg(long, default_value_t = 0)]
    backlog: u64,
    /// Tasks a second, for measurements of latency under load
    #[arg(long, default_value_t = 0.0)]
    rate: f64,
    /// How long to measure, where that is not given by the number of tasks
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// Tasks that one worker runs at once
    #[arg(long, default_value_t = 800)]
    slots: usize,
    /// Threads of the runtime
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

/// One measurement, as a driver sees it.
#[derive(Debug)]
pub struct Job {
    /// What to measure; `docs/performance.md` has the definitions.
    pub metric: String,
    /// The broker, empty.
    pub url: String,
    /// Tasks to measure with.
    pub tasks: u64,
    /// Tasks that are queued before the measurement begins and stay behind it.
    pub backlog: u64,
    /// Tasks a second, for measurements of latency under load.
    pub rate: f64,
    /// How long to measure, in seconds, where that is not given by the number of tasks.
    pub seconds: f64,
    /// Tasks that one worker runs at once.
    pub slots: usize,
    input: Mutex<BufReader<Stdin>>,
}

impl Job {
    fn new(arguments: Arguments) -> Self {
        let Arguments { metric, url, tasks, backlog, rate, seconds, slots, .. } = arguments;
        Self {
            metric,
            url,
            tasks,
            backlog,
            rate,
            seconds,
            slots,
            input: Mutex::new(BufReader::new(tokio::io::stdin())),
        }
    }

    /// Says where the measurement has come to, and waits until the harness has looked at the server. With nobody at the
    /// other end of standard input it goes on at once.
    pub async fn phase(&self, name: &str) -> Outcome<()> {
        println!("{}", serde_json::json!({ "phase": name }));
        self.input.lock().await.read_line(&mut String::new()).await?;
        Ok(())
    }
}

/// The whole `main` of a driver.
pub fn run<F>(about: About, measure: impl FnOnce(Job) -> F) -> ExitCode
where
    F: Future<Output = Outcome<Report>>,
{
    let arguments = Arguments::parse();
    if arguments.metric == "about" {
        println!("{}", serde_json::to_string(&about).expect("text always encodes"));
        return ExitCode::SUCCESS;
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(arguments.threads).enable_all().build().expect("a runtime starts");
    match runtime.block_on(measure(Job::new(arguments))) {
        Ok(report) => {
            println!("{}", serde_json::to_string(&report).expect("numbers and text always encode"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
