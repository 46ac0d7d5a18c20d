//! [`Sessions`]: who is signed in, by the secret of a cookie. They live in this process and end with it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    limits,
    options::Role,
    random::{digest, secret},
};

/// The sessions, by the digests of their secrets.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<String, Session>>);

#[derive(Clone, Debug)]
struct Session {
    name: String,
    role: Role,
    began: Duration,
    seen: Duration,
}

impl Session {
    fn is_over(&self, now: Duration) -> bool {
        now.saturating_sub(self.seen) > limits::SESSION_IDLE || now.saturating_sub(self.began) > limits::SESSION_AGE
    }
}

impl Sessions {
    /// Begins one, and answers its secret.
    pub(super) fn begin(&self, name: &str, role: Role, now: Duration) -> String {
        let secret = secret();
        let mut sessions = self.lock();
        sessions.retain(|_, session| !session.is_over(now));
        if sessions.len() >= limits::SESSIONS {
            let idle = sessions.iter().min_by_key(|(_, session)| session.seen).map(|(key, _)| key.clone());
            idle.map(|key| sessions.remove(&key));
        }
        sessions.insert(digest("session", &secret), Session { name: name.to_owned(), role, began: now, seen: now });
        secret
    }

    /// Who has this secret.
    pub(super) fn find(&self, secret: &str, now: Duration) -> Option<(String, Role)> {
        let key = digest("session", secret);
        let mut sessions = self.lock();
        let session = sessions.get_mut(&key)?;
        if session.is_over(now) {
            sessions.remove(&key);
            return None;
        }
        session.seen = now;
        Some((session.name.clone(), session.role))
    }

    /// Whether it is not over, asked by what nobody does: it stays as idle as it is.
    pub(super) fn lives(&self, secret: &str, now: Duration) -> bool {
        self.lock().get(&digest("session", secret)).is_some_and(|session| !session.is_over(now))
    }

    /// Ends one.
    pub(super) fn end(&self, secret: &str) {
        self.lock().remove(&digest("session", secret));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_when_idle_when_old_and_when_ended() {
        let (sessions, start) = (Sessions::default(), Duration::from_secs(5));
        let secret = sessions.begin("ada", Role::Operator, start);
        let known = Some(("ada".to_owned(), Role::Operator));
        assert_eq!(sessions.find(&secret, start + limits::SESSION_IDLE), known);
        assert_eq!(sessions.find(&secret, start + limits::SESSION_IDLE * 3), None, "idle for twice as long as it may");
        let secret = sessions.begin("ada", Role::Operator, start);
        let mut now = start;
        while now <= start + limits::SESSION_AGE {
            assert_eq!(sessions.find(&secret, now), known);
            now += limits::SESSION_IDLE / 2;
        }
        assert_eq!(sessions.find(&secret, now), None, "old, though never idle");
        let secret = sessions.begin("ada", Role::Operator, now);
        sessions.end(&secret);
        assert_eq!(sessions.find(&secret, now), None);
    }

    #[test]
    fn of_too_many_sessions_the_one_that_was_idle_for_longest_ends() {
        let sessions = Sessions::default();
        let secrets: Vec<_> = (0..=limits::SESSIONS as u64)
            .map(|second| sessions.begin("ada", Role::Viewer, Duration::from_secs(second)))
            .collect();
        let now = Duration::from_secs(limits::SESSIONS as u64);
        assert_eq!(sessions.find(&secrets[0], now), None);
        assert!(sessions.find(&secrets[1], now).is_some());
    }
}
