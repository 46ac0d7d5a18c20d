//! Who works: the rules of [`Fleet`](crate::Fleet), in plain Rust.

use std::{collections::BTreeMap, ops::Bound, time::Duration};

use crate::{
    clock::Timestamp,
    fleet::{Member, MemberId, Request},
};

/// The members of a namespace.
#[derive(Debug, Default)]
pub(super) struct MemoryFleet {
    members: BTreeMap<MemberId, Kept>,
}

#[derive(Debug)]
struct Kept {
    report: String,
    seen_at: Timestamp,
    until: Timestamp,
    asked: Option<Request>,
}

impl MemoryFleet {
    pub(super) fn check_in(&mut self, now: Timestamp, id: MemberId, report: &str, kept: Duration) -> Option<Request> {
        self.members.retain(|_, member| member.until > now);
        let asked = self.members.get(&id).and_then(|member| member.asked);
        self.members.insert(id, Kept { report: report.to_owned(), seen_at: now, until: now + kept, asked });
        asked
    }

    pub(super) fn check_out(&mut self, id: MemberId) {
        self.members.remove(&id);
    }

    pub(super) fn members(&self, now: Timestamp, after: Option<MemberId>, count: usize) -> Vec<Member> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let living = self.members.range((from, Bound::Unbounded)).filter(|(_, member)| member.until > now);
        let member = |(id, kept): (&MemberId, &Kept)| Member {
            id: *id,
            seen_at: kept.seen_at,
            report: kept.report.clone(),
            asked: kept.asked,
        };
        living.take(count).map(member).collect()
    }

    pub(super) fn ask(&mut self, now: Timestamp, id: MemberId, request: Request) -> bool {
        match self.members.get_mut(&id).filter(|member| member.until > now) {
            Some(member) => member.asked = Some(request),
            None => return false,
        }
        true
    }
}
