//! Who works: one row a member, replaced by each of its reports.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{OptionalExtension, params};
use taskq_core::{Fleet, Member, MemberId, Request, Result, clock::Timestamp, fleet::check_report, limits};

use super::{broker::SqliteBroker, failure::Failure, step::Step};

/// Members that one report ends: those that fell silent are few, and the next report ends the rest.
const FORGOTTEN_AT_ONCE: i64 = 20;

/// In: namespace, last of the page before, now, count; out: members.
pub(super) const MEMBERS: &str =
    "SELECT member, seen, asked, report FROM taskq_members WHERE namespace = ?1 AND member > ?2 AND until > ?3
     ORDER BY member LIMIT ?4";

#[async_trait]
impl Fleet for SqliteBroker {
    async fn check_in(&self, member: MemberId, report: &str, kept: Duration) -> Result<Option<Request>> {
        check_report(member, report)?;
        let report = report.to_owned();
        self.write_relaxed("check in", &member, move |step| check_in(step, member, &report, kept)).await
    }

    async fn check_out(&self, member: MemberId) -> Result<()> {
        self.write_relaxed("check out", &member, move |step| check_out(step, member)).await
    }

    async fn members(&self, after: Option<MemberId>, count: usize) -> Result<Vec<Member>> {
        self.look("list members of", self.namespace(), move |step| members(step, after, count)).await
    }

    async fn ask(&self, member: MemberId, request: Request) -> Result<bool> {
        self.write("ask", &member, move |step| ask(step, member, request)).await
    }
}

fn check_in(step: &Step<'_>, member: MemberId, report: &str, kept: Duration) -> Result<Option<Request>, Failure> {
    // in: namespace, now, count; forgets who fell silent
    step.sql(
        "DELETE FROM taskq_members WHERE namespace = ?1 AND member IN
         (SELECT member FROM taskq_members WHERE namespace = ?1 AND until <= ?2 LIMIT ?3)",
    )?
    .execute(params![step.namespace().as_str(), step.millis(), FORGOTTEN_AT_ONCE])?;
    let until = (step.now() + kept).as_millis();
    // in: namespace, member, now, end, report; out: what is asked
    let asked: Option<String> = step
        .sql(
            "INSERT INTO taskq_members (namespace, member, seen, until, report) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (namespace, member) DO UPDATE SET seen = ?3, until = ?4, report = ?5,
             asked = CASE WHEN until > ?3 THEN asked END RETURNING asked",
        )?
        .query_row(params![step.namespace().as_str(), member.to_string(), step.millis(), until, report], |row| {
            row.get(0)
        })?;
    Ok(asked.as_deref().and_then(Request::from_name))
}

fn check_out(step: &Step<'_>, member: MemberId) -> Result<(), Failure> {
    // in: namespace, member
    step.sql("DELETE FROM taskq_members WHERE namespace = ?1 AND member = ?2")?
        .execute(params![step.namespace().as_str(), member.to_string()])?;
    Ok(())
}

fn members(step: &Step<'_>, after: Option<MemberId>, count: usize) -> Result<Vec<Member>, Failure> {
    let after = after.map_or_else(String::new, |member| member.to_string());
    let mut statement = step.sql(MEMBERS)?;
    let count = count.min(limits::MAX_PAGE) as i64;
    let rows = statement.query_map(params![step.namespace().as_str(), after, step.millis(), count], |row| {
        let (member, seen, asked): (String, i64, Option<String>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok((member, seen, asked, row.get::<_, String>(3)?))
    })?;
    let (mut members, mut bytes) = (Vec::new(), 0);
    for row in rows {
        let (member, seen, asked, report) = row?;
        bytes += report.len();
        // An id that this version could not have written is of nobody whom it could name.
        let Ok(id) = member.parse() else { continue };
        let asked = asked.as_deref().and_then(Request::from_name);
        members.push(Member { id, seen_at: Timestamp::from_millis(seen), report, asked });
        if bytes >= limits::PAGE_BYTES {
            break;
        }
    }
    Ok(members)
}

fn ask(step: &Step<'_>, member: MemberId, request: Request) -> Result<bool, Failure> {
    // in: namespace, member, now, what is asked
    let asked = step
        .sql(
            "UPDATE taskq_members SET asked = ?4 WHERE namespace = ?1 AND member = ?2 AND until > ?3 RETURNING member",
        )?
        .query_row(params![step.namespace().as_str(), member.to_string(), step.millis(), request.as_str()], |_| Ok(()))
        .optional()?;
    Ok(asked.is_some())
}
