//! Health checks on a worker: what it needs for them, and the queues that it serves for them.

use std::sync::Arc;

use taskq_core::{Connection, limits};
use taskq_scheduler::{
    alert::Courier,
    health::{Monitor, NOTICES, QUEUE},
};
use taskq_worker::WorkerBuilder;

use crate::config::Config;

/// What looks and tells by this configuration.
pub(super) fn monitor(connection: &Connection, config: &Config) -> Arc<Monitor> {
    let clock = connection.clock();
    let mut observer = crate::observer(clock.clone());
    if config.check_commands {
        observer = observer.run_commands();
    }
    Arc::new(Monitor::new(observer, Courier::new(clock.clone()), config.watchlist()))
}

/// The worker with the tasks of health checks, and how many looks it takes at a time if it takes any.
///
/// It serves their queues if there is a configuration that says, or may say while it runs, what to look at; unless the command
/// line says which queues it serves. A check that hangs holds a slot, so there is at least one for each.
pub(super) fn with_checks(
    worker: WorkerBuilder,
    monitor: &Arc<Monitor>,
    config: &Config,
    is_told: bool,
) -> (WorkerBuilder, Option<usize>) {
    let worker = Monitor::tasks().into_iter().fold(worker, |worker, task| worker.bring(task, Arc::clone(monitor)));
    if is_told || !(config.watches_health() || config.file().is_some()) {
        return (worker, None);
    }
    let checks = config.watchlist().checks.len();
    let slots = checks.clamp(limits::MIN_HEALTH_SLOTS, limits::MAX_HEALTH_SLOTS);
    // Whoever serves them already has said with how many slots.
    let own = (!worker.serves(QUEUE)).then_some(slots);
    let queues = [(QUEUE, slots), (NOTICES, limits::DEFAULT_SLOTS)];
    let worker = queues.into_iter().fold(worker, |worker, (queue, slots)| match worker.serves(queue) {
        true => worker,
        false => worker.queue(queue, slots),
    });
    (worker, own)
}
