//! `check`: what would a worker of this program do, and would it work?

use std::process::ExitCode;

use taskq_core::{Registration, Result, limits, task::AppType};

use super::output::say;
use crate::config::Config;

/// Prints configuration, tasks and broker; fails if a worker would not start.
pub(super) async fn run(config: &Config, lent: AppType) -> ExitCode {
    say("configuration");
    for (key, value, origin) in config.explain() {
        say(format_args!("  {key} = {value}  ({origin})"));
    }
    let tasks = print_tasks(lent, config);
    #[cfg(feature = "scheduler")]
    let tasks = print_schedules(config) && tasks;
    let broker = print_broker(config).await;
    if tasks && broker { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What the configuration file schedules and watches, and whether a scheduler of this program would take it.
#[cfg(feature = "scheduler")]
fn print_schedules(config: &Config) -> bool {
    say("schedules");
    let entries = config.entries(&Registration::linked());
    for entry in entries.iter().flatten() {
        // Without an id it would not have become one.
        if let Ok(id) = entry.id() {
            say(format_args!("  {id}  {}", entry.schedule()));
        }
    }
    report(entries.map(drop))
}

/// `config explain`: every setting, its value and where that came from.
#[cfg(feature = "cli")]
pub(super) fn explain(config: &Config, json: bool) -> ExitCode {
    for (key, value, origin) in config.explain() {
        match json {
            true => say(serde_json::json!({"key": key, "value": value, "from": origin.to_string()})),
            false => say(format_args!("{key} = {value}  ({origin})")),
        }
    }
    ExitCode::SUCCESS
}

fn print_tasks(lent: AppType, config: &Config) -> bool {
    say("tasks");
    let mut tasks = Registration::linked();
    tasks.sort_by_key(|task| task.name);
    for task in &tasks {
        let queue = (task.options)().queue.unwrap_or_else(|| limits::DEFAULT_QUEUE.to_owned());
        say(format_args!("  {}  queue {queue}  {}", task.name, task.location));
    }
    report(super::check_tasks(lent, config))
}

async fn print_broker(config: &Config) -> bool {
    say("broker");
    say(format_args!("  {}", crate::config::redacted(&config.broker_url)));
    report(test_broker(config).await)
}

async fn test_broker(config: &Config) -> Result<()> {
    let connection = super::connect(config).await?;
    let capabilities = connection.broker().capabilities();
    let now = connection.broker().now().await?;
    let ahead = now.as_millis() - connection.clock().now().as_millis();
    say(format_args!("  {} answers; its clock differs from ours by {ahead} ms", capabilities.product));
    for queue in connection.inspect().queues().await? {
        let counts = connection.inspect().counts(&queue).await?;
        say(format_args!(
            "  queue {queue}: {} ready, {} scheduled, {} retrying, {} running, {} dead",
            counts.ready, counts.scheduled, counts.retrying, counts.running, counts.dead
        ));
    }
    Ok(())
}

fn report(result: Result<()>) -> bool {
    match result {
        Ok(()) => {
            say("  ok");
            true
        }
        Err(error) => {
            say(format_args!("  error: {error}"));
            false
        }
    }
}
