//! What a worker tells the fleet of itself, and what it does when it is asked to drain.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use taskq_core::{
    Connection, Report, Request,
    fleet::{self, LaneReport, MemberKind, ReportedTask, Reporting},
    limits,
};

use crate::{
    batch::Batch,
    lane::Lane,
    readiness::{self, Readiness},
    shutdown::Phase,
    worker::Shared,
};

/// The loop, on the thread and connection of the heartbeat: a worker whose other threads are all blocked is what people
/// want to see.
pub(crate) async fn run(shared: Arc<Shared>, connection: &Connection) {
    let mut ended = shared.ended();
    let always = Report {
        lanes: shared.lanes.iter().map(|lane| lane_report(lane)).collect(),
        task_count: shared.registry.len() as u64,
        tasks: shared
            .registry
            .tasks()
            .take(limits::REPORTED_TASKS)
            .map(|task| task.registration.name.to_owned())
            .collect(),
        ..Report::of_this_process(MemberKind::Worker, shared.clock.now())
    };
    let told = Told { always, shared: Arc::clone(&shared) };
    fleet::report(connection, shared.terms.worker().into(), &told, ended.wait()).await;
}

/// A worker that tells.
struct Told {
    shared: Arc<Shared>,
    /// What does not change.
    always: Report,
}

impl Reporting for Told {
    fn report(&self) -> Report {
        let shared = &self.shared;
        let (running, running_count) = running(shared);
        Report {
            sent_at: shared.clock.now(),
            draining: shared.phases.present() >= Phase::Draining,
            not_ready: match readiness::of(shared) {
                Readiness::Ready => None,
                Readiness::NotReady(why) => Some(why),
            },
            running,
            running_count,
            figures: shared.figures().without_idle_tasks(),
            ..self.always.clone()
        }
    }

    fn is_busy(&self) -> bool {
        !self.shared.attempts.is_empty()
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.shared.attempts.changed())
    }

    fn asked(&self, request: Request) {
        match request {
            Request::Drain if self.shared.phases.present() < Phase::Draining => {
                tracing::info!(worker = %self.shared.terms.worker(), "an operator asked it to drain");
                self.shared.phases.reach(Phase::Draining);
            }
            _ => {}
        }
    }
}

fn lane_report(lane: &Lane) -> LaneReport {
    let names = lane.queues.iter().map(|(queue, _)| queue.to_string());
    LaneReport { queues: names.collect(), slots: lane.size as u64 }
}

/// What runs, those first that have run longest, and how many there are.
fn running(shared: &Shared) -> (Vec<ReportedTask>, u64) {
    let now = shared.clock.monotonic();
    let mut attempts = shared.attempts.all();
    let count = attempts.len() as u64;
    // Tokens grow within a queue alone; times tell which of two queues' tasks has run longer.
    attempts.sort_by_key(|attempt| (Batch::handed_out_at(attempt), attempt.token()));
    let reported = attempts.iter().take(limits::REPORTED_RUNNING).map(|attempt| ReportedTask {
        id: attempt.id().to_string(),
        task: attempt.envelope().task.to_string(),
        attempt: attempt.envelope().attempts + 1,
        for_ms: u64::try_from(now.saturating_sub(Batch::handed_out_at(attempt)).as_millis()).unwrap_or(0),
    });
    (reported.collect(), count)
}
