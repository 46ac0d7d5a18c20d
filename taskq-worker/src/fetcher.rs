//! Claims tasks for the free slots of one lane: the slot first, then the claim.

use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use taskq_core::{
    Error, ErrorKind, QueueName,
    broker::{ClaimAnswer, Claimed},
    bug::Bug,
    id::{ClaimNumber, DeliveryToken, Owner},
    limits,
};
use tokio::sync::OwnedSemaphorePermit;

use crate::{attempts::DeliveryId, batch, lane::Lane, shutdown::Phase, worker::Shared};

/// Rounds under way at once while there is more work than slots: one is answered while the next is taken apart.
const IN_FLIGHT: usize = 2;

/// How much longer than asked a wait for work may take before the fetcher looks for itself.
const OVERDUE: Duration = Duration::from_secs(2);

/// One lane's loop.
pub(crate) struct Fetcher {
    shared: Arc<Shared>,
    lane: Arc<Lane>,
    /// Queues where tasks may be held that nobody runs: the answer of a claim was lost, or the broker was away, which may
    /// have forgotten that they ended.
    unheard: Mutex<Vec<QueueName>>,
    /// How often the broker had been away when that was last looked after.
    reconnects: AtomicU64,
    /// What came with the last ring: the next claim answers it again.
    handed: Mutex<Vec<DeliveryToken>>,
    /// The newest delivery that a claim answered. A ring that is no newer is late: that claim has answered it too.
    newest: AtomicU64,
    /// Claims that were sent so far.
    claims: AtomicU64,
}

/// What one round over the queues brought.
#[derive(Default)]
struct Round {
    claimed: usize,
    next_due: Option<Duration>,
    failed: bool,
    /// Every slot found a task: there is probably more.
    full: bool,
}

impl Fetcher {
    pub(crate) fn new(shared: Arc<Shared>, lane: Arc<Lane>) -> Self {
        Self {
            reconnects: AtomicU64::new(shared.broker.reconnects()),
            shared,
            lane,
            unheard: Mutex::default(),
            handed: Mutex::default(),
            newest: AtomicU64::new(0),
            claims: AtomicU64::new(0),
        }
    }

    /// The loop; ends when the worker drains.
    pub(crate) async fn run(self) {
        let shared = &self.shared;
        let mut backoff = shared.backoff();
        let mut rounds = FuturesUnordered::new();
        let mut at_once = 1;
        while shared.phases.present() == Phase::Running || !rounds.is_empty() {
            let round = tokio::select! {
                biased;
                slots = self.free_slots(self.worth_a_round(rounds.len())),
                    if rounds.len() < at_once && shared.phases.present() == Phase::Running => {
                    self.begin_round(slots, &mut rounds).await;
                    continue;
                }
                // A claim is never dropped half-way: what the broker handed out would be held by nobody.
                Some(round) = rounds.next(), if !rounds.is_empty() => round,
                () = shared.phases.reached(Phase::Draining), if rounds.is_empty() => return,
            };
            // To find what is held unheard, no other claim may be under way.
            let was_away = self.was_away();
            if was_away && rounds.is_empty() {
                self.look_everywhere();
            }
            let is_all_heard = !was_away && self.unheard().is_empty();
            at_once = if round.full && is_all_heard { IN_FLIGHT } else { 1 };
            if round.failed {
                backoff.pause_unless_draining(shared).await;
                continue;
            }
            backoff.reset();
            if round.claimed == 0 && rounds.is_empty() && is_all_heard {
                self.wait_for_work(round.next_due).await;
            }
        }
    }

    fn handed(&self) -> MutexGuard<'_, Vec<DeliveryToken>> {
        // Nothing panics while holding it.
        self.handed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unheard(&self) -> MutexGuard<'_, Vec<QueueName>> {
        // Nothing panics while holding it.
        self.unheard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the broker was away since it was last looked everywhere.
    fn was_away(&self) -> bool {
        self.shared.broker.reconnects() != self.reconnects.load(Ordering::Relaxed)
    }

    /// Has the next claims look what is held. A server that comes back without its last moments holds what had ended in them,
    /// and would as long as this worker lives.
    fn look_everywhere(&self) {
        self.reconnects.store(self.shared.broker.reconnects(), Ordering::Relaxed);
        *self.unheard() = self.lane.queues.iter().map(|(queue, _)| queue.clone()).collect();
    }

    /// Sends a round's first claim before anything else happens. With another one under way it also lets the connection
    /// write: what was answered before takes long to take apart, and the broker shall not be idle meanwhile.
    async fn begin_round<'a>(
        &'a self,
        slots: OwnedSemaphorePermit,
        rounds: &mut FuturesUnordered<BoxFuture<'a, Round>>,
    ) {
        let mut round: BoxFuture<'a, Round> = Box::pin(self.claim_round(slots));
        match poll_fn(|cx| Poll::Ready(round.as_mut().poll(cx))).await {
            Poll::Ready(round) => rounds.push(Box::pin(std::future::ready(round))),
            Poll::Pending => rounds.push(round),
        }
        if rounds.len() > 1 {
            tokio::task::yield_now().await;
        }
    }

    /// How many free slots are worth another round: one if none is under way, so that no task waits for a batch.
    fn worth_a_round(&self, under_way: usize) -> usize {
        if under_way == 0 { 1 } else { (self.lane.size / 4).clamp(1, limits::CLAIM_BATCH) }
    }

    /// Waits for that many free slots, then takes as many as are free, up to one claim.
    async fn free_slots(&self, least: usize) -> OwnedSemaphorePermit {
        let slots = Arc::clone(&self.lane.slots);
        let count = u32::try_from(least).expect("at most one claim");
        let mut taken = slots.clone().acquire_many_owned(count).await.expect("a lane never closes its semaphore");
        let more = slots.available_permits().min(limits::CLAIM_BATCH - least);
        // Only this fetcher takes permits, so what was available still is.
        if let Ok(rest) = slots.try_acquire_many_owned(u32::try_from(more).unwrap_or(0)) {
            taken.merge(rest);
        }
        taken
    }

    /// Asks the lane's queues in order until the slots are used.
    async fn claim_round(&self, mut slots: OwnedSemaphorePermit) -> Round {
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
        round.full = slots.num_permits() == 0 && round.claimed > 0;
        round
    }

    /// One claim; `None` when the broker failed or the lease was lost.
    async fn claim(&self, queue: &QueueName, count: usize) -> Option<(Owner, ClaimAnswer)> {
        let owner = self.join(queue).await?;
        let is_unheard = self.unheard().contains(queue);
        if is_unheard {
            return self.find_unheard(queue, owner).await;
        }
        let number = ClaimNumber(self.claims.fetch_add(1, Ordering::Relaxed) + 1);
        let sent = self.shared.clock.monotonic();
        match self.shared.broker.claim(owner, queue, count, number).await {
            Ok(mut answer) => {
                let now = self.shared.clock.monotonic();
                self.lane.ear.heard(now);
                self.shared.meter.queue(queue).claims.record(now.saturating_sub(sent), answer.claimed.len());
                let tokens = answer.claimed.iter().map(|claimed| claimed.token.0);
                self.newest.fetch_max(tokens.max().unwrap_or(0), Ordering::Relaxed);
                let handed = std::mem::take(&mut *self.handed());
                answer.claimed.retain(|claimed| !handed.contains(&claimed.token));
                Some((owner, answer))
            }
            Err(error) if error.kind() == ErrorKind::Fenced => {
                self.shared.lease_lost(queue, owner);
                None
            }
            Err(error) => {
                self.failed("claim", &error);
                if !self.shared.planted.is(Bug::UnheardClaimForgotten) {
                    self.unheard().push(queue.clone());
                }
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
        match self.shared.broker.join(owner, queue, self.shared.lease).await {
            Ok(()) => {
                self.shared.terms.joined(queue, owner);
                Some(owner)
            }
            Err(error) => {
                if error.kind() == ErrorKind::Fenced {
                    self.shared.terms.refused(queue, owner);
                }
                self.failed("join", &error);
                None
            }
        }
    }

    fn failed(&self, operation: &'static str, error: &Error) {
        self.lane.ear.failed(self.shared.clock.monotonic(), error);
        self.shared.broker_trouble(operation, error);
    }

    /// After a claim without an answer, or with a broker that was away: takes up what is held and not running.
    async fn find_unheard(&self, queue: &QueueName, owner: Owner) -> Option<(Owner, ClaimAnswer)> {
        self.shared.attempts.look(queue);
        let last = ClaimNumber(self.claims.load(Ordering::Relaxed));
        let held = self.shared.broker.held(owner, queue, last).await;
        // What ended while the broker listed it has run; it must not begin again.
        let ended = self.shared.attempts.looked(queue);
        match held {
            Ok(mut claimed) => {
                self.unheard().retain(|name| name != queue);
                claimed.retain(|claimed| !self.shared.attempts.is_running(queue, claimed));
                claimed.retain(|claimed| !ended.contains(&DeliveryId::of_claimed(claimed)));
                Some((owner, ClaimAnswer { claimed, next_due: Some(Duration::ZERO) }))
            }
            Err(error) if error.kind() == ErrorKind::Fenced => {
                self.shared.lease_lost(queue, owner);
                None
            }
            Err(error) => {
                self.failed("list what is held", &error);
                None
            }
        }
    }

    /// Starts every claimed task in a slot of its own. What was unheard may be more than the free slots: then the rest
    /// waits for the next round.
    fn start_all(&self, queue: &QueueName, owner: Owner, mut claimed: Vec<Claimed>, slots: &mut OwnedSemaphorePermit) {
        if claimed.len() > slots.num_permits() {
            claimed.truncate(slots.num_permits());
            self.unheard().push(queue.clone());
        }
        if let Some(taken) = slots.split(claimed.len()).filter(|_| !claimed.is_empty()) {
            batch::start(&self.shared, queue, owner, claimed, taken);
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
        let woken = tokio::select! {
            biased;
            woken = shared.broker.work_arrived(&owners, bound) => Some(woken),
            () = self.lane.nudge.notified() => None,
            () = shared.clock.sleep(bound + OVERDUE) => None,
            () = shared.phases.reached(Phase::Draining) => None,
        };
        match woken {
            Some(Ok(handed)) => {
                self.lane.ear.heard(shared.clock.monotonic());
                self.start_handed(handed, &owners).await;
            }
            Some(Err(error)) => {
                self.failed("wait for work", &error);
                shared.backoff().pause_unless_draining(shared).await;
            }
            None => {}
        }
    }

    /// Starts what came with the ring. Nobody else takes this lane's slots, so what was free when the wait began still is.
    async fn start_handed(&self, mut handed: Vec<Claimed>, owners: &[(Owner, QueueName)]) {
        let newest = self.newest.load(Ordering::Relaxed);
        handed.retain(|claimed| claimed.token.0 > newest);
        if handed.is_empty() {
            return;
        }
        *self.handed() = handed.iter().map(|claimed| claimed.token).collect();
        for claimed in handed {
            let Some((owner, queue)) = owners.iter().find(|(_, queue)| *queue == claimed.envelope.id.queue) else {
                continue;
            };
            let mut slot = self.free_slots(1).await;
            if let Some(slot) = slot.split(1) {
                batch::start(&self.shared, queue, *owner, vec![claimed], slot);
            }
        }
        // First they begin; then the next claim goes out, behind the settlement of what ended at once.
        tokio::task::yield_now().await;
    }
}

fn earlier(first: Option<Duration>, second: Option<Duration>) -> Option<Duration> {
    match (first, second) {
        (Some(first), Some(second)) => Some(first.min(second)),
        (first, second) => first.or(second),
    }
}
