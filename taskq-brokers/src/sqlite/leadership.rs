//! Who leads the schedulers of a namespace: one row, whose term is counted in the time since the machine started.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{OptionalExtension, params};
use taskq_core::{CandidateId, Elected, FencingToken, Incumbent, Leader, Renewal, Result, Standing};

use super::{broker::SqliteBroker, failure::Failure, step::Step, waiting::Topic};

/// Whether the leadership is held, in a row of `taskq_leaders`: in this run of the machine, and not yet over. One that
/// lasts longer than it was given for is of another run without a name.
macro_rules! is_held {
    () => {
        "candidate IS NOT NULL AND boot = ?2 AND expires > ?3 AND expires <= ?3 + term"
    };
}

#[async_trait]
impl Leader for SqliteBroker {
    async fn stand(&self, candidate: CandidateId, term: Duration) -> Result<Standing> {
        self.write("stand for leader of", self.namespace(), move |step| stand(step, candidate, term)).await
    }

    async fn renew(&self, candidate: CandidateId, token: FencingToken, term: Duration) -> Result<Renewal> {
        self.write("go on leading", self.namespace(), move |step| renew(step, candidate, token, term)).await
    }

    async fn resign(&self, candidate: CandidateId, token: FencingToken) -> Result<()> {
        self.write("resign as leader of", self.namespace(), move |step| resign(step, candidate, token)).await
    }

    async fn vacated(&self, bound: Duration) -> Result<()> {
        let end = self.clock().monotonic() + bound;
        let waiter = self.register(vec![Topic::leader(self.namespace())])?;
        loop {
            let ends_in = self.look("wait for the leadership of", self.namespace(), ends_in).await?;
            let left = end.saturating_sub(self.clock().monotonic());
            let Some(ends_in) = ends_in.filter(|_| !left.is_zero()) else { return Ok(()) };
            // Woken or too late: the next look tells.
            self.clock().timeout(ends_in.min(left), waiter.woken()).await.ok();
        }
    }

    async fn incumbent(&self) -> Result<Option<Incumbent>> {
        self.look("find the leader of", self.namespace(), incumbent).await
    }
}

/// `vacant -> led`, or `led -> led` for who leads already.
fn stand(step: &Step<'_>, candidate: CandidateId, term: Duration) -> Result<Standing, Failure> {
    let held = holder(step)?;
    let (token, is_new) = match &held {
        Some(held) if held.candidate != candidate.to_string() => return Ok(Standing::Beaten(held.ends_in)),
        Some(held) => (held.token, false),
        None => (last_token(step)? + 1, true),
    };
    let millis = whole(term);
    if is_new {
        // in: namespace, candidate, token, boot, end, term; vacant -> led
        step.sql(
            "INSERT INTO taskq_leaders (namespace, candidate, token, boot, expires, term) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (namespace) DO UPDATE SET candidate = ?2, token = ?3, boot = ?4, expires = ?5, term = ?6",
        )?
        .execute(params![
            step.namespace().as_str(),
            candidate.to_string(),
            token,
            step.boot().id(),
            step.boot().millis().saturating_add(millis),
            millis
        ])?;
    } else {
        prolong(step, millis)?;
    }
    Ok(Standing::Elected(Elected { token: FencingToken(token.unsigned_abs()), term, now: step.now() }))
}

/// `led -> led`.
fn renew(step: &Step<'_>, candidate: CandidateId, token: FencingToken, term: Duration) -> Result<Renewal, Failure> {
    match is_led_by(step, candidate, token)? {
        true => prolong(step, whole(term)).map(|()| Renewal::Renewed(step.now())),
        false => Ok(Renewal::Lost),
    }
}

/// `led -> vacant`. The token stays, so that the next one is greater.
fn resign(step: &Step<'_>, candidate: CandidateId, token: FencingToken) -> Result<(), Failure> {
    if is_led_by(step, candidate, token)? {
        // in: namespace; led -> vacant
        step.sql("UPDATE taskq_leaders SET candidate = NULL WHERE namespace = ?1")?
            .execute([step.namespace().as_str()])?;
        step.ring_for_leadership();
    }
    Ok(())
}

/// The present term.
struct Held {
    candidate: String,
    token: i64,
    ends_in: Duration,
}

fn holder(step: &Step<'_>) -> Result<Option<Held>, Failure> {
    // in: namespace, boot, now; out: who leads, its token, when its term ends
    let held = step
        .sql(concat!("SELECT candidate, token, expires - ?3 FROM taskq_leaders WHERE namespace = ?1 AND ", is_held!()))?
        .query_row(params![step.namespace().as_str(), step.boot().id(), step.boot().millis()], |row| {
            let ends_in = Duration::from_millis(row.get::<_, i64>(2)?.unsigned_abs());
            Ok(Held { candidate: row.get(0)?, token: row.get(1)?, ends_in })
        })
        .optional()?;
    Ok(held)
}

/// Who leads, if its id is one that this version could have written.
fn incumbent(step: &Step<'_>) -> Result<Option<Incumbent>, Failure> {
    Ok(holder(step)?.and_then(|held| {
        let token = FencingToken(held.token.unsigned_abs());
        Some(Incumbent { candidate: held.candidate.parse().ok()?, token, ends_in: held.ends_in })
    }))
}

fn ends_in(step: &Step<'_>) -> Result<Option<Duration>, Failure> {
    Ok(holder(step)?.map(|held| held.ends_in))
}

fn is_led_by(step: &Step<'_>, candidate: CandidateId, token: FencingToken) -> Result<bool, Failure> {
    let is_the_one = |held: Held| held.candidate == candidate.to_string() && held.token.unsigned_abs() == token.0;
    Ok(holder(step)?.is_some_and(is_the_one))
}

fn last_token(step: &Step<'_>) -> Result<i64, Failure> {
    // in: namespace; out: the last token
    let last = step
        .sql("SELECT token FROM taskq_leaders WHERE namespace = ?1")?
        .query_row([step.namespace().as_str()], |row| row.get(0))
        .optional()?;
    Ok(last.unwrap_or(0))
}

fn prolong(step: &Step<'_>, millis: i64) -> Result<(), Failure> {
    // in: namespace, end, term
    step.sql("UPDATE taskq_leaders SET expires = ?2, term = ?3 WHERE namespace = ?1")?.execute(params![
        step.namespace().as_str(),
        step.boot().millis().saturating_add(millis),
        millis
    ])?;
    Ok(())
}

fn whole(term: Duration) -> i64 {
    i64::try_from(term.as_millis()).unwrap_or(i64::MAX)
}
