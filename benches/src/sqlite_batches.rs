//! Full cycles a second of the SQLite broker by batch size, beside the fsyncs that the disk makes in the same moments.
//!
//! `cargo run --release -p taskq-benches --bin sqlite_batches`; two minutes. No worker is in between, so this is what the
//! broker allows; `cargo xtask bench` measures the whole. A full cycle is one task accepted, handed out, and settled with a
//! result that is kept. One line for each size of a batch, such as these of a machine that was busy with other things:
//!
//! ```text
//! normal, batch 200: in turn   34143, side by side   42747 cycles/s
//! full,   batch   4: in turn     395, side by side    3255 cycles/s;  636 fsyncs/s; 0.16 and 1.28 of fsyncs x batch
//! ```
//!
//! *In turn* is one caller who enqueues, claims and settles, so three commits a batch: a third of fsyncs x batch is the
//! most it can reach. *Side by side* are four who enqueue beside four who claim and settle; what they ask for at the same
//! time is committed together, so it may go beyond fsyncs x batch. The fsyncs are measured before and after each line:
//! one page appended and synced at a time. A write that does not count, or a task that is not answered, ends the run.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::Parser;
use taskq::Connection;
use taskq_core::{
    Envelope, Invocation, Payload, QueueName, WorkerId,
    broker::{Claimed, Ending, Settled, Settlement},
    id::{BatchId, ClaimNumber, Owner},
    limits,
};
use tempfile::TempDir;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// How many enqueue at the same time as as many work: `enqueue_all` has four chunks under way.
const SIDE_BY_SIDE: usize = 4;

/// Calls after which a worker beats; far less than a lease passes in between.
const CALLS_PER_BEAT: usize = 50;

/// Measures the SQLite broker by batch size.
#[derive(Parser)]
struct Cli {
    /// Where to put the files; the default is beside this program, which is a disk and not memory
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Seconds of each measurement in turn
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Tasks of each measurement side by side, at most: small batches get fewer
    #[arg(long, default_value_t = 320_000)]
    tasks: usize,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Outcome<()> {
    let cli = Cli::parse();
    let folder = match &cli.folder {
        Some(folder) => folder.clone(),
        None => std::env::current_exe()?.parent().ok_or("this program lies in no folder")?.to_owned(),
    };
    let bench = Bench { folder, time: Duration::from_secs(cli.seconds), tasks: cli.tasks };
    for batch in [1, 10, 200] {
        println!("{}", bench.cycles("normal", batch).await?);
    }
    for batch in [1, 4, 10, 50, 200] {
        let before = bench.fsyncs_a_second()?;
        let cycles = bench.cycles("full", batch).await?;
        let fsyncs = (before + bench.fsyncs_a_second()?) / 2.0;
        println!("{cycles}; {}", cycles.beside(fsyncs));
    }
    Ok(())
}

/// What was measured with one size of a batch.
struct Cycles {
    synchronous: &'static str,
    batch: usize,
    in_turn: f64,
    side_by_side: f64,
}

impl std::fmt::Display for Cycles {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { synchronous, batch, in_turn, side_by_side } = self;
        let synchronous = format!("{synchronous},");
        write!(
            formatter,
            "{synchronous:7} batch {batch:3}: in turn {in_turn:7.0}, side by side {side_by_side:7.0} cycles/s"
        )
    }
}

impl Cycles {
    fn beside(&self, fsyncs: f64) -> String {
        let most = fsyncs * self.batch as f64;
        let (in_turn, side_by_side) = (self.in_turn / most, self.side_by_side / most);
        format!("{fsyncs:4.0} fsyncs/s; {in_turn:.2} and {side_by_side:.2} of fsyncs x batch")
    }
}

/// Where and how long to measure. Each measurement has a fresh file.
struct Bench {
    folder: PathBuf,
    time: Duration,
    tasks: usize,
}

impl Bench {
    async fn cycles(&self, synchronous: &'static str, batch: usize) -> Outcome<Cycles> {
        let in_turn = self.in_turn(synchronous, batch).await?;
        let side_by_side = self.side_by_side(synchronous, batch).await?;
        Ok(Cycles { synchronous, batch, in_turn, side_by_side })
    }

    /// One caller: enqueue a batch, claim it, settle it, again.
    async fn in_turn(&self, synchronous: &str, batch: usize) -> Outcome<f64> {
        let stage = Stage::open(&self.folder, synchronous).await?;
        let (begun, mut cycles) = (Instant::now(), 0);
        while begun.elapsed() < self.time {
            stage.caller.enqueue(batch).await?;
            stage.caller.work(batch, batch).await?;
            stage.caller.beat().await?;
            cycles += batch;
        }
        Ok(cycles as f64 / begun.elapsed().as_secs_f64())
    }

    /// Four that enqueue beside four that claim and settle.
    async fn side_by_side(&self, synchronous: &str, batch: usize) -> Outcome<f64> {
        let stage = Stage::open(&self.folder, synchronous).await?;
        // Small batches are slower: about as many seconds for each size.
        let batches = self.tasks.min(8_000 * batch) / SIDE_BY_SIDE / batch;
        let begun = Instant::now();
        let mut callers = tokio::task::JoinSet::new();
        for _ in 0..SIDE_BY_SIDE {
            let (enqueuing, working) = (stage.caller.clone(), stage.caller.clone());
            callers.spawn(async move {
                for _ in 0..batches {
                    enqueuing.enqueue(batch).await?;
                }
                Ok(())
            });
            callers.spawn(async move { working.work(batch, batches * batch).await });
        }
        while let Some(ended) = callers.join_next().await {
            let ended: Outcome<()> = ended?;
            ended?;
        }
        Ok((SIDE_BY_SIDE * batches * batch) as f64 / begun.elapsed().as_secs_f64())
    }

    fn fsyncs_a_second(&self) -> Outcome<f64> {
        let folder = tempfile::tempdir_in(&self.folder)?;
        let mut file = File::create(folder.path().join("log"))?;
        let (begun, mut count) = (Instant::now(), 0_u32);
        while begun.elapsed() < self.time / 2 {
            file.write_all(&[7; 4096])?;
            file.sync_data()?;
            count += 1;
        }
        Ok(f64::from(count) / begun.elapsed().as_secs_f64())
    }
}

/// A fresh file with one worker on it.
struct Stage {
    caller: Caller,
    _folder: TempDir,
}

impl Stage {
    async fn open(folder: &Path, synchronous: &str) -> Outcome<Self> {
        let folder = tempfile::tempdir_in(folder)?;
        let url = format!("sqlite://{}/batches.db?synchronous={synchronous}", folder.path().display());
        let connection = taskq::connect(&url).await?;
        let (owner, queue) = (Owner { worker: WorkerId::generate(), term: 0 }, QueueName::new("batches")?);
        connection.broker().join(owner, &queue, limits::LEASE).await?;
        Ok(Self { caller: Caller { connection, owner, queue }, _folder: folder })
    }
}

/// One who calls the broker as a client and as a worker do.
#[derive(Clone)]
struct Caller {
    connection: Connection,
    owner: Owner,
    queue: QueueName,
}

impl Caller {
    async fn enqueue(&self, batch: usize) -> Outcome<()> {
        let envelopes: Vec<_> = (0..batch).map(|number| self.envelope(number)).collect::<Outcome<_>>()?;
        self.connection.broker().enqueue(&self.queue, BatchId::generate(), &envelopes).await?;
        Ok(())
    }

    fn envelope(&self, number: usize) -> Outcome<Envelope> {
        let args = serde_json::json!({ "to": format!("somebody-{number}@example.org"), "subject": "hello" });
        Ok(Invocation::named("send_email", &args).queue(self.queue.as_str()).into_envelope()?)
    }

    /// Claims and settles until `count` tasks are done, `batch` at a time.
    async fn work(&self, batch: usize, count: usize) -> Outcome<()> {
        let broker = self.connection.broker();
        let (mut done, mut calls) = (0, 0);
        while done < count {
            calls += 1;
            if calls % CALLS_PER_BEAT == 0 {
                self.beat().await?;
            }
            let claimed = broker.claim(self.owner, &self.queue, batch.min(count - done), ClaimNumber(1)).await?.claimed;
            if claimed.is_empty() {
                broker.work_arrived(&[(self.owner, self.queue.clone())], Duration::from_secs(1)).await?;
                continue;
            }
            done += self.settle(claimed).await?;
        }
        Ok(())
    }

    async fn settle(&self, claimed: Vec<Claimed>) -> Outcome<usize> {
        let result = Payload::encode("encode", &serde_json::json!({ "message_id": "0193-abcdef" }), 1_000)?;
        let settlement = |Claimed { token, envelope, .. }| {
            let ending = Ending::Succeeded(result.clone());
            Settlement { token, envelope, ending }
        };
        let settlements: Vec<_> = claimed.into_iter().map(settlement).collect();
        let settled = self.connection.broker().settle(self.owner, &self.queue, &settlements).await?;
        match settled.iter().all(|settled| *settled == Settled::Applied) {
            true => Ok(settled.len()),
            false => Err("a write of the living owner was fenced".into()),
        }
    }

    async fn beat(&self) -> Outcome<()> {
        self.connection.broker().beat(&[(self.owner, self.queue.clone())]).await?;
        Ok(())
    }
}
