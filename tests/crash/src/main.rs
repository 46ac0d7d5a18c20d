//! The worker process of the crash tests: `crash-worker URL SLOTS HISTORY [QUEUE]..`; the queue `crash` if none.
//!
//! Every execution is appended to the file HISTORY, outside the broker, before its result exists: what the tests check
//! against. At the end (SIGTERM) it prints `tally` and its counts.

use std::{io::Write, sync::Mutex};

use taskq::prelude::*;

/// Where executions are written.
struct History(Mutex<std::fs::File>);

impl History {
    /// One line in one write: whole even if the process is killed right after.
    fn append(&self, line: &str) {
        let mut file = self.0.lock().expect("no body panics while holding it");
        file.write_all(format!("{line}\n").as_bytes()).expect("the history can be written");
    }
}

/// Squares a number, after the given pause.
#[task(queue = "crash")]
async fn square(ctx: &Context<History>, number: u64, pause_micros: u64) -> u64 {
    if pause_micros > 0 {
        tokio::time::sleep(Duration::from_micros(pause_micros)).await;
    }
    ctx.app().append(&format!("{number} {}", ctx.attempt()));
    number * number
}

/// Ends its whole process.
#[task(queue = "crash")]
async fn abort(ctx: &Context<History>, number: u64) {
    ctx.app().append(&format!("{number} {}", ctx.attempt()));
    std::process::abort();
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(std::io::stderr).init();
    let arguments: Vec<_> = std::env::args().collect();
    let [_, url, slots, history, queues @ ..] = arguments.as_slice() else {
        return Err("crash-worker URL SLOTS HISTORY [QUEUE]..".into());
    };
    let history = std::fs::File::options().create(true).append(true).open(history)?;
    let connection = taskq::connect(url).await?;
    let slots: usize = slots.parse()?;
    let crash = ["crash".to_owned()];
    let queues = if queues.is_empty() { &crash } else { queues };
    let worker = Worker::builder(connection).app(History(Mutex::new(history)));
    let worker = queues.iter().fold(worker, |worker, queue| worker.queue(queue, slots)).start().await?;
    println!("ready {}", worker.id());
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    terminate.recv().await;
    worker.drain();
    println!("tally {:?}", worker.ended().await);
    Ok(())
}
