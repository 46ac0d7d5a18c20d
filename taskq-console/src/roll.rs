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
    call_first(connection, MOST).await
}

/// The first of them, at most so many: no more are read.
pub(crate) async fn call_first(connection: &Connection, most: usize) -> Result<Vec<Listed>> {
    let mut all: Vec<Listed> = Vec::new();
    while all.len() < most {
        let after = all.last().map(|listed| listed.member.id);
        let page = connection.fleet().members(after, limits::MAX_PAGE.min(most - all.len())).await?;
        if page.is_empty() {
            break;
        }
        all.extend(page.into_iter().map(|member| Listed { report: Report::decode(&member.report), member }));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use taskq_core::{Clock, WorkerId, broker::memory};

    use super::*;

    #[tokio::test]
    async fn no_more_members_are_read_than_were_asked_for() {
        let connection = memory::connect(Clock::system());
        for _ in 0..limits::MAX_PAGE + 5 {
            let id = WorkerId::generate().into();
            connection.fleet().check_in(id, "{}", Duration::from_secs(60)).await.expect("reported");
        }
        for (most, read) in [(0, 0), (3, 3), (limits::MAX_PAGE + 1, limits::MAX_PAGE + 1), (MOST, limits::MAX_PAGE + 5)]
        {
            assert_eq!(call_first(&connection, most).await.expect("read").len(), read);
        }
        assert_eq!(call(&connection).await.expect("read").len(), limits::MAX_PAGE + 5);
    }
}
