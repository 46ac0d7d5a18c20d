//! Throughput and latency of one client and one worker process, beside the engine's own floor, in one run.
//!
//! `cargo run --release -p taskq-benches --example throughput -- redis` (or `sqlite`). Every figure is the median of the
//! runs, with minimum and maximum; every run is audited: each task ran, and each tracked one has its result.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use clap::{Parser, ValueEnum};
use taskq::{Client, Connection, Tally, prelude::*};
use taskq_test_support::{RedisServer, TempFolder};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Measures taskq on one broker.
#[derive(Parser)]
struct Cli {
    /// The broker to measure
    broker: Product,
    /// Tasks a run
    #[arg(long, default_value_t = 200_000)]
    tasks: u64,
    /// Runs of each measurement
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Slots of the worker
    #[arg(long, default_value_t = 800)]
    slots: usize,
    /// Only measurements whose name contains this
    #[arg(long, default_value = "")]
    only: String,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Product {
    Redis,
    Sqlite,
}

/// Counts its executions, so that a run can be audited.
#[task(queue = "bench")]
async fn noop(ctx: &Context<Counter>) {
    ctx.app().0.fetch_add(1, Ordering::Relaxed);
}

#[task(queue = "bench", no_result)]
async fn noop_untracked(ctx: &Context<Counter>) {
    ctx.app().0.fetch_add(1, Ordering::Relaxed);
}

#[derive(Clone, Default)]
struct Counter(Arc<AtomicU64>);

/// One figure over all runs.
struct Figure {
    name: &'static str,
    unit: &'static str,
    runs: Vec<f64>,
}

impl Figure {
    fn median(&self) -> f64 {
        let mut sorted = self.runs.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }

    fn print(&self) {
        let least = self.runs.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.runs.iter().copied().fold(0.0, f64::max);
        println!(
            "{:32} {:>12.2} {:8} (min {least:.2}, max {most:.2}, {} runs)",
            self.name,
            self.median(),
            self.unit,
            self.runs.len()
        );
    }
}

/// A fresh broker for each run, so that none profits from another.
struct Bench {
    product: Product,
    tasks: u64,
    slots: usize,
    server: Option<RedisServer>,
    folder: TempFolder,
    fresh: AtomicU64,
}

impl Bench {
    async fn connect(&self, parameters: &str) -> Outcome<Connection> {
        let number = self.fresh.fetch_add(1, Ordering::Relaxed);
        let url = match &self.server {
            Some(server) => {
                server.command(&["FLUSHALL"]);
                format!("{}?namespace=n{number}", server.url())
            }
            None => format!("sqlite://{}?{parameters}", self.folder.file(&format!("{number}.db")).display()),
        };
        Ok(taskq::connect(&url).await?)
    }

    async fn worker(&self, connection: &Connection, counter: &Counter) -> Outcome<taskq::WorkerHandle> {
        let worker = Worker::builder(connection.clone()).app(counter.clone()).queue("bench", self.slots);
        Ok(worker.start().await?)
    }

    /// Tasks a second that a new client enqueues in bulk.
    async fn enqueue_all(&self, tracked: bool, parameters: &str) -> Outcome<f64> {
        let connection = self.connect(parameters).await?;
        let begun = Instant::now();
        enqueue(&connection.client(), self.tasks, tracked).await?;
        Ok(rate(self.tasks, begun))
    }

    /// Tasks a second from a worker's start until the last is settled.
    async fn drain(&self, tracked: bool, parameters: &str) -> Outcome<f64> {
        let connection = self.connect(parameters).await?;
        let ids = enqueue(&connection.client(), self.tasks, tracked).await?;
        let counter = Counter::default();
        let begun = Instant::now();
        let worker = self.worker(&connection, &counter).await?;
        until_empty(&connection, &counter, self.tasks).await?;
        let rate = rate(self.tasks, begun);
        audit(&connection.client(), &ids, finish(worker).await, &counter, self.tasks).await?;
        Ok(rate)
    }

    /// Full cycles a second: enqueue, claim and settle at the same time.
    async fn flow(&self, parameters: &str) -> Outcome<f64> {
        let connection = self.connect(parameters).await?;
        let counter = Counter::default();
        let worker = self.worker(&connection, &counter).await?;
        let begun = Instant::now();
        let ids = enqueue(&connection.client(), self.tasks, true).await?;
        until_empty(&connection, &counter, self.tasks).await?;
        let rate = rate(self.tasks, begun);
        audit(&connection.client(), &ids, finish(worker).await, &counter, self.tasks).await?;
        Ok(rate)
    }

    /// Microseconds of one awaited enqueue, the median of many.
    async fn enqueue_one(&self, parameters: &str) -> Outcome<f64> {
        let connection = self.connect(parameters).await?;
        let client = connection.client();
        let mut times = Vec::new();
        for _ in 0..2_000 {
            let begun = Instant::now();
            client.enqueue(noop::with()).await?;
            times.push(begun.elapsed());
        }
        Ok(median_micros(times))
    }

    /// Microseconds from an enqueue to the result in the caller's hands, the median of many, on an idle worker.
    async fn result_in_hand(&self, parameters: &str) -> Outcome<f64> {
        let connection = self.connect(parameters).await?;
        let counter = Counter::default();
        let worker = self.worker(&connection, &counter).await?;
        let client = connection.client();
        let mut times = Vec::new();
        for _ in 0..500 {
            let begun = Instant::now();
            client.enqueue(noop::with()).await?.wait(Duration::from_secs(10)).await?;
            times.push(begun.elapsed());
        }
        finish(worker).await;
        Ok(median_micros(times))
    }

    /// Microseconds of one PING through the same driver, the median of many.
    async fn ping(&self) -> Outcome<f64> {
        let Some(server) = &self.server else { return Ok(0.0) };
        let mut connection = redis::Client::open(server.url())?.get_multiplexed_async_connection().await?;
        let mut times = Vec::new();
        for _ in 0..2_000 {
            let begun = Instant::now();
            let _: String = redis::cmd("PING").query_async(&mut connection).await?;
            times.push(begun.elapsed());
        }
        Ok(median_micros(times))
    }

    /// How many PINGs one awaited enqueue takes. They alternate, so that both meet the same moments of the machine.
    async fn enqueue_over_ping(&self) -> Outcome<f64> {
        let Some(server) = &self.server else { return Ok(0.0) };
        let client = self.connect("").await?.client();
        let mut connection = redis::Client::open(server.url())?.get_multiplexed_async_connection().await?;
        let (mut pings, mut enqueues) = (Vec::new(), Vec::new());
        for _ in 0..3_000 {
            let begun = Instant::now();
            let _: String = redis::cmd("PING").query_async(&mut connection).await?;
            pings.push(begun.elapsed());
            let begun = Instant::now();
            client.enqueue(noop::with()).await?;
            enqueues.push(begun.elapsed());
        }
        Ok(median_micros(enqueues) / median_micros(pings))
    }

    /// Synced writes of a page a second to a file beside the database: what `synchronous=full` can at best commit.
    fn fsyncs(&self) -> Outcome<f64> {
        use std::io::Write;
        let mut file = std::fs::File::create(self.folder.file("fsyncs"))?;
        let begun = Instant::now();
        let count = 300;
        for _ in 0..count {
            file.write_all(&[7; 4096])?;
            file.sync_data()?;
        }
        Ok(rate(count, begun))
    }
}

fn rate(count: u64, begun: Instant) -> f64 {
    count as f64 / begun.elapsed().as_secs_f64()
}

fn median_micros(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e6
}

async fn enqueue(client: &Client, tasks: u64, tracked: bool) -> Outcome<Vec<taskq::TaskId>> {
    Ok(match tracked {
        true => ids(client.enqueue_all((0..tasks).map(|_| noop::with())).await?),
        false => ids(client.enqueue_all((0..tasks).map(|_| noop_untracked::with())).await?),
    })
}

fn ids<T>(handles: Vec<TaskHandle<T>>) -> Vec<taskq::TaskId> {
    handles.into_iter().map(|handle| handle.id().clone()).collect()
}

/// Returns when every task has run and nothing is left in the queue.
async fn until_empty(connection: &Connection, counter: &Counter, tasks: u64) -> Outcome<()> {
    let queue = "bench".parse()?;
    loop {
        if counter.0.load(Ordering::Relaxed) >= tasks {
            let counts = connection.inspect().counts(&queue).await?;
            if counts.ready + counts.running == 0 {
                return Ok(());
            }
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn finish(worker: taskq::WorkerHandle) -> Tally {
    worker.drain();
    worker.ended().await
}

/// Each task ran once and nothing else did; a sample of the results is there.
async fn audit(client: &Client, ids: &[taskq::TaskId], tally: Tally, counter: &Counter, tasks: u64) -> Outcome<()> {
    let ran = counter.0.load(Ordering::Relaxed);
    if ran != tasks || tally.succeeded != tasks || tally.fenced != 0 {
        return Err(format!("audit failed: {tasks} tasks, {ran} ran, {tally:?}").into());
    }
    for id in ids.iter().step_by(ids.len() / 100 + 1) {
        match client.find(id).await?.map(|snapshot| snapshot.state) {
            Some(State::Succeeded | State::Untracked) => {}
            state => return Err(format!("audit failed: {id} is {state:?}").into()),
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let cli = Cli::parse();
    let bench = Bench {
        product: cli.broker,
        tasks: cli.tasks,
        slots: cli.slots,
        server: (cli.broker == Product::Redis).then(RedisServer::start),
        folder: TempFolder::new(),
        fresh: AtomicU64::new(0),
    };
    let mut figures: Vec<Figure> = Vec::new();
    // In turn, so that a slow moment of the machine meets every measurement alike.
    for _ in 0..cli.runs {
        for name in names(bench.product).iter().filter(|name| name.contains(&cli.only)) {
            let value = measure(&bench, name).await?;
            let unit = match *name {
                "enqueue over ping" => "x",
                name if name.contains("one") || name == "ping" || name.contains("hand") => "us",
                _ => "/s",
            };
            match figures.iter_mut().find(|figure| figure.name == *name) {
                Some(figure) => figure.runs.push(value),
                None => figures.push(Figure { name, unit, runs: vec![value] }),
            }
        }
    }
    figures.iter().for_each(Figure::print);
    print_ratio(&figures, "drain", "enqueue_all");
    print_ratio(&figures, "full: flow", "fsyncs");
    Ok(())
}

fn names(product: Product) -> &'static [&'static str] {
    match product {
        Product::Redis => &[
            "ping",
            "enqueue one",
            "enqueue over ping",
            "result in hand",
            "enqueue_all untracked",
            "enqueue_all",
            "drain untracked",
            "drain",
            "flow",
        ],
        Product::Sqlite => &[
            "fsyncs",
            "full: enqueue one",
            "full: result in hand",
            "full: enqueue_all",
            "full: drain",
            "full: flow",
            "normal: enqueue one",
            "normal: result in hand",
            "normal: enqueue_all",
            "normal: drain",
            "normal: flow",
        ],
    }
}

async fn measure(bench: &Bench, name: &str) -> Outcome<f64> {
    let (parameters, what) = match name.split_once(": ") {
        Some((synchronous, what)) => (format!("synchronous={synchronous}"), what),
        None => (String::new(), name),
    };
    match what {
        "ping" => bench.ping().await,
        "fsyncs" => bench.fsyncs(),
        "enqueue over ping" => bench.enqueue_over_ping().await,
        "enqueue one" => bench.enqueue_one(&parameters).await,
        "result in hand" => bench.result_in_hand(&parameters).await,
        "enqueue_all untracked" => bench.enqueue_all(false, &parameters).await,
        "enqueue_all" => bench.enqueue_all(true, &parameters).await,
        "drain untracked" => bench.drain(false, &parameters).await,
        "drain" => bench.drain(true, &parameters).await,
        _ => bench.flow(&parameters).await,
    }
}

fn print_ratio(figures: &[Figure], above: &str, below: &str) {
    let median = |name: &str| figures.iter().find(|figure| figure.name == name).map(Figure::median);
    if let (Some(above_value), Some(below_value)) = (median(above), median(below)) {
        println!("{above} / {below} = {:.2}", above_value / below_value);
    }
}
