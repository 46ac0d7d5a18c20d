//! [`Record`]: what is known of a target after a row of looks. A pure decision about looks and times: it knows no broker.
//!
//! ```text
//!            well                    `failures` bad looks in a row
//!  unknown -------> healthy <-----------------------------------------+
//!     |             |   ^  warning, or bad but not for long           |
//!     |             v   |  well                                       v
//!     +---------> degraded ------------------------------------> unhealthy
//!                        <--- `successes` good looks in a row, with a warning
//! ```
//!
//! Unhealthy ends with `successes` good looks in a row, in healthy if the last of them was well and in degraded if it had a
//! warning.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use taskq_core::{Error, ErrorKind, Result, Timestamp, limits};

use super::{
    check::Check,
    finding::{Finding, Look},
};
use crate::alert::{Memory, Notice};

/// The form that this version writes, and the highest that it reads.
const FORM: u8 = 1;

/// How a target is, after a row of looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Nobody has looked, or not for too long.
    #[default]
    Unknown,
    /// As it should be.
    Healthy,
    /// It works with a warning, or the last looks were bad and there were too few of them to be sure.
    Degraded,
    /// It does not work.
    Unhealthy,
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        })
    }
}

/// What is known of a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    v: u8,
    /// How it is.
    pub health: Health,
    /// Since when, by the broker's clock.
    pub since: Timestamp,
    /// When the newest look began.
    pub looked_at: Timestamp,
    /// Why it is not healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The newest bad look: when it began, and why it was bad. It stays when the target is healthy again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
    /// Bad looks in a row.
    pub failures: u32,
    /// Good looks in a row.
    pub successes: u32,
    /// What the newest looks took, the oldest first, at most [`limits::MAX_HEALTH_LATENCIES`], in milliseconds.
    pub latencies_ms: VecDeque<u32>,
    /// The newest changes, the oldest first, at most [`limits::MAX_HEALTH_TRANSITIONS`].
    pub transitions: VecDeque<Transition>,
    /// The kind of the check: `http` and the like.
    #[serde(default)]
    pub kind: String,
    /// What it looks at, for people.
    #[serde(default)]
    pub target: String,
    /// The check's labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// After this long without a look nothing is known any more, in milliseconds.
    stale_ms: u64,
    /// What each alert has told of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) alerts: BTreeMap<String, Memory>,
    /// Notices whose tasks are not certain to be enqueued yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) outbox: Vec<Notice>,
}

/// A bad look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// When it began.
    pub at: Timestamp,
    /// Why it was bad.
    pub reason: String,
}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// When the look began that showed it.
    pub at: Timestamp,
    /// How the target was.
    pub from: Health,
    /// How it is.
    pub to: Health,
    /// Why it is not healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Record {
    /// Of a target that nobody has looked at.
    pub fn new(now: Timestamp) -> Self {
        Self {
            v: FORM,
            health: Health::Unknown,
            since: now,
            looked_at: Timestamp::from_millis(0),
            reason: None,
            last_error: None,
            failures: 0,
            successes: 0,
            latencies_ms: VecDeque::new(),
            transitions: VecDeque::new(),
            kind: String::new(),
            target: String::new(),
            labels: BTreeMap::new(),
            stale_ms: 0,
            alerts: BTreeMap::new(),
            outbox: Vec::new(),
        }
    }

    /// Reads the text of a document.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] for what is no record, [`ErrorKind::Layout`] for one of a newer version.
    pub fn read(text: &str) -> Result<Self> {
        let record: Self = serde_json::from_str(text)
            .map_err(|error| Error::new(ErrorKind::Codec, "read health", "record").because(error))?;
        if record.v > FORM {
            let why = format!("it has form {}, this version reads up to {FORM}; upgrade it", record.v);
            return Err(Error::new(ErrorKind::Layout, "read health", "record").because(why));
        }
        Ok(record)
    }

    /// The text of a document.
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers always encode")
    }

    /// Takes a look that began at `at` into account; says whether the target is otherwise than before.
    ///
    /// A look that is older than the newest one says nothing: its worker was stopped, or somebody else was faster.
    pub fn observe(&mut self, check: &Check, look: &Look, at: Timestamp) -> Seen {
        if at <= self.looked_at {
            return Seen::Late;
        }
        self.looked_at = at;
        self.stale_ms = millis(stale_after(check));
        self.latencies_ms.push_back(u32::try_from(look.latency.as_millis()).unwrap_or(u32::MAX));
        let surplus = self.latencies_ms.len().saturating_sub(limits::MAX_HEALTH_LATENCIES);
        drop(self.latencies_ms.drain(..surplus));
        let reason = match &look.finding {
            Finding::Well => None,
            Finding::Poor(reason) | Finding::Bad(reason) => Some(reason.to_string()),
        };
        let to = match &look.finding {
            Finding::Well => self.good(check, Health::Healthy),
            Finding::Poor(_) => self.good(check, Health::Degraded),
            Finding::Bad(reason) => {
                self.last_error = Some(LastError { at, reason: reason.to_string() });
                self.bad(check)
            }
        };
        // While it is unhealthy, a good look does not take away why.
        if reason.is_some() || to != Health::Unhealthy {
            self.reason.clone_from(&reason);
        }
        self.turn(to, at)
    }

    /// Says what the check is, for those who only see the record.
    pub(super) fn describe(&mut self, check: &Check) {
        check.probe.kind().clone_into(&mut self.kind);
        self.target = check.probe.target();
        self.labels.clone_from(&check.labels);
    }

    /// Lets go of what is least missed, should it be too long to keep: a check must not stand still for that.
    pub(super) fn fit(&mut self) {
        while self.text().len() > limits::MAX_DOCUMENT_TEXT {
            if self.transitions.pop_front().is_some() || self.latencies_ms.pop_front().is_some() {
                continue;
            }
            if self.outbox.len() <= limits::MAX_CHECK_ALERTS {
                return;
            }
            self.outbox.remove(0);
        }
    }

    fn good(&mut self, check: &Check, then: Health) -> Health {
        self.failures = 0;
        self.successes = self.successes.saturating_add(1);
        match self.health {
            Health::Unhealthy if self.successes < check.successes => Health::Unhealthy,
            _ => then,
        }
    }

    fn bad(&mut self, check: &Check) -> Health {
        self.successes = 0;
        self.failures = self.failures.saturating_add(1);
        match self.health {
            Health::Unhealthy => Health::Unhealthy,
            _ if self.failures >= check.failures => Health::Unhealthy,
            _ => Health::Degraded,
        }
    }

    fn turn(&mut self, to: Health, at: Timestamp) -> Seen {
        if to == self.health {
            return Seen::Same;
        }
        let transition = Transition { at, from: self.health, to, reason: self.reason.clone() };
        (self.health, self.since) = (to, at);
        self.transitions.push_back(transition.clone());
        let surplus = self.transitions.len().saturating_sub(limits::MAX_HEALTH_TRANSITIONS);
        drop(self.transitions.drain(..surplus));
        Seen::Turned(transition)
    }

    /// How the target is now: unknown if nobody has looked for longer than three times the check's interval and its timeout.
    pub fn health_at(&self, now: Timestamp) -> Health {
        let is_stale = millis(now.since(self.looked_at)) > self.stale_ms;
        if is_stale { Health::Unknown } else { self.health }
    }

    /// The middle of the newest latencies.
    pub fn median_latency(&self) -> Option<Duration> {
        let mut sorted: Vec<_> = self.latencies_ms.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).map(|millis| Duration::from_millis(u64::from(*millis)))
    }
}

/// What a look changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It came too late.
    Late,
    /// The target is as before.
    Same,
    /// It is otherwise.
    Turned(Transition),
}

fn stale_after(check: &Check) -> Duration {
    check.every * 3 + check.timeout
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::finding::{Cause, Reason},
        *,
    };

    fn check() -> Check {
        let form = json!({"every": "10s", "timeout": "2s", "failures": 3, "successes": 2, "tcp": "127.0.0.1:1"});
        Check::read(form).expect("valid")
    }

    fn look(finding: char) -> Look {
        let reason = Reason::new(Cause::Answer, "why");
        let finding = match finding {
            'w' => Finding::Well,
            'p' => Finding::Poor(reason),
            _ => Finding::Bad(reason),
        };
        Look { finding, latency: Duration::from_millis(7) }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1_000)
    }

    /// The first letters of the states after these looks, one every ten seconds.
    fn states(looks: &str) -> String {
        let mut record = Record::new(at(0));
        let mut states = String::new();
        for (number, finding) in (1..).zip(looks.chars()) {
            let before = record.clone();
            let seen = record.observe(&check(), &look(finding), at(number * 10));
            assert_eq!(matches!(seen, Seen::Turned(_)), before.health != record.health);
            states.push(match record.health {
                Health::Unknown => '?',
                Health::Healthy => 'H',
                Health::Degraded => 'D',
                Health::Unhealthy => 'U',
            });
        }
        states
    }

    #[test]
    fn a_row_of_looks_decides() {
        assert_eq!(states("www"), "HHH");
        assert_eq!(states("bbbb"), "DDUU", "nothing was known before, and two looks are too few");
        assert_eq!(states("wbbw"), "HDDH", "what did not last is over with one good look");
        assert_eq!(states("wbbbww"), "HDDUUH", "what lasted needs two in a row");
        assert_eq!(states("wbbbwbwwp"), "HDDUUUUHD");
        assert_eq!(states("wbbbpp"), "HDDUUD", "a warning is a good look");
        assert_eq!(states("wppbpw"), "HDDDDH");
        assert_eq!(states("bbpbbb"), "DDDDDU", "the row begins anew");
    }

    #[test]
    fn a_late_look_says_nothing() {
        let mut record = Record::new(at(0));
        assert!(matches!(record.observe(&check(), &look('w'), at(20)), Seen::Turned(_)));
        let before = record.clone();
        assert_eq!(record.observe(&check(), &look('b'), at(20)), Seen::Late);
        assert_eq!(record.observe(&check(), &look('b'), at(10)), Seen::Late);
        assert_eq!(record, before);
    }

    #[test]
    fn what_nobody_has_looked_at_for_long_is_unknown() {
        let mut record = Record::new(at(0));
        assert_eq!(record.health_at(at(1)), Health::Unknown);
        record.observe(&check(), &look('w'), at(10));
        assert_eq!(record.health_at(at(42)), Health::Healthy);
        assert_eq!(record.health_at(at(43)), Health::Unknown);
    }

    #[test]
    fn a_record_is_bounded_and_comes_back_from_its_text() {
        let mut record = Record::new(at(0));
        for number in 1..2_000 {
            record.observe(&check(), &look(['w', 'p'][number % 2]), at(number as i64));
        }
        assert_eq!(record.latencies_ms.len(), limits::MAX_HEALTH_LATENCIES);
        assert_eq!(record.transitions.len(), limits::MAX_HEALTH_TRANSITIONS);
        assert_eq!(record.median_latency(), Some(Duration::from_millis(7)));
        assert!(record.text().len() < limits::MAX_DOCUMENT_TEXT / 2);
        assert_eq!(Record::read(&record.text()).expect("reads"), record);
        let newer = record.text().replacen("\"v\":1", "\"v\":2", 1);
        assert_eq!(Record::read(&newer).expect_err("newer").kind(), ErrorKind::Layout);
        assert_eq!(Record::read("{}").expect_err("none").kind(), ErrorKind::Codec);
    }

    #[test]
    fn a_record_fits_into_a_document_whatever_it_is_told() {
        let nasty = "\"\\".repeat(limits::MAX_HEALTH_REASON / 2);
        let mut record = Record::new(at(0));
        for number in 1..100 {
            let finding =
                if number % 2 == 0 { Finding::Well } else { Finding::Poor(Reason::new(Cause::Answer, &nasty)) };
            record.observe(&check(), &Look { finding, latency: Duration::from_secs(99_999) }, at(number));
        }
        let long = "x".repeat(limits::MAX_NAME);
        record.labels =
            (0..limits::MAX_HEALTH_LABELS).map(|number| (format!("{long}{number}"), long.clone())).collect();
        record.target = "t".repeat(limits::MAX_HEALTH_TEXT);
        let rule = crate::alert::Rule { flaps: limits::MAX_ALERT_FLAPS, ..crate::alert::Rule::default() };
        for alert in 0..limits::MAX_CHECK_ALERTS {
            let memory = record.alerts.entry(format!("{alert}{}", "a".repeat(limits::MAX_ALERT_NAME - 1))).or_default();
            for turn in 0..200 {
                let health = if turn % 2 == 0 { Health::Unhealthy } else { Health::Healthy };
                rule.decide(memory, health, Timestamp::from_millis(4_000_000_000_000 + turn));
            }
        }
        for number in 0..limits::MAX_HEALTH_OUTBOX {
            record.outbox.push(Notice {
                alert: "a".repeat(limits::MAX_ALERT_NAME),
                check: "c".repeat(limits::MAX_ALERT_NAME),
                kind: crate::alert::NoticeKind::Flapping,
                health: Health::Unhealthy,
                since: at(4_000_000_000),
                at: at(4_000_000_000 + number as i64),
                reason: Some(nasty.clone()),
                labels: BTreeMap::new(),
            });
        }
        record.fit();
        assert!(record.text().len() <= limits::MAX_DOCUMENT_TEXT, "{} bytes", record.text().len());
        assert_eq!(record.outbox.len(), limits::MAX_HEALTH_OUTBOX, "no notice had to give way");
        assert_eq!(Record::read(&record.text()).expect("reads"), record);
    }

    #[test]
    fn why_stays_while_it_is_unhealthy() {
        let mut record = Record::new(at(0));
        for (number, finding) in (1..).zip("bbbw".chars()) {
            record.observe(&check(), &look(finding), at(number));
        }
        assert_eq!((record.health, record.reason.as_deref()), (Health::Unhealthy, Some("why")));
        record.observe(&check(), &look('w'), at(9));
        assert_eq!((record.health, record.reason.as_deref()), (Health::Healthy, None));
        assert_eq!(record.last_error.map(|error| error.at), Some(at(3)));
    }
}
