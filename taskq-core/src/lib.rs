//! The language of taskq: types, contracts and rules. No sockets, no drivers.
//!
//! Users depend on the facade `taskq-rs`; this crate is for writing brokers, and for the facade itself.

pub mod limits;

#[doc(hidden)]
pub mod bug;
pub mod client;
pub mod clock;
pub mod codec;
pub mod connection;
pub mod context;
pub mod counter;
pub mod durability;
pub mod envelope;
pub mod error;
pub mod figures;
pub mod handle;
pub mod id;
pub mod invocation;
pub mod layer;
pub mod own_thread;
pub mod propagator;
pub mod retry;
pub mod seal;
pub mod signals;
pub mod state;
pub mod task;
pub mod task_error;
mod text;

pub mod broker;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod control;
pub mod documents;
pub mod events;
pub mod fleet;
pub mod inspect;
pub mod leader;
pub mod logs;
mod meter;
pub mod schedules;

pub use broker::{Accepted, Broker, CancelAnswer, Capabilities, Snapshot};
pub use client::{BulkError, Client};
pub use clock::{Clock, Timestamp};
pub use codec::Payload;
pub use connection::Connection;
pub use context::{Context, Progress};
pub use control::{Control, ControlExt, Purge, PurgeAnswer};
pub use documents::{Document, DocumentId, DocumentName, Documents, Saved, Version};
pub use durability::Durability;
pub use envelope::{Envelope, FailedAttempt};
pub use error::{BoxError, Error, ErrorKind, Result};
pub use events::{Cursor, Event, EventPage, Events, EventsMode, SettledAs, Subscriber, Told, What};
pub use figures::Figures;
pub use fleet::{Fleet, Member, MemberId, Report, Request};
pub use handle::{TaskHandle, WaitError};
pub use id::{KeyId, Namespace, QueueName, TaskId, TaskKey, TaskName, WorkerId};
pub use inspect::{Counts, DeadLetter, Finding, Inspect, PageToken, QueueView, Shelf, TaskPage, TaskView, Verdict};
pub use invocation::{AnyTask, Invocation, OnConflict, TaskOptions, Unique, UniqueUntil};
pub use layer::{Attempt, Layer, Next, Outcome};
pub use leader::{CandidateId, Elected, FencingToken, Incumbent, Leader, Renewal, Standing};
pub use logs::{LogLevel, LogLine, Logs};
pub use retry::Retry;
pub use schedules::{
    Author, EntryId, EntryName, EntryOrigin, FireTime, Fired, Mark, Schedules, StoredEntry, Tick, Written,
};
pub use seal::Keys;
pub use state::{DeadReason, State};
pub use task::{AsyncTask, PlainTask, Registration, Task};
pub use task_error::{TaskError, TaskErrorKind, TaskResult};
