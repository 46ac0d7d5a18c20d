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

/// The worker with the tasks of health checks. It serves their queues unless it is told which to serve: by the command line,
/// or because nothing is to be watched. A check that hangs holds a slot, so there is one for each.
pub(super) fn with_checks(
    worker: WorkerBuilder,
    monitor: &Arc<Monitor>,
    config: &Config,
    is_told: bool,
) -> WorkerBuilder {
    let worker = Monitor::tasks().into_iter().fold(worker, |worker, task| worker.bring(task, Arc::clone(monitor)));
    let watched = config.watchlist().checks.len();
    if is_told || !config.watches_health() {
        return worker;
    }
    let queues =
        [(QUEUE, watched.clamp(limits::DEFAULT_SLOTS, limits::MAX_HEALTH_SLOTS)), (NOTICES, limits::DEFAULT_SLOTS)];
    queues.into_iter().fold(worker, |worker, (queue, slots)| match worker.serves(queue) {
        true => worker,
        false => worker.queue(queue, slots),
    })
}
