//! Which scheduler process may tick: one leader in each namespace, elected by the broker.
//!
//! The promise: of all tokens that a broker gives, a later one is greater, and whoever leads under an older one can
//! change nothing any more (see [`Schedules`](crate::schedules::Schedules)).

use std::{fmt, str::FromStr, time::Duration};

use async_trait::async_trait;

use crate::{
    clock::Timestamp,
    error::{Error, Result},
    id::WorkerId,
};

/// Decides which scheduler process may tick.
///
/// Every method is one atomic step. Terms are measured by the broker: a candidate's clock decides nothing. Repeating any
/// call is harmless.
#[async_trait]
pub trait Leader: fmt::Debug + Send + Sync {
    /// Takes the leadership for `term` if nobody has it, with a token greater than all before.
    ///
    /// A candidate that leads already is elected again under its present token and with a whole term: then the answer
    /// of its first call was lost.
    async fn stand(&self, candidate: CandidateId, term: Duration) -> Result<Standing>;

    /// Prolongs the leadership to `term` from now. A term that is over is not prolonged, even if nobody else has taken
    /// the leadership: the answer is [`Renewal::Lost`], and the candidate has to stand again.
    async fn renew(&self, candidate: CandidateId, token: FencingToken, term: Duration) -> Result<Renewal>;

    /// Ends the leadership at once and tells whoever waits for that. Does nothing for a candidate that does not lead
    /// under this token.
    async fn resign(&self, candidate: CandidateId, token: FencingToken) -> Result<()>;

    /// Returns when the leadership may be free, or after `bound`: a hint, so the caller stands to find out. It waits
    /// without asking again and again, and hears of a resignation at once.
    async fn vacated(&self, bound: Duration) -> Result<()>;

    /// Who leads at present, for people: when the answer arrives it may be somebody else.
    async fn incumbent(&self) -> Result<Option<Incumbent>>;
}

/// One scheduler process: made anew at every start, never reused, so that two processes of one name confuse nobody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CandidateId(WorkerId);

impl CandidateId {
    /// A fresh id.
    pub fn generate() -> Self {
        Self(WorkerId::generate())
    }

    pub(crate) fn as_worker(self) -> WorkerId {
        self.0
    }
}

impl FromStr for CandidateId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text.parse().map(Self)
    }
}

impl fmt::Display for CandidateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for CandidateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The number of a leadership. It grows whenever the leadership passes to a candidate, and every write of a leader
/// carries it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FencingToken(pub u64);

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What became of standing for the leadership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The candidate leads.
    Elected(Elected),
    /// Another one leads. Its term ends after this long, unless it is renewed or resigned before.
    Beaten(Duration),
}

/// Who leads, as others see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incumbent {
    /// The scheduler process.
    pub candidate: CandidateId,
    /// The number of its leadership.
    pub token: FencingToken,
    /// How long its present term lasts, unless it is renewed.
    pub ends_in: Duration,
}

/// A leadership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elected {
    /// What every write of this leader carries.
    pub token: FencingToken,
    /// How long it lasts, from the moment in which the broker gave it.
    pub term: Duration,
    /// The broker's time in that moment.
    pub now: Timestamp,
}

impl Elected {
    /// Until when the leader may believe that it leads: `call_started + term - margin`.
    ///
    /// `call_started` is the leader's monotonic time just before it sent the call that was answered. A margin longer
    /// than the term leaves no trust at all.
    ///
    /// ```
    /// use std::time::Duration;
    /// use taskq_core::{Elected, FencingToken, Timestamp};
    ///
    /// let elected = Elected { token: FencingToken(7), term: Duration::from_secs(6), now: Timestamp::from_millis(0) };
    /// let sent_at = Duration::from_secs(100);
    /// assert_eq!(elected.trusted_until(sent_at, Duration::from_secs(2)), Duration::from_secs(104));
    /// assert_eq!(elected.trusted_until(sent_at, Duration::from_secs(9)), sent_at);
    /// ```
    pub fn trusted_until(&self, call_started: Duration, margin: Duration) -> Duration {
        call_started.saturating_add(self.term.saturating_sub(margin))
    }
}

/// What became of a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// The leadership goes on under its token, for a whole term from now, which is the broker's time.
    Renewed(Timestamp),
    /// It is over. The leader stops ticking and stands again.
    Lost,
}
