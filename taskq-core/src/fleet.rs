//! The contract for the fleet: which processes work on a broker, what they do, and what an operator asks of one.
//!
//! A member reports now and then. Its report is kept with the time of the broker's clock, and forgotten when no other
//! follows. Nothing depends on it but what people see: who may hold tasks is decided by leases, and who ticks by terms.
//!
//! What is asked of a member waits at the broker until its next report, whose answer brings it. So nobody has to be
//! reached at a given moment, and a wish is not lost with a message.

mod report;
mod reporter;

use std::{fmt, str::FromStr, time::Duration};

use async_trait::async_trait;

use crate::{
    clock::Timestamp,
    error::{Error, ErrorKind, Result},
    id::WorkerId,
    leader::CandidateId,
    limits,
};

pub use report::{LaneReport, MemberKind, Report, ReportedTask};
pub use reporter::{Reporting, report};

/// Keeps the reports of the processes that work on a broker.
///
/// Every method is one atomic step, and repeating it is harmless.
#[async_trait]
pub trait Fleet: fmt::Debug + Send + Sync {
    /// Replaces the report of a member, to be kept for so long. The answer is what somebody asks of it, for as long as it
    /// is a member.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] for a report over [`limits::MAX_REPORT`].
    async fn check_in(&self, member: MemberId, report: &str, kept: Duration) -> Result<Option<Request>>;

    /// Forgets a member.
    async fn check_out(&self, member: MemberId) -> Result<()>;

    /// Members in the order of their ids, after `after` (the last of the page before). At most `count`, and never more
    /// than [`limits::MAX_PAGE`]. A page can be shorter, since brokers bound its bytes; an empty one is the end.
    async fn members(&self, after: Option<MemberId>, count: usize) -> Result<Vec<Member>>;

    /// Asks something of a member. False if there is no such member.
    async fn ask(&self, member: MemberId, request: Request) -> Result<bool>;
}

/// A process in the fleet: a worker or a scheduler, by the id under which brokers know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(WorkerId);

impl MemberId {
    /// The worker of this id.
    pub fn worker(self) -> WorkerId {
        self.0
    }
}

impl From<WorkerId> for MemberId {
    fn from(worker: WorkerId) -> Self {
        Self(worker)
    }
}

impl From<CandidateId> for MemberId {
    fn from(candidate: CandidateId) -> Self {
        Self(candidate.as_worker())
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for MemberId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text.parse().map(Self)
    }
}

/// A member as the broker knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: MemberId,
    /// When its report came, by the broker's clock.
    pub seen_at: Timestamp,
    /// Its report, as it was sent: a [`Report`] in JSON, if it comes from a taskq of this age.
    pub report: String,
    /// What is asked of it.
    pub asked: Option<Request>,
}

/// What an operator can ask of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// Claim no more, finish what runs, and end.
    Drain,
}

impl Request {
    /// Its name, as brokers keep it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Drain => "drain",
        }
    }

    /// Reads its name; one of a newer version is none that this version could follow.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "drain" => Some(Self::Drain),
            _ => None,
        }
    }
}

/// For brokers: refuses a report that is too long to keep.
pub fn check_report(member: MemberId, report: &str) -> Result<()> {
    if report.len() <= limits::MAX_REPORT {
        return Ok(());
    }
    let why = format!("its report has {} bytes; the limit is {}", report.len(), limits::MAX_REPORT);
    Err(Error::new(ErrorKind::TooLarge, "check in", member).because(why))
}
