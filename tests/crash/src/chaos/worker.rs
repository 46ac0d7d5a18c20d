//! The worker process: notes each execution before its body runs and when it is at its end, then works like any worker.

use std::{io, sync::Arc, time::Duration};

use rustix::time::{ClockId, clock_gettime};
use taskq::{Attempt, Next, Task, prelude::*};
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    history::{Event, Journal},
    options::WorkerArguments,
};

tokio::task_local! {
    /// The token of the execution that runs.
    static TOKEN: u64;
}

/// Takes a while. Its result is the token under which it ran, so that the result tells which execution it is of.
#[task(queue = "chaos", retry = Retry::never())]
pub(crate) async fn step(ctx: &Context<Arc<Journal>>, millis: u64) -> u64 {
    tokio::time::sleep(Duration::from_millis(millis)).await;
    let token = TOKEN.get();
    ctx.app().note(&Event::Ended { id: ctx.id().to_string(), token });
    token
}

/// Holds the thread on which it runs, as code does that forgot to be async.
#[task(queue = "chaos", retry = Retry::never())]
pub(crate) async fn block(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

/// Panics.
#[task(queue = "chaos", retry = Retry::never())]
pub(crate) async fn panics() {
    panic!("as it was asked to");
}

/// Does not end, and does not look whether it should.
#[task(queue = "chaos", retry = Retry::never(), timeout = Duration::from_secs(1))]
pub(crate) fn hangs() {
    std::thread::sleep(Duration::from_secs(3_600));
}

/// Ends its whole process.
#[task(queue = "chaos", retry = Retry::never())]
pub(crate) async fn aborts() {
    std::process::abort();
}

pub(crate) async fn run(arguments: &WorkerArguments) -> Result<(), Box<dyn std::error::Error>> {
    let journal = Arc::new(Journal::open(&arguments.history)?);
    note_errors(&journal);
    let noted = Arc::clone(&journal);
    let note = move |attempt: Attempt, next: Next| {
        let (id, token) = (attempt.context().id().to_string(), attempt.context().token().0);
        // What misbehaves on purpose is no part of the history that is checked.
        if attempt.context().task().as_str() == step::NAME {
            noted.note(&Event::Started { id, token, process: std::process::id() });
        }
        TOKEN.scope(token, next.run(attempt))
    };
    let connection = taskq::connect(&arguments.url).await?;
    let worker = Worker::builder(connection)
        .app(journal)
        .layer(note)
        .lease(Duration::from_millis(arguments.lease_ms))
        .queue("chaos", arguments.slots);
    let worker = worker.start().await?;
    println!("ready {}", worker.id());
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    terminate.recv().await;
    worker.drain();
    println!("tally {:?} clock_off: {}", worker.ended().await, clock_off().as_secs());
    Ok(())
}

/// How wrong the wall clock is that this process is shown.
fn clock_off() -> Duration {
    // This one asks the kernel itself, and nobody in between.
    let true_time = clock_gettime(ClockId::Realtime);
    let true_time = Duration::new(true_time.tv_sec.unsigned_abs(), true_time.tv_nsec.unsigned_abs() as u32);
    let shown = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    shown.abs_diff(true_time)
}

/// Errors that the library logs are a part of the history.
pub(crate) fn note_errors(journal: &Arc<Journal>) {
    let complaints = Complaints(Arc::clone(journal));
    tracing_subscriber::fmt().with_max_level(tracing::Level::ERROR).with_ansi(false).with_writer(complaints).init();
}

/// Notes every logged line.
#[derive(Clone, Debug)]
struct Complaints(Arc<Journal>);

impl io::Write for Complaints {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.note(&Event::Complained { text: String::from_utf8_lossy(line).trim_end().to_owned() });
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Complaints {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
