//! `check`: what would a worker of this program do, and would it work?

use std::process::ExitCode;

use taskq_core::{Registration, Result, limits, task::AppType};

use crate::config::Config;

/// Prints configuration, tasks and broker; fails if a worker would not start.
pub(super) async fn run(config: &Config, lent: AppType) -> ExitCode {
    println!("configuration");
    for (key, value, origin) in config.explain() {
        println!("  {key} = {value}  ({origin})");
    }
    let tasks = print_tasks(lent);
    let broker = print_broker(config).await;
    if tasks && broker { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print_tasks(lent: AppType) -> bool {
    println!("tasks");
    let mut tasks = Registration::linked();
    tasks.sort_by_key(|task| task.name);
    for task in &tasks {
        let queue = (task.options)().queue.unwrap_or_else(|| limits::DEFAULT_QUEUE.to_owned());
        println!("  {}  queue {queue}  {}", task.name, task.location);
    }
    report(taskq_worker::check_tasks(tasks, lent))
}

async fn print_broker(config: &Config) -> bool {
    println!("broker");
    println!("  {}", crate::config::redacted(&config.broker_url));
    report(test_broker(config).await)
}

async fn test_broker(config: &Config) -> Result<()> {
    let connection = super::connect(config).await?;
    let capabilities = connection.broker().capabilities();
    let now = connection.broker().now().await?;
    let ahead = now.as_millis() - connection.clock().now().as_millis();
    println!("  {} answers; its clock differs from ours by {ahead} ms", capabilities.product);
    for queue in connection.inspect().queues().await? {
        let counts = connection.inspect().counts(&queue).await?;
        println!(
            "  queue {queue}: {} ready, {} scheduled, {} retrying, {} running, {} dead",
            counts.ready, counts.scheduled, counts.retrying, counts.running, counts.dead
        );
    }
    Ok(())
}

fn report(result: Result<()>) -> bool {
    match result {
        Ok(()) => {
            println!("  ok");
            true
        }
        Err(error) => {
            println!("  error: {error}");
            false
        }
    }
}
