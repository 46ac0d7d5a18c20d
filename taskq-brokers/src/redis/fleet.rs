//! Who works: the reports of members, in a tag of their own.

use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, Value};
use taskq_core::{Fleet, Member, MemberId, Request, Result, Timestamp, fleet::check_report, limits};

use super::{broker::RedisBroker, reply, script::Script};

#[async_trait]
impl Fleet for RedisBroker {
    async fn check_in(&self, member: MemberId, report: &str, kept: Duration) -> Result<Option<Request>> {
        check_report(member, report)?;
        let answer = self.in_fleet("check in at", Script::CheckIn, |command| {
            command.arg(member.to_string()).arg(report).arg(kept.as_millis().to_string());
        });
        Ok(Request::from_name(&reply::text(answer.await?)?))
    }

    async fn check_out(&self, member: MemberId) -> Result<()> {
        let answer = self.in_fleet("check out at", Script::CheckOut, |command| {
            command.arg(member.to_string());
        });
        answer.await.map(drop)
    }

    async fn members(&self, after: Option<MemberId>, count: usize) -> Result<Vec<Member>> {
        let answer = self.in_fleet("list members at", Script::Members, |command| {
            command.arg(after.map(|after| after.to_string()).unwrap_or_default());
            command.arg(count.min(limits::MAX_PAGE)).arg(limits::PAGE_BYTES);
        });
        let mut fields = reply::array(answer.await?)?.into_iter();
        let mut members = Vec::new();
        while let (Some(id), Some(seen), Some(asked), Some(report)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        {
            // An id that this version could not have written is of nobody whom it could name.
            let Ok(id) = reply::text(id)?.parse() else { continue };
            members.push(Member {
                id,
                seen_at: Timestamp::from_millis(reply::integer(&seen)?),
                asked: Request::from_name(&reply::text(asked)?),
                report: reply::text(report)?,
            });
        }
        Ok(members)
    }

    async fn ask(&self, member: MemberId, request: Request) -> Result<bool> {
        let answer = self.in_fleet("ask a member at", Script::Ask, |command| {
            command.arg(member.to_string()).arg(request.as_str());
        });
        Ok(reply::integer(&answer.await?)? == 1)
    }
}

impl RedisBroker {
    /// Runs a script on the fleet's prefix. No queue has such a name.
    async fn in_fleet(
        &self,
        operation: &'static str,
        script: Script,
        arguments: impl FnOnce(&mut Cmd),
    ) -> Result<Value> {
        let prefix = format!("{}:{{#fleet}}:", self.namespace);
        self.link.script(operation, script, &prefix, arguments).await
    }
}
