//! One event, and its form as JSON, versioned. Whoever reads takes what a later version has as far as it understands it.

use std::{borrow::Cow, fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    id::{QueueName, TaskId, TaskName, WorkerId},
    leader::{CandidateId, FencingToken},
    limits,
    schedules::EntryName,
    text::cut,
};

/// The version of the JSON form that is written.
const FORM: u32 = 1;

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When, by the clock of the process that tells it.
    pub at: Timestamp,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum What {
    /// The broker has accepted a task.
    Enqueued {
        /// Which.
        id: TaskId,
        /// Its name.
        task: TaskName,
        /// When it is due, if that was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        due: Option<Timestamp>,
    },
    /// A worker has taken a task and has a slot for it: an attempt begins.
    Started {
        /// Which.
        id: TaskId,
        /// Its name.
        task: TaskName,
        /// The worker.
        #[serde(with = "as_text")]
        worker: WorkerId,
        /// Which attempt, 1-based: those that were handed back count once.
        attempt: u32,
    },
    /// The broker has taken the end of an attempt.
    Settled {
        /// Which.
        id: TaskId,
        /// Its name.
        task: TaskName,
        /// The worker.
        #[serde(with = "as_text")]
        worker: WorkerId,
        /// Which attempt, 1-based.
        attempt: u32,
        /// What it ended in.
        outcome: SettledAs,
        /// How long it ran.
        #[serde(rename = "took_us", with = "micros")]
        took: Duration,
        /// The error that ended it, if one did; cut after [`limits::MAX_EVENT_TEXT`] bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// Somebody has cancelled a task.
    Cancelled {
        /// Which.
        id: TaskId,
        /// Whether it runs: then it is asked to stop, and `Settled` tells how it ended. One that waited has ended.
        running: bool,
    },
    /// Somebody has made a dead letter ready again.
    Replayed {
        /// Which.
        id: TaskId,
    },
    /// Somebody has thrown a dead letter away.
    Dropped {
        /// Which.
        id: TaskId,
    },
    /// Somebody did not wait until a task was due.
    RunNow {
        /// Which.
        id: TaskId,
    },
    /// Somebody has paused a queue.
    Paused {
        /// Which.
        queue: QueueName,
    },
    /// Somebody has ended a pause.
    Resumed {
        /// Which queue's.
        queue: QueueName,
    },
    /// Somebody has emptied a queue.
    Purged {
        /// Which.
        queue: QueueName,
        /// Whether of its dead letters; else of the tasks that waited, which are cancelled.
        dead: bool,
        /// How many went.
        count: u64,
    },
    /// A worker has started.
    WorkerUp {
        /// Which.
        #[serde(with = "as_text")]
        worker: WorkerId,
        /// The name of its program.
        program: String,
        /// Its machine.
        host: String,
        /// Its process id there.
        pid: u32,
        /// The queues that it serves, at most [`limits::EVENT_QUEUES`] of them.
        queues: Vec<QueueName>,
    },
    /// A worker has ended as it should. One that was killed says nothing.
    WorkerDown {
        /// Which.
        #[serde(with = "as_text")]
        worker: WorkerId,
    },
    /// A scheduler leads, or leads no more.
    LeaderChanged {
        /// Which.
        #[serde(with = "as_text")]
        scheduler: CandidateId,
        /// Under which fencing token.
        #[serde(with = "token")]
        token: FencingToken,
        /// Whether it leads from now on.
        leads: bool,
    },
    /// An entry of a scheduler was due.
    Ticked {
        /// The queue of the entry.
        queue: QueueName,
        /// Its name.
        entry: EntryName,
        /// The planned instant.
        fire_time: Timestamp,
        /// How many tasks it enqueued: none if it was left out.
        enqueued: u32,
    },
    /// The health of something that is watched has changed.
    HealthChanged {
        /// The check.
        check: String,
        /// How it was.
        from: String,
        /// How it is.
        to: String,
        /// Why; cut after [`limits::MAX_EVENT_TEXT`] bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A process had more to tell than it may, or could not publish it.
    LeftOut {
        /// How many events it has left out.
        count: u64,
    },
    /// Something that this version of taskq does not know, or cannot read.
    #[serde(skip)]
    Other {
        /// Its kind, or `unreadable`; at most [`limits::MAX_NAME`] bytes.
        kind: String,
        /// Its JSON as it stands in the stream.
        json: String,
    },
}

/// What a settled attempt ended in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SettledAs {
    /// With a result.
    Succeeded,
    /// With an error, and another attempt follows.
    Retried,
    /// As a dead letter.
    Dead,
    /// As somebody had asked.
    Cancelled,
    /// It comes later and has spent no attempt: snoozed, or this worker does not know the task.
    PutOff,
    /// It was handed back unrun.
    Released,
    /// In something that this version does not know.
    #[serde(other)]
    Unknown,
}

impl SettledAs {
    /// The outcome as it stands in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Retried => "retried",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::PutOff => "put_off",
            Self::Released => "released",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for SettledAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl What {
    /// Every kind that this version tells.
    pub const KINDS: [&str; 16] = [
        "enqueued",
        "started",
        "settled",
        "cancelled",
        "replayed",
        "dropped",
        "run_now",
        "paused",
        "resumed",
        "purged",
        "worker_up",
        "worker_down",
        "leader_changed",
        "ticked",
        "health_changed",
        "left_out",
    ];

    /// Its kind, as it stands in JSON.
    pub fn kind(&self) -> &str {
        match self {
            Self::Enqueued { .. } => "enqueued",
            Self::Started { .. } => "started",
            Self::Settled { .. } => "settled",
            Self::Cancelled { .. } => "cancelled",
            Self::Replayed { .. } => "replayed",
            Self::Dropped { .. } => "dropped",
            Self::RunNow { .. } => "run_now",
            Self::Paused { .. } => "paused",
            Self::Resumed { .. } => "resumed",
            Self::Purged { .. } => "purged",
            Self::WorkerUp { .. } => "worker_up",
            Self::WorkerDown { .. } => "worker_down",
            Self::LeaderChanged { .. } => "leader_changed",
            Self::Ticked { .. } => "ticked",
            Self::HealthChanged { .. } => "health_changed",
            Self::LeftOut { .. } => "left_out",
            Self::Other { kind, .. } => kind,
        }
    }

    /// The queue that it is about, if it is about one.
    pub fn queue(&self) -> Option<&QueueName> {
        match self {
            Self::Ticked { queue, .. }
            | Self::Paused { queue }
            | Self::Resumed { queue }
            | Self::Purged { queue, .. } => Some(queue),
            _ => self.task().map(|id| &id.queue),
        }
    }

    /// The task that it is about, if it is about one.
    pub fn task(&self) -> Option<&TaskId> {
        match self {
            Self::Enqueued { id, .. }
            | Self::Started { id, .. }
            | Self::Settled { id, .. }
            | Self::Cancelled { id, .. }
            | Self::Replayed { id }
            | Self::Dropped { id }
            | Self::RunNow { id } => Some(id),
            _ => None,
        }
    }
}

/// An event as it stands in JSON.
#[derive(Serialize, Deserialize)]
struct Form<'a> {
    v: u32,
    at: Timestamp,
    #[serde(flatten)]
    what: Cow<'a, What>,
}

/// The part of an event that every version has.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    at: Timestamp,
    kind: String,
}

impl Event {
    /// An event whose texts have their bounds: what is longer is cut, and ends with `…` then.
    pub fn new(at: Timestamp, mut what: What) -> Self {
        match &mut what {
            What::Settled { error: Some(text), .. } => cut(text, limits::MAX_EVENT_TEXT),
            What::WorkerUp { program, host, queues, .. } => {
                cut(program, limits::MAX_NAME);
                cut(host, limits::MAX_NAME);
                queues.truncate(limits::EVENT_QUEUES);
            }
            What::HealthChanged { check, from, to, reason } => {
                [check, from, to].into_iter().for_each(|text| cut(text, limits::MAX_NAME));
                reason.iter_mut().for_each(|text| cut(text, limits::MAX_EVENT_TEXT));
            }
            _ => {}
        }
        Self { at, what }
    }

    /// Its JSON: one object, in one line.
    pub fn encode(&self) -> String {
        match &self.what {
            What::Other { json, .. } => json.clone(),
            what => {
                let form = Form { v: FORM, at: self.at, what: Cow::Borrowed(what) };
                serde_json::to_string(&form).expect("texts and numbers are always JSON")
            }
        }
    }

    /// Reads what stands in the stream, whoever wrote it. What is not understood becomes [`What::Other`].
    pub fn decode(json: &str) -> Self {
        if let Ok(Form { at, what, .. }) = serde_json::from_str(json) {
            return Self::new(at, what.into_owned());
        }
        let unreadable = |_| Head { at: Timestamp::default(), kind: "unreadable".to_owned() };
        let Head { at, mut kind } = serde_json::from_str(json).unwrap_or_else(unreadable);
        cut(&mut kind, limits::MAX_NAME);
        Self { at, what: What::Other { kind, json: json.to_owned() } }
    }
}

/// As JSON has a duration: whole microseconds.
mod micros {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_micros)
    }
}

/// As JSON has a fencing token: a number.
mod token {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::leader::FencingToken;

    pub(super) fn serialize<S: Serializer>(token: &FencingToken, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(token.0)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<FencingToken, D::Error> {
        u64::deserialize(deserializer).map(FencingToken)
    }
}

/// As JSON has an id: the text that people see.
mod as_text {
    use std::{borrow::Cow, fmt::Display, str::FromStr};

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(id: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, V: FromStr<Err = crate::Error>>(
        deserializer: D,
    ) -> Result<V, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_795_832_074_123);
    const WORKER: &str = "01995b1f8c1a7d3e9f00112233445566";

    fn task() -> (TaskId, TaskName) {
        ("mail/01995b1f-8c1a-7d3e-9f00-112233445566".parse().expect("valid"), "send_email".parse().expect("valid"))
    }

    fn worker() -> WorkerId {
        WORKER.parse().expect("valid")
    }

    /// One of each kind, with its JSON.
    fn goldens() -> Vec<(What, String)> {
        let ((id, task), head) = (task(), format!(r#"{{"v":1,"at":{},"kind":"#, AT.as_millis()));
        let of_task = format!(r#""id":"{id}","task":"send_email""#);
        let queues = vec!["mail".parse().expect("valid"), "default".parse().expect("valid")];
        let error = Some("no route to \"host\"\n".to_owned());
        let of_settled = |outcome, error| {
            let (id, task, worker, took) = (id.clone(), task.clone(), worker(), Duration::from_micros(1_234_567));
            What::Settled { id, task, worker, attempt: 2, outcome, took, error }
        };
        let kinds = [
            (What::Enqueued { id: id.clone(), task: task.clone(), due: None }, format!(r#""enqueued",{of_task}}}"#)),
            (
                What::Enqueued { id: id.clone(), task: task.clone(), due: Some(AT) },
                format!(r#""enqueued",{of_task},"due":1795832074123}}"#),
            ),
            (
                What::Started { id: id.clone(), task: task.clone(), worker: worker(), attempt: 1 },
                format!(r#""started",{of_task},"worker":"{WORKER}","attempt":1}}"#),
            ),
            (
                of_settled(SettledAs::Succeeded, None),
                format!(
                    r#""settled",{of_task},"worker":"{WORKER}","attempt":2,"outcome":"succeeded","took_us":1234567}}"#
                ),
            ),
            (
                of_settled(SettledAs::PutOff, error.clone()),
                format!(
                    r#""settled",{of_task},"worker":"{WORKER}","attempt":2,"outcome":"put_off","took_us":1234567,"error":"no route to \"host\"\n"}}"#
                ),
            ),
            (What::Cancelled { id: id.clone(), running: true }, format!(r#""cancelled","id":"{id}","running":true}}"#)),
            (What::Replayed { id: id.clone() }, format!(r#""replayed","id":"{id}"}}"#)),
            (What::Dropped { id: id.clone() }, format!(r#""dropped","id":"{id}"}}"#)),
            (What::RunNow { id: id.clone() }, format!(r#""run_now","id":"{id}"}}"#)),
            (What::Paused { queue: id.queue.clone() }, r#""paused","queue":"mail"}"#.to_owned()),
            (What::Resumed { queue: id.queue.clone() }, r#""resumed","queue":"mail"}"#.to_owned()),
            (
                What::Purged { queue: id.queue.clone(), dead: true, count: 100_000 },
                r#""purged","queue":"mail","dead":true,"count":100000}"#.to_owned(),
            ),
            (
                What::WorkerUp { worker: worker(), program: "shop".into(), host: "h1".into(), pid: 7, queues },
                format!(
                    r#""worker_up","worker":"{WORKER}","program":"shop","host":"h1","pid":7,"queues":["mail","default"]}}"#
                ),
            ),
            (What::WorkerDown { worker: worker() }, format!(r#""worker_down","worker":"{WORKER}"}}"#)),
            (
                What::LeaderChanged {
                    scheduler: WORKER.parse().expect("valid"),
                    token: FencingToken(12),
                    leads: true,
                },
                format!(r#""leader_changed","scheduler":"{WORKER}","token":12,"leads":true}}"#),
            ),
            (
                What::Ticked {
                    queue: "mail".parse().expect("valid"),
                    entry: "weekly-report".parse().expect("valid"),
                    fire_time: AT,
                    enqueued: 1,
                },
                r#""ticked","queue":"mail","entry":"weekly-report","fire_time":1795832074123,"enqueued":1}"#.to_owned(),
            ),
            (
                What::HealthChanged {
                    check: "shop".into(),
                    from: "healthy".into(),
                    to: "unhealthy".into(),
                    reason: error,
                },
                r#""health_changed","check":"shop","from":"healthy","to":"unhealthy","reason":"no route to \"host\"\n"}"#
                    .to_owned(),
            ),
            (What::LeftOut { count: 399_000 }, r#""left_out","count":399000}"#.to_owned()),
        ];
        kinds.into_iter().map(|(what, rest)| (what, format!("{head}{rest}"))).collect()
    }

    #[test]
    fn the_json_of_every_kind_is_as_it_was_and_reads_back() {
        for (what, json) in goldens() {
            let event = Event::new(AT, what);
            assert_eq!(event.encode(), json);
            assert_eq!(Event::decode(&json), event);
        }
    }

    #[test]
    fn every_kind_has_a_golden() {
        let told: std::collections::BTreeSet<_> = goldens().iter().map(|(what, _)| what.kind().to_owned()).collect();
        assert_eq!(told, What::KINDS.map(str::to_owned).into());
    }

    #[test]
    fn what_a_later_version_adds_is_passed_on_as_it_stands() {
        for (what, json) in goldens() {
            let later = json.replacen("\"v\":1", "\"v\":2,\"mood\":[{\"x\":null}]", 1);
            assert_eq!(Event::decode(&later), Event::new(AT, what), "a field more does no harm");
        }
        let json = r#"{"v":2,"at":5,"kind":"workflow_ended","id":"q/x"}"#;
        let event = Event::decode(json);
        assert_eq!((event.at, event.what.kind()), (Timestamp::from_millis(5), "workflow_ended"));
        assert_eq!(event.encode(), json);
        let outcome = goldens()[3].1.replacen("succeeded", "vaporised", 1);
        assert!(matches!(Event::decode(&outcome).what, What::Settled { outcome: SettledAs::Unknown, .. }));
    }

    #[test]
    fn what_is_no_event_does_no_harm() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let unreadable = ["", "null", "{}", "{\"kind\":7}", "{\"kind\":\"settled\"", "\u{0}", &deep];
        for text in unreadable {
            assert_eq!(Event::decode(text).what.kind(), "unreadable", "{text:.20}");
        }
        let wrong = r#"{"v":1,"at":1,"kind":"started","id":"no id","task":"","worker":"me","attempt":-1}"#;
        assert!(matches!(Event::decode(wrong).what, What::Other { kind, .. } if kind == "started"));
        let long = format!(r#"{{"kind":"{}"}}"#, "k".repeat(10_000));
        assert_eq!(Event::decode(&long).what.kind().len(), limits::MAX_NAME);
    }

    #[test]
    fn hostile_texts_are_bounded_and_stay_in_one_line() {
        let ((id, task), most) = (task(), "\u{1}\u{7f}\u{1b}[31m\n\u{2028}🌙\"\\".repeat(10_000));
        let settled = What::Settled {
            id,
            task,
            worker: worker(),
            attempt: u32::MAX,
            outcome: SettledAs::Dead,
            took: Duration::MAX,
            error: Some(most.clone()),
        };
        let health = What::HealthChanged {
            check: most.clone(),
            from: most.clone(),
            to: most.clone(),
            reason: Some(most.clone()),
        };
        let queues = vec![QueueName::new("q".repeat(limits::MAX_NAME)).expect("valid"); 500];
        let up = What::WorkerUp { worker: worker(), program: most.clone(), host: most, pid: 1, queues };
        for what in [settled, health, up] {
            let json = Event::new(AT, what).encode();
            assert!(json.len() <= limits::MAX_EVENT, "{}", json.len());
            assert!(!json.chars().any(|c| c.is_control() && c != '\u{7f}'), "{json}");
            assert_eq!(Event::decode(&json).encode(), json);
        }
    }
}
