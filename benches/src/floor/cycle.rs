//! The way of a task through the engine at its cheapest: taken under a lease, and ended, a batch a round trip.
//!
//! A lease is that an element stands in the hash of who took it. What was taken with one call is ended with the next, which
//! takes more: so every round trip does both. Nobody checks whether the lease still stands.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bench_driver::{Audit, Job, Outcome, Report, Spent};
use redis::{Value, aio::MultiplexedConnection};
use tokio::task::JoinSet;

use crate::{
    element::{ID_BYTES, READY, RESULT},
    fill::fill,
    server::connect,
};

/// KEYS: ready list, owner's hash, and the hash of results if they are stored. ARGV: how many to take, then ids and results
/// of what ended by turns. Answer: what was taken. Transition: running -> ended, then ready -> running.
const CYCLE: &str = r"
if #ARGV > 1 then
  local ids, results = {}, {}
  for place = 2, #ARGV, 2 do
    ids[#ids + 1] = ARGV[place]
    results[#results + 1] = ARGV[place]
    results[#results + 1] = ARGV[place + 1]
  end
  redis.call('HDEL', KEYS[2], unpack(ids))
  if KEYS[3] then redis.call('HSET', KEYS[3], unpack(results)) end
end
local taken = redis.call('RPOP', KEYS[1], ARGV[1])
if not taken then return {} end
local held = {}
for place, element in ipairs(taken) do
  held[place * 2 - 1] = string.sub(element, 1, 16)
  held[place * 2] = element
end
redis.call('HSET', KEYS[2], unpack(held))
return taken";

/// Batches in flight and elements in each. Which of the two is faster depends on the machine.
const SHAPES: [(usize, usize); 2] = [(2, 200), (4, 100)];

/// Tasks a second that are taken and ended.
pub(crate) async fn drain(job: &Job) -> Outcome<Report> {
    best_shape(job, Cycle::Plain).await
}

/// The same with a stored result each.
pub(crate) async fn drain_results(job: &Job) -> Outcome<Report> {
    best_shape(job, Cycle::WithResults).await
}

async fn best_shape(job: &Job, cycle: Cycle) -> Outcome<Report> {
    let connection = connect(&job.url).await?;
    let (mut best, mut worker_micros, mut taken) = (0.0_f64, f64::INFINITY, 0);
    for (in_flight, batch) in SHAPES {
        fill(&connection, job.tasks, 2).await?;
        job.phase("begin").await?;
        let spent = Spent::new();
        taken += cycle.run(&connection, in_flight, batch).await?;
        best = best.max(spent.rate(job.tasks));
        worker_micros = worker_micros.min(spent.processor_micros_each(job.tasks));
        job.phase("end").await?;
    }
    let audit = Audit { tasks: job.tasks * SHAPES.len() as u64, executed: taken, ..Audit::default() };
    let report = Report::default().value(&job.metric, "/s", best);
    Ok(report.value("worker_us_per_task", "us", worker_micros).audited(audit))
}

#[derive(Clone, Copy)]
enum Cycle {
    Plain,
    WithResults,
}

impl Cycle {
    /// Goes on until nothing is left, and tells how many were taken and ended.
    async fn run(self, connection: &MultiplexedConnection, in_flight: usize, batch: usize) -> Outcome<u64> {
        let mut load = redis::cmd("SCRIPT");
        load.arg("LOAD").arg(CYCLE);
        let sha: Arc<str> = load.query_async::<String>(&mut connection.clone()).await?.into();
        let ended = Arc::new(AtomicU64::new(0));
        let mut turning = JoinSet::new();
        for _ in 0..in_flight {
            turning.spawn(self.turn(connection.clone(), Arc::clone(&sha), batch, Arc::clone(&ended)));
        }
        while let Some(turned) = turning.join_next().await {
            turned??;
        }
        Ok(ended.load(Ordering::Relaxed))
    }

    async fn turn(
        self,
        mut connection: MultiplexedConnection,
        sha: Arc<str>,
        batch: usize,
        ended: Arc<AtomicU64>,
    ) -> Outcome<()> {
        let mut held: Vec<Vec<u8>> = Vec::new();
        loop {
            let call = self.call(&sha, batch, &held);
            let taken: Value = call.query_async(&mut connection).await?;
            ended.fetch_add(held.len() as u64, Ordering::Relaxed);
            held = elements(taken);
            if held.is_empty() {
                return Ok(());
            }
        }
    }

    fn call(self, sha: &str, batch: usize, held: &[Vec<u8>]) -> redis::Cmd {
        let mut call = redis::cmd("EVALSHA");
        match self {
            Self::Plain => call.arg(sha).arg(2).arg(READY).arg("owner"),
            Self::WithResults => call.arg(sha).arg(3).arg(READY).arg("owner").arg("results"),
        };
        call.arg(batch);
        for element in held {
            call.arg(&element[..ID_BYTES]).arg(RESULT);
        }
        call
    }
}

fn elements(taken: Value) -> Vec<Vec<u8>> {
    let Value::Array(taken) = taken else { return Vec::new() };
    let element = |value| match value {
        Value::BulkString(element) => Some(element),
        _ => None,
    };
    taken.into_iter().filter_map(element).collect()
}
