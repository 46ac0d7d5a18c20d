//! What the loops of a scheduler share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use taskq_core::{
    CandidateId, Clock, Connection, Error, FencingToken, Timestamp, What, limits,
    retry::{fraction, scramble},
};
use tokio::sync::watch;

use crate::{declaration::Declaration, elector::Leadership, tally::Counters};

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Stands for leader, and ticks when elected.
    Running,
    /// Ticks no more; what is under way ends.
    Draining,
    /// Resigns.
    Ended,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) connection: Connection,
    pub(crate) clock: Clock,
    pub(crate) candidate: CandidateId,
    pub(crate) counters: Counters,
    pub(crate) declaration: Declaration,
    /// Written by the elector alone.
    pub(crate) leadership: watch::Sender<Option<Leadership>>,
    /// The last token that a broker has refused.
    pub(crate) refused: watch::Sender<FencingToken>,
    pub(crate) phase: watch::Sender<Phase>,
    /// When the elector was last answered, in milliseconds of monotonic time.
    heard_at: AtomicU64,
}

impl Shared {
    pub(crate) fn new(connection: Connection, declaration: Declaration) -> Self {
        Self {
            clock: connection.clock().clone(),
            connection,
            candidate: CandidateId::generate(),
            counters: Counters::default(),
            declaration,
            leadership: watch::Sender::new(None),
            refused: watch::Sender::new(FencingToken::default()),
            phase: watch::Sender::new(Phase::Running),
            heard_at: AtomicU64::new(0),
        }
    }

    /// Moves on; phases never go back.
    pub(crate) fn reach(&self, phase: Phase) {
        self.phase.send_if_modified(|present| {
            let later = phase > *present;
            *present = phase.max(*present);
            later
        });
    }

    /// Returns when `phase` is reached.
    pub(crate) async fn reached(&self, phase: Phase) {
        let mut phases = self.phase.subscribe();
        // The sender lives as long as self.
        let _phase = phases.wait_for(|present| *present >= phase).await;
    }

    pub(crate) fn has_reached(&self, phase: Phase) -> bool {
        *self.phase.borrow() >= phase
    }

    /// The broker's time, at least, if this scheduler leads under the token, may believe it, and does not drain.
    pub(crate) fn now_as(&self, token: FencingToken) -> Option<Timestamp> {
        let leadership = self.leadership.borrow().filter(|leadership| leadership.token == token)?;
        let may_tick = self.trusts(&leadership) && !self.has_reached(Phase::Draining);
        may_tick.then(|| leadership.broker_time(self.clock.monotonic()))
    }

    /// The elector was answered.
    pub(crate) fn heard(&self) {
        self.heard_at.store(self.millis(), Ordering::Relaxed);
    }

    /// How long the elector was not answered.
    pub(crate) fn silence(&self) -> Duration {
        Duration::from_millis(self.millis().saturating_sub(self.heard_at.load(Ordering::Relaxed)))
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether a leadership may be believed now.
    pub(crate) fn trusts(&self, leadership: &Leadership) -> bool {
        leadership.is_trusted(self.clock.monotonic()) && *self.refused.borrow() < leadership.token
    }

    /// The broker has refused what carried this token: it is not that of the leader.
    pub(crate) fn refuse(&self, token: FencingToken) {
        self.counters.fenced.add(1);
        self.refused.send_if_modified(|refused| std::mem::replace(refused, token.max(*refused)) < token);
    }

    /// Tells that it leads from now on, or no more, if anybody is to know.
    pub(crate) fn tell_leader(&self, token: FencingToken, leads: bool) {
        if let Some(outlet) = self.connection.outlet() {
            outlet.tell(What::LeaderChanged { scheduler: self.candidate, token, leads });
        }
    }

    /// A broker call failed; the loops repeat it.
    pub(crate) fn broker_trouble(&self, operation: &'static str, error: &Error) {
        self.counters.broker_errors.add(1);
        tracing::warn!(operation, %error, "broker trouble");
    }

    /// The pauses of a loop whose broker calls fail.
    pub(crate) fn pauses(self: &Arc<Self>) -> Pauses {
        Pauses { pause: limits::LOOP_BACKOFF, seed: self.clock.seed(), shared: Arc::clone(self) }
    }
}

/// Pauses that grow, with jitter, until something succeeds.
pub(crate) struct Pauses {
    pause: Duration,
    seed: u64,
    shared: Arc<Shared>,
}

impl Pauses {
    pub(crate) fn reset(&mut self) {
        self.pause = limits::LOOP_BACKOFF;
    }

    /// A random part of a duration.
    pub(crate) fn jitter(&mut self, whole: Duration) -> Duration {
        self.seed = scramble(self.seed);
        fraction(whole, self.seed)
    }

    /// Pauses; at once over when the scheduler drains.
    pub(crate) async fn pause(&mut self) {
        let pause = self.pause / 4 + self.jitter(self.pause * 3 / 4);
        self.pause = (self.pause * 2).min(limits::LOOP_BACKOFF_CAP);
        tokio::select! {
            biased;
            () = self.shared.clock.sleep(pause) => {}
            () = self.shared.reached(Phase::Draining) => {}
        }
    }
}
