//! Claims tasks for the free slots of one lane: the slot first, then the claim.

use std::{sync::Arc, time::Duration};

use taskq_core::{
    ErrorKind, QueueName,
    broker::{ClaimAnswer, Claimed},
    id::Owner,
    limits,
};
use tokio::sync::OwnedSemaphorePermit;

use crate::{lane::Lane, runner, shutdown::Phase, worker::Shared};

/// One lane's loop.
pub(crate) struct Fetcher {
    shared: Arc<Shared>,
    lane: Arc<Lane>,
    /// Queues where the answer of a claim was lost: tasks may be held that nobody runs.
    unheard: Vec<QueueName>,
}

/// What one round over the queues brought.
#[derive(Default)]
struct Round {
    claimed: usize,
    next_due: Option<Duration>,
    failed: bool,
}

impl Fetcher {
    pub(crate) fn new(shared: Arc<Shared>, lane: Arc<Lane>) -> Self {
        Self { shared, lane, unheard: Vec::new() }
    }

    /// The loop; ends when the worker drains.
    pub(crate) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let mut backoff = shared.backoff();
        while shared.phases.present() == Phase::Running {
            let slots = tokio::select! {
                slots = self.free_slots() => slots,
                () = shared.phases.reached(Phase::Draining) => return,
            };
            // A claim is never dropped half-way: what the broker handed out would be held by nobody.
            let round = self.claim_round(slots).await;
            if round.failed {
                backoff.pause_unless_draining(&shared).await;
                continue;
            }
            backoff.reset();
            if round.claimed == 0 {
                self.wait_for_work(round.next_due).await;
            }
        }
    }

    /// Waits for a free slot, then takes as many as are free, up to one claim.
    async fn free_slots(&self) -> OwnedSemaphorePermit {
        let slots = Arc::clone(&self.lane.slots);
        let mut taken = slots.clone().acquire_owned().await.expect("a lane never closes its semaphore");
        let more = slots.available_permits().min(limits::CLAIM_BATCH - 1);
        // Only this fetcher takes permits, so what was available still is.
        if let Ok(rest) = slots.try_acquire_many_owned(u32::try_from(more).unwrap_or(0)) {
            taken.merge(rest);
        }
        taken
    }

    /// Asks the lane's queues in order until the slots are used.
    async fn claim_round(&mut self, mut slots: OwnedSemaphorePermit) -> Round {
        let mut round = Round::default();
        for queue in self.lane.in_order(self.shared.next_seed()) {
            if slots.num_permits() == 0 {
                break;
            }
            match self.claim(&queue, slots.num_permits()).await {
                Some((owner, answer)) => {
                    round.claimed += answer.claimed.len();
                    round.next_due = earlier(round.next_due, answer.next_due);
                    self.start_all(&queue, owner, answer.claimed, &mut slots);
                }
                None => round.failed = true,
            }
        }
        round
    }

    /// One claim; `None` when the broker failed or the lease was lost.
    async fn claim(&mut self, queue: &QueueName, count: usize) -> Option<(Owner, ClaimAnswer)> {
        let owner = self.join(queue).await?;
        if self.unheard.contains(queue) {
            return self.find_unheard(queue, owner).await;
        }
        match self.shared.broker.claim(owner, queue, count).await {
            Ok(answer) => Some((owner, answer)),
            Err(error) if error.kind() == ErrorKind::Fenced => {
                self.shared.lease_lost(queue, owner);
                None
            }
            Err(error) => {
                self.shared.broker_trouble("claim", &error);
                self.unheard.push(queue.clone());
                None
            }
        }
    }

    /// The owner to claim as, joining first where that has not happened or the lease was lost.
    async fn join(&self, queue: &QueueName) -> Option<Owner> {
        let owner = match self.shared.terms.present(queue) {
            Ok(owner) => return Some(owner),
            Err(owner) => owner,
        };
        match self.shared.broker.join(owner, queue).await {
            Ok(()) => {
                self.shared.terms.joined(queue, owner);
                Some(owner)
            }
            Err(error) => {
                if error.kind() == ErrorKind::Fenced {
                    self.shared.terms.refused(queue, owner);
                }
                self.shared.broker_trouble("join", &error);
                None
            }
        }
    }

    /// After a claim without an answer: takes up what is held and not running.
    async fn find_unheard(&mut self, queue: &QueueName, owner: Owner) -> Option<(Owner, ClaimAnswer)> {
        match self.shared.broker.held(owner, queue).await {
            Ok(mut claimed) => {
                self.unheard.retain(|name| name != queue);
                claimed.retain(|claimed| !self.shared.attempts.is_running(queue, claimed));
                Some((owner, ClaimAnswer { claimed, next_due: Some(Duration::ZERO) }))
            }
            Err(error) => {
                self.shared.broker_trouble("list what is held", &error);
                None
            }
        }
    }

    /// Starts every claimed task in a slot of its own. What was unheard may be more than the free slots: then the rest
    /// waits for the next round.
    fn start_all(&mut self, queue: &QueueName, owner: Owner, claimed: Vec<Claimed>, slots: &mut OwnedSemaphorePermit) {
        for claimed in claimed {
            match slots.split(1) {
                Some(slot) => runner::start(&self.shared, queue, owner, claimed, slot),
                None => {
                    self.unheard.push(queue.clone());
                    return;
                }
            }
        }
    }

    /// Waits for the doorbell, the next due time, or a hint that something was missed.
    async fn wait_for_work(&self, next_due: Option<Duration>) {
        let shared = &self.shared;
        let bound = next_due.map_or(limits::CLAIM_WAIT, |due| due.min(limits::CLAIM_WAIT));
        if bound.is_zero() {
            return;
        }
        let owners: Vec<_> = self
            .lane
            .queues
            .iter()
            .filter_map(|(queue, _)| Some((shared.terms.present(queue).ok()?, queue.clone())))
            .collect();
        // Dropping the wait loses nothing: it is only a hint.
        tokio::select! {
            woken = shared.broker.work_arrived(&owners, bound) => {
                if let Err(error) = woken {
                    shared.broker_trouble("wait for work", &error);
                    shared.backoff().pause_unless_draining(shared).await;
                }
            }
            () = self.lane.nudge.notified() => {}
            () = shared.clock.sleep(bound) => {}
            () = shared.phases.reached(Phase::Draining) => {}
        }
    }
}

fn earlier(first: Option<Duration>, second: Option<Duration>) -> Option<Duration> {
    match (first, second) {
        (Some(first), Some(second)) => Some(first.min(second)),
        (first, second) => first.or(second),
    }
}
