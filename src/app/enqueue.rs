//! `enqueue NAME JSON`: one task by name, from a shell.

use std::{process::ExitCode, time::Duration};

use clap::Args;
use taskq_core::{AnyTask, BoxError, Invocation, TaskHandle};

use super::output::say;
use crate::config::{Config, parse_duration};

#[derive(Args, Debug)]
pub(super) struct EnqueueArgs {
    /// The task's name
    name: String,
    /// Its arguments, an object keyed by parameter name: '{"a": 1, "b": 2}'
    #[arg(default_value = "{}")]
    json: String,
    /// Queue; "default" if none
    #[arg(long)]
    queue: Option<String>,
    /// Start it this much later: 90s, 15m, 1h 30m
    #[arg(long, value_parser = parse_duration)]
    delay: Option<Duration>,
    /// 0 to 9; 9 runs first
    #[arg(long)]
    priority: Option<u8>,
    /// Do not start it later than this
    #[arg(long, value_parser = parse_duration)]
    expires_in: Option<Duration>,
    /// Its own id: the same id enqueues nothing a second time
    #[arg(long)]
    id: Option<String>,
    /// Wait at most this long for the result, and print it
    #[arg(long, value_parser = parse_duration, value_name = "BOUND")]
    wait: Option<Duration>,
}

/// Prints the id on the first line, and the result, if waited for, on the second.
pub(super) async fn run(config: &Config, args: EnqueueArgs) -> Result<ExitCode, BoxError> {
    let wait = args.wait;
    let invocation = invocation(args)?;
    let client = super::connect(config).await?.client().with_deadline(config.client_deadline);
    let handle: TaskHandle<AnyTask> = client.enqueue(invocation).await?;
    say(handle.id());
    if let Some(bound) = wait {
        let result: serde_json::Value = handle.wait(bound).await?;
        say(result);
    }
    client.connection().flush_events().await;
    Ok(ExitCode::SUCCESS)
}

/// A task that is linked here keeps its declared options; any other gets the defaults.
fn invocation(args: EnqueueArgs) -> Result<Invocation<AnyTask>, BoxError> {
    let json: Box<serde_json::value::RawValue> =
        serde_json::from_str(&args.json).map_err(|error| format!("the arguments are no JSON: {error}"))?;
    let mut invocation = Invocation::named(&args.name, &json);
    let declared = taskq_core::Registration::linked().into_iter().find(|task| task.name == args.name);
    if let Some(task) = declared {
        invocation = invocation.declared((task.options)());
    }
    if let Some(queue) = args.queue {
        invocation = invocation.queue(queue);
    }
    if let Some(delay) = args.delay {
        invocation = invocation.delay(delay);
    }
    if let Some(priority) = args.priority {
        invocation = invocation.priority(priority);
    }
    if let Some(duration) = args.expires_in {
        invocation = invocation.expires_in(duration);
    }
    if let Some(id) = args.id {
        invocation = invocation.id(id);
    }
    Ok(invocation)
}
