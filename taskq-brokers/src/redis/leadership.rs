//! Who leads the schedulers of a namespace: one hash in a tag of its own, whose term the server counts.

use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, Value};
use taskq_core::{CandidateId, Elected, FencingToken, Incumbent, Leader, Renewal, Result, Standing, Timestamp};

use super::{broker::RedisBroker, reply, script::Script};

/// What a resignation is told as. No task has such a key, for it begins with what is not printable.
const VACATED: &[u8] = b"\0vacated";

/// The longest that one call listens: a script keeps who listens for so long.
const LONGEST: Duration = Duration::from_secs(3_600);

#[async_trait]
impl Leader for RedisBroker {
    async fn stand(&self, candidate: CandidateId, term: Duration) -> Result<Standing> {
        let answer = self.lead("stand for leader at", Script::Stand, |command| {
            command.arg(candidate.to_string()).arg(millis(term));
        });
        let answer = reply::array(answer.await?)?.iter().map(reply::integer).collect::<Result<Vec<_>>>()?;
        match answer[..] {
            [1, token, now] => {
                let (token, now) = (FencingToken(token.unsigned_abs()), Timestamp::from_millis(now));
                Ok(Standing::Elected(Elected { token, term, now }))
            }
            [0, ends_in] => Ok(Standing::Beaten(Duration::from_millis(ends_in.unsigned_abs()))),
            _ => Err(reply::wrong("a leadership, or how long another one's lasts")),
        }
    }

    async fn renew(&self, candidate: CandidateId, token: FencingToken, term: Duration) -> Result<Renewal> {
        let answer = self.lead("go on leading at", Script::Renew, |command| {
            command.arg(candidate.to_string()).arg(token.0).arg(millis(term));
        });
        Ok(match reply::integer(&answer.await?)? {
            0 => Renewal::Lost,
            now => Renewal::Renewed(Timestamp::from_millis(now)),
        })
    }

    async fn resign(&self, candidate: CandidateId, token: FencingToken) -> Result<()> {
        let answer = self.lead("resign as leader at", Script::Resign, |command| {
            command.arg(candidate.to_string()).arg(token.0).arg(VACATED);
        });
        answer.await.map(drop)
    }

    async fn vacated(&self, bound: Duration) -> Result<()> {
        let interest = self.listener.interest(&self.link, VACATED.to_vec()).await;
        let told = interest.told();
        tokio::pin!(told);
        // Register before asking: a resignation in between must wake us.
        told.as_mut().enable();
        let bound = bound.min(LONGEST);
        let answer = self.lead("wait for the leadership at", Script::Vacated, |command| {
            command.arg(self.listener.channel()).arg(millis(bound));
        });
        let ends_in = Duration::from_millis(reply::integer(&answer.await?)?.unsigned_abs());
        // Only a hint either way: the caller stands to find out.
        self.link.clock().timeout(ends_in.min(bound), told).await.ok();
        Ok(())
    }

    async fn incumbent(&self) -> Result<Option<Incumbent>> {
        let answer = self.lead("find the leader at", Script::Incumbent, |_| {});
        let mut fields = reply::array(answer.await?)?.into_iter();
        let (Some(candidate), Some(token), Some(ends_in)) = (fields.next(), fields.next(), fields.next()) else {
            return Ok(None);
        };
        Ok(Some(Incumbent {
            candidate: reply::text(candidate)?.parse()?,
            token: FencingToken(reply::integer(&token)?.unsigned_abs()),
            ends_in: Duration::from_millis(reply::integer(&ends_in)?.unsigned_abs()),
        }))
    }
}

impl RedisBroker {
    /// Runs a script on the leadership's prefix. No queue has such a name.
    async fn lead(&self, operation: &'static str, script: Script, arguments: impl FnOnce(&mut Cmd)) -> Result<Value> {
        let prefix = format!("{}:{{#leader}}:", self.namespace);
        self.link.script(operation, script, &prefix, arguments).await
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
