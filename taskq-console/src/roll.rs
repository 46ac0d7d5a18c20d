//! The roll: which processes are in the fleet, with what each says of itself.

use taskq_core::{Connection, Member, Report, Result, fleet::MemberKind, limits};

/// Most members that are read: beyond that nobody reads a list.
const MOST: usize = 2_000;

/// A member with its report, unless that is of a version whose reports this one does not read.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) member: Member,
    pub(crate) report: Option<Report>,
}

impl Listed {
    pub(crate) fn is(&self, kind: MemberKind) -> bool {
        self.report.as_ref().is_some_and(|report| report.kind == kind)
    }
}

/// Every member, in the order of their ids, which is that of their starts.
pub(crate) async fn call(connection: &Connection) -> Result<Vec<Listed>> {
    let mut all: Vec<Listed> = Vec::new();
    loop {
        let after = all.last().map(|listed| listed.member.id);
        let page = connection.fleet().members(after, limits::MAX_PAGE).await?;
        if page.is_empty() || all.len() >= MOST {
            return Ok(all);
        }
        all.extend(page.into_iter().map(|member| Listed { report: Report::decode(&member.report), member }));
    }
}
