//! Looks at other services, and says how they are. Behind the feature `health`.
//!
//! ```text
//!  Check (what to ask, and how often) --> Observer::look --> Look (Well, Poor or Bad, and how long it took)
//!                                            |
//!                             Trust: where may it look?  guard.rs
//! ```
//!
//! This is about one look at one target. It knows neither broker, worker nor schedule: whoever calls [`Observer::look`]
//! decides when, and what a row of bad looks means.
//!
//! A look is bounded as a whole by the check's timeout, and can be dropped at any time: then connections are closed and
//! commands are killed. Nothing that a look reads or sends is shown: no bodies, no headers, no credentials.

mod board;
mod check;
mod finding;
mod monitor;
mod observer;
mod record;

mod guard;

mod address;
mod allow;
mod labels;
mod resolver;

mod command;
mod engines;
mod http;
mod probe;
mod task;
mod tcp;

mod stage;

pub use allow::Allow;
pub use board::{Board, BoardRow};
pub use check::Check;
pub use command::CommandProbe;
pub use engines::{Engines, RedisProbe, SqliteProbe};
pub use finding::{Cause, Finding, Look, Reason};
pub use guard::Trust;
pub use http::HttpProbe;
pub use monitor::{Monitor, NOTICES, QUEUE, Watchlist};
pub use observer::Observer;
pub use probe::Probe;
pub use record::{Health, LastError, Record, Seen, Transition};
pub use resolver::Resolver;
pub use task::TaskProbe;
pub use tcp::TcpProbe;

// What alerts share with looks.
pub(crate) use guard::{Guard, Place};
pub(crate) use http::{
    Authorities, beside, client, header_name, header_value, origin, take_headers, told, told_of_stream, web_url,
};
pub(crate) use labels::take_labels;
pub(crate) use resolver::System;
pub(crate) use stage::Stage;
pub(crate) use tcp::connect;

/// What refusals call it.
const NOUN: &str = "health check";
