//! Renews this worker's leases, from a thread and a connection of its own: nothing that bodies do can delay it.

use std::sync::Arc;

use taskq_core::{
    Connection, Error, ErrorKind, QueueName, Result,
    broker::{BeatAnswer, Broker},
    bug::Bug,
    id::Owner,
    limits,
    own_thread::OwnThread,
};

use crate::{readiness, report, worker::Shared};

/// Starts beating; returns when the connection of its own is open.
pub(crate) async fn start(shared: Arc<Shared>, connection: &Connection) -> Result<OwnThread> {
    let body = async move |own: Connection| {
        tokio::join!(run(Arc::clone(&shared), own.broker().clone()), report::run(shared, &own));
    };
    OwnThread::start("heartbeat", connection, body).await
}

/// The loop: beat, act on the answers, sleep for as long as the lease allows.
async fn run(shared: Arc<Shared>, broker: Arc<dyn Broker>) {
    let mut ended = shared.ended();
    let mut backoff = shared.backoff();
    loop {
        let begun = shared.clock.monotonic();
        let beats = shared.terms.all_joined();
        // A call that takes a third of the lease is given up, to be repeated while there is still time.
        match shared.clock.timeout(shared.lease / 3, broker.beat(&beats)).await {
            Ok(Ok(answers)) => {
                backoff.reset();
                shared.ears.heartbeat.heard(shared.clock.monotonic());
                for ((owner, queue), answer) in beats.into_iter().zip(answers) {
                    act(&shared, owner, &queue, answer);
                }
            }
            Ok(Err(error)) => {
                shared.ears.heartbeat.failed(shared.clock.monotonic(), &error);
                shared.broker_trouble("beat", &error);
                readiness::log_changes(&shared);
                if shared.planted.is(Bug::HeartbeatGivesUp) || !backoff.pause(&shared, &mut ended).await {
                    return;
                }
                continue;
            }
            Err(_) => {
                let error = Error::new(ErrorKind::DeadlineExceeded, "beat", "");
                shared.ears.heartbeat.failed(shared.clock.monotonic(), &error);
                shared.broker_trouble("beat", &error);
                readiness::log_changes(&shared);
                continue;
            }
        }
        readiness::log_changes(&shared);
        if !sleep_until_next(&shared, begun, &mut ended).await {
            return;
        }
    }
}

/// Does what a beat's answer asks for.
pub(crate) fn act(shared: &Shared, owner: Owner, queue: &QueueName, answer: BeatAnswer) {
    if !answer.alive {
        return shared.lease_lost(queue, owner);
    }
    if !answer.cancelled.is_empty() {
        shared.attempts.stop_cancelled(queue, owner, &answer.cancelled);
    }
    if answer.ready {
        // Whoever waits with free slots has missed its doorbell.
        shared.nudge(queue);
    }
    let at = answer.sweep_in.map(|sweep_in| shared.clock.monotonic() + sweep_in + crate::sweeper::jitter(shared));
    shared.sweeps.set(queue, at);
}

/// Sleeps until the next beat is due: sooner when something runs. False when the worker ends.
async fn sleep_until_next(shared: &Shared, begun: std::time::Duration, ended: &mut crate::shutdown::Ended) -> bool {
    let wall = shared.clock.now();
    loop {
        let changed = shared.attempts.changed();
        let interval = match shared.attempts.is_empty() {
            true => limits::beat_idle(shared.lease),
            false => limits::beat_busy(shared.lease),
        };
        let left = match shared.planted.is(Bug::BeatByWallClock) {
            true => (wall + interval).since(shared.clock.now()),
            false => (begun + interval).saturating_sub(shared.clock.monotonic()),
        };
        if left.is_zero() {
            return true;
        }
        tokio::select! {
            biased;
            () = shared.clock.sleep(left) => return true,
            () = changed => {}
            () = ended.wait() => return false,
        }
    }
}
