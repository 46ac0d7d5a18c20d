//! What a scheduler tells the fleet of itself, and what it does when it is asked to drain.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use taskq_core::{
    Connection, Report, Request,
    fleet::{self, MemberKind, Reporting},
};

use crate::{
    scheduler::Pulse,
    shared::{Phase, Shared},
};

/// The loop, on the thread and connection of the elector.
pub(crate) async fn run(shared: Arc<Shared>, connection: &Connection) {
    let always = Report::of_this_process(MemberKind::Scheduler, shared.clock.now());
    let told = Told { pulse: Pulse::new(Arc::clone(&shared)), always, shared: Arc::clone(&shared) };
    fleet::report(connection, shared.candidate.into(), &told, shared.reached(Phase::Ended)).await;
}

/// A scheduler that tells.
struct Told {
    shared: Arc<Shared>,
    pulse: Pulse,
    /// What does not change.
    always: Report,
}

impl Reporting for Told {
    fn report(&self) -> Report {
        let leads = self.shared.leadership.borrow().filter(|leadership| self.shared.trusts(leadership));
        Report {
            sent_at: self.shared.clock.now(),
            draining: self.shared.has_reached(Phase::Draining),
            not_ready: self.pulse.readiness().err(),
            leads: leads.map(|leadership| leadership.token.0),
            ..self.always.clone()
        }
    }

    fn is_busy(&self) -> bool {
        false
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        let mut leadership = self.shared.leadership.subscribe();
        Box::pin(async move {
            let token = leadership.borrow_and_update().map(|leadership| leadership.token);
            // Each renewal is a change too; only another leadership is one to tell.
            let is_another = |now: &Option<crate::elector::Leadership>| now.map(|leadership| leadership.token) != token;
            // The sender lives as long as self.
            let _changed = leadership.wait_for(is_another).await;
        })
    }

    fn asked(&self, request: Request) {
        match request {
            Request::Drain if !self.shared.has_reached(Phase::Draining) => {
                tracing::info!(candidate = %self.shared.candidate, "an operator asked it to drain");
                self.shared.reach(Phase::Draining);
            }
            _ => {}
        }
    }
}
