//! The worker process: notes each execution before its body runs and when it is at its end, then works like any worker.

use std::{sync::Arc, time::Duration};

use taskq::{Attempt, Next, prelude::*};

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

pub(crate) async fn run(arguments: &WorkerArguments) -> Result<(), Box<dyn std::error::Error>> {
    let journal = Arc::new(Journal::open(&arguments.history)?);
    let noted = Arc::clone(&journal);
    let note = move |attempt: Attempt, next: Next| {
        let (id, token) = (attempt.context().id().to_string(), attempt.context().token().0);
        noted.note(&Event::Started { id, token, process: std::process::id() });
        TOKEN.scope(token, next.run(attempt))
    };
    let connection = taskq::connect(&arguments.url).await?;
    let worker = Worker::builder(connection).app(journal).layer(note).queue("chaos", arguments.slots).start().await?;
    println!("ready {}", worker.id());
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    terminate.recv().await;
    worker.drain();
    println!("tally {:?}", worker.ended().await);
    Ok(())
}
