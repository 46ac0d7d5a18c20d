//! [`MemberRow`]: a process of the fleet as people look at it.

use std::time::Duration;

use taskq_core::{
    Figures, MemberId, Request, Timestamp,
    fleet::{MemberKind, Report, ReportedTask},
};

use super::rates::Flow;
use crate::roll::Listed;

/// A process of the fleet.
#[derive(Clone, Debug)]
pub(super) struct MemberRow {
    pub(super) id: MemberId,
    pub(super) seen_at: Timestamp,
    /// What it says of itself; nothing if another version says it in a way that this one does not read.
    pub(super) report: Option<Report>,
    pub(super) drain_asked: bool,
    pub(super) flow: Option<Flow>,
}

impl MemberRow {
    /// Reads what a member says, and what it has counted.
    pub(super) fn read(listed: Listed) -> (Self, Option<Figures>) {
        let Listed { member, mut report } = listed;
        let figures = report.as_mut().map(|report| std::mem::take(&mut report.figures));
        let drain_asked = matches!(member.asked, Some(Request::Drain));
        (Self { id: member.id, seen_at: member.seen_at, report, drain_asked, flow: None }, figures)
    }

    pub(super) fn is(&self, kind: MemberKind) -> bool {
        self.report.as_ref().is_some_and(|report| report.kind == kind)
    }

    /// What it does, in a word of the style sheet and of people.
    pub(super) fn condition(&self) -> &'static str {
        match &self.report {
            None => "unreadable",
            Some(report) if report.draining => "draining",
            Some(report) if report.not_ready.is_some() => "not ready",
            Some(_) if self.drain_asked => "asked to drain",
            Some(report) if report.leads.is_some() => "leading",
            Some(report) if report.kind == MemberKind::Scheduler => "standing by",
            Some(report) if report.running_count > 0 => "working",
            Some(_) => "idle",
        }
    }

    /// All slots of all lanes.
    pub(super) fn slots(&self) -> u64 {
        self.report.iter().flat_map(|report| &report.lanes).map(|lane| lane.slots).sum()
    }

    /// What of the machine's and the program's names people look for first.
    pub(super) fn name(&self) -> String {
        match &self.report {
            Some(report) => format!("{} · {}", report.host, report.pid),
            None => self.id.to_string(),
        }
    }

    /// How far its clock is from the broker's, if that can be seen beside the way of a message.
    pub(super) fn clock_error(&self) -> Option<Duration> {
        let sent_at = self.report.as_ref()?.sent_at;
        let error = Duration::from_millis(sent_at.as_millis().abs_diff(self.seen_at.as_millis()));
        (error >= Duration::from_secs(2)).then_some(error)
    }
}

/// For how long a task has run at this moment.
pub(super) fn running_for(task: &ReportedTask, seen_at: Timestamp, now: Timestamp) -> Duration {
    Duration::from_millis(task.for_ms) + now.since(seen_at)
}
