//! Who leads: the rules of [`Leader`](crate::Leader), in plain Rust.

use std::time::Duration;

use crate::{
    clock::Timestamp,
    leader::{CandidateId, Elected, FencingToken, Incumbent, Renewal, Standing},
};

/// The leadership of a namespace: vacant, or held until it lapses.
#[derive(Debug, Default)]
pub(super) struct Leadership {
    last_token: FencingToken,
    held: Option<Held>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    candidate: CandidateId,
    until: Timestamp,
}

impl Leadership {
    /// `vacant -> led`, or `led -> led` for who leads already.
    pub(super) fn stand(&mut self, now: Timestamp, candidate: CandidateId, term: Duration) -> Standing {
        match self.holder(now) {
            Some(held) if held.candidate != candidate => return Standing::Beaten(held.until.since(now)),
            Some(_) => {}
            None => self.last_token.0 += 1,
        }
        self.held = Some(Held { candidate, until: now + term });
        Standing::Elected(Elected { token: self.last_token, term, now })
    }

    /// `led -> led`; a term that is over stays over.
    pub(super) fn renew(
        &mut self,
        now: Timestamp,
        candidate: CandidateId,
        token: FencingToken,
        term: Duration,
    ) -> Renewal {
        if !self.is_led_by(now, candidate, token) {
            return Renewal::Lost;
        }
        self.held = Some(Held { candidate, until: now + term });
        Renewal::Renewed(now)
    }

    /// `led -> vacant`.
    pub(super) fn resign(&mut self, now: Timestamp, candidate: CandidateId, token: FencingToken) {
        if self.is_led_by(now, candidate, token) {
            self.held = None;
        }
    }

    pub(super) fn incumbent(&self, now: Timestamp) -> Option<Incumbent> {
        let held = self.holder(now)?;
        Some(Incumbent { candidate: held.candidate, token: self.last_token, ends_in: held.until.since(now) })
    }

    /// How long the present term lasts, if there is one.
    pub(super) fn ends_in(&self, now: Timestamp) -> Option<Duration> {
        self.holder(now).map(|held| held.until.since(now))
    }

    fn holder(&self, now: Timestamp) -> Option<Held> {
        self.held.filter(|held| held.until > now)
    }

    fn is_led_by(&self, now: Timestamp, candidate: CandidateId, token: FencingToken) -> bool {
        self.last_token == token && self.holder(now).is_some_and(|held| held.candidate == candidate)
    }
}
