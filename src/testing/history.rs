//! What happened in a simulation, in the order in which it happened at the broker.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use taskq_core::{
    Accepted, CancelAnswer, Clock, Envelope, QueueName, Snapshot, TaskId, Timestamp,
    broker::{Claimed, Ending, Settled, Settlement},
    control::{Purge, PurgeAnswer},
    id::{BatchId, ClaimNumber, DeliveryToken, Owner},
};

/// Who did something: a number for each simulated process, given in the order of their births.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ProcessNumber(pub(super) usize);

/// One thing that happened.
#[derive(Clone, Debug)]
pub(super) struct Happened {
    /// Since the simulation began.
    pub(super) at: Duration,
    /// The broker's time.
    pub(super) now: Timestamp,
    pub(super) process: ProcessNumber,
    pub(super) event: Event,
}

/// What can happen. All but the last three are steps of the broker, noted when they took effect.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Enqueued {
        batch: BatchId,
        tasks: Vec<(Envelope, Accepted)>,
    },
    Joined {
        owner: Owner,
        queue: QueueName,
        /// How long it and each renewal lasts.
        lease: Duration,
        joined: bool,
    },
    Beaten {
        owner: Owner,
        queue: QueueName,
        alive: bool,
    },
    Claimed {
        owner: Owner,
        queue: QueueName,
        claimed: Vec<Claimed>,
    },
    ClaimRefused {
        owner: Owner,
        queue: QueueName,
        number: ClaimNumber,
    },
    /// An owner asked what it holds; claims up to this number are over.
    Looked {
        owner: Owner,
        queue: QueueName,
        last: ClaimNumber,
    },
    Settled {
        owner: Owner,
        settlement: Settlement,
        settled: Settled,
    },
    Reported {
        owner: Owner,
        id: TaskId,
        token: DeliveryToken,
        settled: Settled,
    },
    Left {
        owner: Owner,
        queue: QueueName,
    },
    Cancelled {
        id: TaskId,
        answer: CancelAnswer,
    },
    /// An operator made a dead letter ready again.
    Replayed {
        id: TaskId,
    },
    /// An operator did not wait until a task was due.
    RanNow {
        id: TaskId,
    },
    /// An operator threw a dead letter away.
    Dropped {
        id: TaskId,
    },
    /// An operator took a step in emptying a queue.
    Purged {
        queue: QueueName,
        what: Purge,
        answer: PurgeAnswer,
    },
    /// An operator has paused a queue, or paused it again.
    Paused {
        queue: QueueName,
    },
    /// An operator has ended a pause.
    Resumed {
        queue: QueueName,
    },
    /// Somebody looked a task up, and this is what the broker answered.
    Seen {
        id: TaskId,
        snapshot: Option<Snapshot>,
    },
    /// A client heard that its batch was accepted.
    Told {
        batch: BatchId,
    },
    /// A body began.
    Started {
        id: TaskId,
        token: DeliveryToken,
    },
    /// Something was done to the process: its lease may lapse for up to this long.
    Troubled {
        what: Trouble,
        lasting: Duration,
    },
}

/// What a simulation does to its processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    Killed,
    Stopped,
    Cut,
    Drained,
    Message,
}

/// All that happened so far. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct History {
    clock: Clock,
    happened: Arc<Mutex<Vec<Happened>>>,
}

impl History {
    /// An empty one, by this clock.
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, happened: Arc::default() }
    }

    pub(super) fn note(&self, process: ProcessNumber, event: Event) {
        let happened = Happened { at: self.clock.monotonic(), now: self.clock.now(), process, event };
        self.all().push(happened);
    }

    pub(super) fn all(&self) -> MutexGuard<'_, Vec<Happened>> {
        // Nothing panics while holding it.
        self.happened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tasks by number, in the order of their acceptance: their ids differ from run to run, and their numbers do not.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<TaskId, usize>);

impl Names {
    /// The name of a task, which is given one if it has none.
    fn of(&mut self, id: &TaskId) -> String {
        let next = self.0.len();
        format!("{}#{}", id.queue, self.0.entry(id.clone()).or_insert(next))
    }
}

impl Happened {
    /// One line. Two runs of one seed give the same lines.
    pub(super) fn line(&self, names: &mut Names) -> String {
        format!("{:>10.3}s process {:<2} {}", self.at.as_secs_f64(), self.process.0, self.event.line(names))
    }
}

impl Event {
    fn line(&self, names: &mut Names) -> String {
        match self {
            Self::Enqueued { tasks, .. } => {
                let mut answer = |(envelope, accepted): &(Envelope, Accepted)| {
                    let answer = match accepted {
                        Accepted::Created => "created",
                        Accepted::Duplicate => "duplicate",
                        Accepted::Held(_) => "held",
                        Accepted::Replaced(_) => "replaced",
                    };
                    format!(" {} {answer}", names.of(&envelope.id))
                };
                format!("enqueue{}", tasks.iter().map(&mut answer).collect::<String>())
            }
            Self::Joined { owner, queue, joined, .. } => format!("join {queue} term {}: {joined}", owner.term),
            Self::Beaten { owner, queue, alive } => format!("beat {queue} term {}: alive {alive}", owner.term),
            Self::Claimed { owner, queue, claimed } => {
                let mut one = |Claimed { token, deliveries, envelope }: &Claimed| {
                    format!(" {} token {} delivery {deliveries}", names.of(&envelope.id), token.0)
                };
                let all: String = claimed.iter().map(&mut one).collect();
                format!("claim {queue} term {}:{all}", owner.term)
            }
            Self::ClaimRefused { owner, queue, number } => {
                format!("claim {} {queue} term {}: fenced", number.0, owner.term)
            }
            Self::Looked { owner, queue, last } => {
                format!("look for what is held in {queue} term {}, after claim {}", owner.term, last.0)
            }
            Self::Settled { owner, settlement: Settlement { token, envelope, ending }, settled } => {
                let ending = match ending {
                    Ending::Succeeded(_) => "succeeded",
                    Ending::Retry(_) => "retry",
                    Ending::Dead(_) => "dead",
                    Ending::Cancelled => "cancelled",
                    Ending::Released => "released",
                };
                let (name, term) = (names.of(&envelope.id), owner.term);
                format!("settle {name} token {} term {term} {ending}: {settled:?}", token.0)
            }
            Self::Reported { id, token, settled, .. } => {
                format!("report {} token {}: {settled:?}", names.of(id), token.0)
            }
            Self::Left { owner, queue } => format!("leave {queue} term {}", owner.term),
            Self::Cancelled { id, answer } => format!("cancel {}: {answer:?}", names.of(id)),
            Self::Replayed { id } => format!("replay {}", names.of(id)),
            Self::RanNow { id } => format!("run {} now", names.of(id)),
            Self::Dropped { id } => format!("drop {}", names.of(id)),
            Self::Purged { queue, what, answer } => format!("purge {queue} {what:?}: {answer:?}"),
            Self::Paused { queue } => format!("pause {queue}"),
            Self::Resumed { queue } => format!("resume {queue}"),
            Self::Seen { id, snapshot } => {
                format!("see {}: {:?}", names.of(id), snapshot.as_ref().map(|snapshot| snapshot.state))
            }
            Self::Told { .. } => "hear that the batch was accepted".to_owned(),
            Self::Started { id, token } => format!("start {} token {}", names.of(id), token.0),
            Self::Troubled { what, lasting } => format!("-- {what:?} for {lasting:?}"),
        }
    }
}
