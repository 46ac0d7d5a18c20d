#![doc = include_str!("../README.md")]

// `#[task]` writes `::taskq` paths, in this crate's own tests too.
extern crate self as taskq;

mod connect;
#[cfg(feature = "health")]
mod engines;
#[cfg(all(feature = "app", feature = "scheduler"))]
mod nearest;

#[cfg(feature = "app")]
pub mod app;
#[cfg(feature = "app")]
pub mod config;
#[cfg(feature = "dashboard")]
pub mod dashboard;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(feature = "otel")]
pub mod otel;
pub mod testing;

pub use taskq_macros::task;

pub use connect::{connect, connect_with};
#[cfg(feature = "health")]
pub use engines::observer;
#[doc(inline)]
pub use taskq_core::propagator;
#[cfg(feature = "seal")]
pub use taskq_core::seal::{EncryptionKey, KeyBytes, KeyRing, SigningKey, VerifyingKey};
pub use taskq_core::{
    Accepted, AnyTask, Attempt, BoxError, BulkError, CancelAnswer, Capabilities, Client, Clock, Connection, Context,
    ControlExt, Counts, Cursor, DeadLetter, DeadReason, Document, DocumentId, DocumentName, Documents, Durability,
    Error, ErrorKind, Event, EventPage, Events, EventsMode, FailedAttempt, Figures, Invocation, KeyId, Keys, Layer,
    LogLevel, LogLine, Logs, Next, OnConflict, Outcome, Payload, Progress, Purge, PurgeAnswer, QueueName, Registration,
    Result, Retry, Saved, SettledAs, Snapshot, State, Subscriber, Task, TaskError, TaskErrorKind, TaskHandle, TaskId,
    TaskKey, TaskName, TaskOptions, TaskResult, Timestamp, Told, Unique, UniqueUntil, Version, WaitError, What,
    WorkerId, figures, limits,
};
#[cfg(feature = "scheduler")]
pub use taskq_scheduler as scheduler;
#[cfg(feature = "scheduler")]
pub use taskq_scheduler::{
    Entries, Entry, EntryId, EntryName, EntryOrigin, EntryView, Misfire, Overlap, Reloader, Schedule, Scheduler,
    SchedulerBuilder, SchedulerHandle, at, calendar, cron, every,
};
pub use taskq_worker::{Order, Pulse, Readiness, Stopper, Tally, Worker, WorkerBuilder, WorkerHandle};

#[cfg(feature = "app")]
pub use app::app;

/// What most programs need: `use taskq::prelude::*;`.
pub mod prelude {
    pub use std::time::Duration;

    pub use crate::{
        Attempt, Client, Connection, Context, Next, Outcome, Retry, State, TaskError, TaskHandle, TaskResult, Unique,
        WaitError, Worker, task, tasks,
    };
}

/// Names tasks for [`WorkerBuilder::tasks`], to run only these: `.tasks(tasks![add, mail::send_email])`.
#[macro_export]
macro_rules! tasks {
    ($($task:path),* $(,)?) => {
        [$(<$task as $crate::__private::Registered>::REGISTRATION),*]
    };
}

/// What `#[task]` writes goes through here. Not for people: it changes without notice.
#[doc(hidden)]
pub mod __private {
    pub use inventory;
    pub use serde;
    pub use taskq_core::{
        AsyncTask, Context, Invocation, PlainTask, Registration, Task, TaskOptions, TaskResult,
        task::{Registered, Returned, Returns, ReturnsPlain},
    };
}

/// Runs the examples in the documentation of `#[task]`, which cannot run in its own crate.
#[cfg(doctest)]
#[doc = include_str!("../taskq-macros/src/task.md")]
pub mod task_documentation {}

/// Compiles the examples of the document about traces and logs.
#[cfg(doctest)]
#[doc = include_str!("../docs/traces.md")]
pub mod traces_documentation {}

/// Compiles the examples of the document about events.
#[cfg(doctest)]
#[doc = include_str!("../docs/events.md")]
pub mod events_documentation {}

/// Compiles the examples of the document about security.
#[cfg(all(doctest, feature = "seal"))]
#[doc = include_str!("../docs/security.md")]
pub mod security_documentation {}
