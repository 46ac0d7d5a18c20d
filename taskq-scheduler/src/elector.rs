//! Stands for leader, renews the term, steps down, and stands again: a thread and a connection of its own, so that nothing
//! a tick does can delay a renewal. Under a simulated clock it is a loop like the others.
//!
//! ```text
//!              stand: nobody leads                  renew: in time
//!  candidate -----------------------> leader -----------------------+
//!   |     ^                            |   ^                        |
//!   |     |                            |   +------------------------+
//!   |     |  renew: lost,              |
//!   |     |  no renewal while trusted, |
//!   |     |  or a write was fenced     |
//!   |     +----------------------------+
//!   |                                  |
//!   | the scheduler ends               | the scheduler ends: resign
//!   +--------------> ended <-----------+
//! ```
//!
//! # Trust
//!
//! The broker gives leadership for a term and measures the term by its own clock. A leader has to know, without asking,
//! when it must stop. It trusts its leadership until
//!
//! ```text
//! trusted until = start of the last successful call + term - margin
//! ```
//!
//! by its own monotonic clock. The start of the call is what counts, and not its answer: the broker began the term
//! somewhere between the two, so counting from the start is never too late. The margin covers clocks that run at
//! different speeds, and the time between the last look at the clock and the arrival of a write.
//!
//! Trust is for politeness, the token is for safety. A leader can be stopped for an hour between its look at the clock
//! and its write, by a signal, a debugger or a suspended machine. Its write then arrives with an old token, and the
//! broker refuses it in the same step in which it would have been applied. Nothing depends on a clock being right.
//!
//! # How long nobody leads
//!
//! With the figures of `limits.rs`: a term is 2.4 s, renewed every 0.6 s, and a renewal that gets no answer is given up
//! after 0.6 s, so two may fail. A leader that dies is followed when its term ends, 1.8 to 2.4 s later. A candidate does
//! not poll: it is told how long the present term lasts, waits for that or for the bell of a resignation, whichever is
//! first, and stands then. So it asks about once in 2 s, and hears of a clean stop at once.
//!
//! # The broker's time
//!
//! Answers carry the broker's time. The leader adds what has passed on its own monotonic clock since the *answer*, so what
//! it takes for the broker's time is never ahead of it, and no tick is early.

use std::{sync::Arc, time::Duration};

use taskq_core::{
    Connection, Elected, Error, ErrorKind, FencingToken, Leader, Renewal, Result, Standing, Timestamp, limits,
    own_thread::OwnThread,
};

use crate::{
    report,
    shared::{Pauses, Phase, Shared},
};

/// What a scheduler knows of its leadership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leadership {
    pub(crate) token: FencingToken,
    trusted_until: Duration,
    /// When the broker's time was told, by the own monotonic clock.
    told_at: Duration,
    told: Timestamp,
}

impl Leadership {
    pub(crate) fn is_trusted(&self, monotonic: Duration) -> bool {
        monotonic < self.trusted_until
    }

    /// The broker's time, at least.
    pub(crate) fn broker_time(&self, monotonic: Duration) -> Timestamp {
        self.told + monotonic.saturating_sub(self.told_at)
    }
}

/// Starts it; returns when the connection of its own is open.
pub(crate) async fn start(shared: Arc<Shared>) -> Result<OwnThread> {
    let connection = shared.connection.clone();
    let body = async move |own: Connection| {
        tokio::join!(run(Arc::clone(&shared), own.leader().clone()), report::run(shared, &own));
    };
    OwnThread::start("elector", &connection, body).await
}

/// The loop: stand, lead or wait, and stand again.
async fn run(shared: Arc<Shared>, leader: Arc<dyn Leader>) {
    let mut candidacy = Candidacy { pauses: shared.pauses(), shared, leader };
    while !candidacy.shared.has_reached(Phase::Draining) {
        if let Err(error) = candidacy.stand().await {
            candidacy.shared.broker_trouble("stand", &error);
            candidacy.pauses.pause().await;
        }
    }
}

struct Candidacy {
    shared: Arc<Shared>,
    leader: Arc<dyn Leader>,
    pauses: Pauses,
}

/// What a leader does next.
enum Next {
    Renew,
    /// The scheduler ends.
    Resign,
    /// A queue has seen a greater token.
    GiveUp,
}

impl Candidacy {
    /// Stands once, and then leads as long as it can, or waits until it makes sense to stand again.
    async fn stand(&mut self) -> Result<()> {
        let begun = self.shared.clock.monotonic();
        let standing = self.in_time("stand", self.leader.stand(self.shared.candidate, limits::TERM)).await?;
        self.pauses.reset();
        match standing {
            Standing::Elected(elected) => {
                self.lead(begun, elected).await;
                Ok(())
            }
            Standing::Beaten(left) => self.wait(left).await,
        }
    }

    /// Waits until the leadership may be free.
    async fn wait(&mut self, left: Duration) -> Result<()> {
        tokio::select! {
            biased;
            vacated = self.leader.vacated(left) => vacated?,
            () = self.shared.reached(Phase::Draining) => return Ok(()),
        }
        // Not all at the same moment; and if the hint was wrong, not again at once.
        let jitter = limits::STAND_JITTER / 4 + self.pauses.jitter(limits::STAND_JITTER * 3 / 4);
        self.shared.clock.sleep(jitter).await;
        Ok(())
    }

    async fn lead(&mut self, begun: Duration, elected: Elected) {
        let token = elected.token;
        self.shared.counters.elected.add(1);
        tracing::info!(candidate = %self.shared.candidate, %token, "leads");
        self.shared.tell_leader(token, true);
        let mut trusted_until = self.believe(begun, elected);
        let mut renew_at = begun + limits::RENEW;
        loop {
            match self.next(token, renew_at).await {
                Next::Renew => {}
                Next::Resign => return self.resign(token).await,
                Next::GiveUp => {
                    self.resign(token).await;
                    return self.pauses.pause().await;
                }
            }
            let begun = self.shared.clock.monotonic();
            let renewal = self.leader.renew(self.shared.candidate, token, limits::TERM);
            match self.in_time("renew", renewal).await {
                Ok(Renewal::Renewed(now)) => {
                    trusted_until = self.believe(begun, Elected { now, ..elected });
                    renew_at = begun + limits::RENEW;
                }
                Ok(Renewal::Lost) => return self.step_down(token, "its term is over"),
                Err(error) => {
                    self.shared.broker_trouble("renew", &error);
                    if self.shared.clock.monotonic() >= trusted_until {
                        return self.step_down(token, "it could not renew its term");
                    }
                    renew_at = self.shared.clock.monotonic() + limits::RENEW / 8;
                }
            }
        }
    }

    /// Lets the ticker know until when it leads.
    fn believe(&self, begun: Duration, elected: Elected) -> Duration {
        let trusted_until = elected.trusted_until(begun, limits::TERM_MARGIN);
        let told_at = self.shared.clock.monotonic();
        let leadership = Leadership { token: elected.token, trusted_until, told_at, told: elected.now };
        self.shared.leadership.send_replace(Some(leadership));
        trusted_until
    }

    async fn next(&self, token: FencingToken, renew_at: Duration) -> Next {
        let mut refused = self.shared.refused.subscribe();
        tokio::select! {
            biased;
            // The sender lives as long as self.
            _refused = refused.wait_for(|refused| *refused >= token) => Next::GiveUp,
            () = self.shared.reached(Phase::Ended) => Next::Resign,
            () = self.shared.clock.sleep(renew_at.saturating_sub(self.shared.clock.monotonic())) => Next::Renew,
        }
    }

    fn step_down(&self, token: FencingToken, why: &'static str) {
        self.shared.leadership.send_replace(None);
        self.shared.tell_leader(token, false);
        tracing::warn!(candidate = %self.shared.candidate, %token, why, "leads no more");
    }

    /// Hands over. Also when a write was fenced: then a queue has seen a greater token, and the next one given is greater.
    async fn resign(&self, token: FencingToken) {
        // Stop believing before telling: nobody else may lead while this one still ticks.
        self.shared.leadership.send_replace(None);
        self.shared.tell_leader(token, false);
        match self.in_time("resign", self.leader.resign(self.shared.candidate, token)).await {
            Ok(()) => tracing::info!(candidate = %self.shared.candidate, %token, "resigned"),
            // The term ends by itself, and another one leads then.
            Err(error) => self.shared.broker_trouble("resign", &error),
        }
    }

    /// A call that takes a quarter of a term is given up, to be repeated while there is still time.
    async fn in_time<V>(&self, operation: &'static str, call: impl Future<Output = Result<V>>) -> Result<V> {
        let too_late = || Error::new(ErrorKind::DeadlineExceeded, operation, "");
        let answer = self.shared.clock.timeout(limits::RENEW, call).await.map_err(|_| too_late())?;
        if answer.is_ok() {
            self.shared.heard();
        }
        answer
    }
}
