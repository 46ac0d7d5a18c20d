//! Tells people that a target's health has changed. Behind the feature `health`.
//!
//! ```text
//!  Record (how a target is) --> Rule (is it worth telling?) --> Notice (what to tell)
//!                                                                  |
//!  Alert (a Rule and a Channel) --> Courier::deliver (one attempt) +--> Ok, or a Refusal
//! ```
//!
//! A [`Rule`] decides, without a clock and a broker. What it has told before is in a [`Memory`], which is kept with the
//! record, so that every worker decides alike.
//!
//! A [`Courier`] makes one attempt to deliver a notice, bounded as a whole, and may be dropped at any time. It knows neither
//! broker nor worker: whoever calls it says when to try again, for which [`Refusal`] has what is needed. So a receiver may
//! get a notice twice, and knows by its key that it is the same. Nothing secret is shown: no URL beyond its host, no header,
//! no password, and nothing of what a receiver answers but its status.

mod form;
mod memory;
mod notice;
mod rule;

mod channel;
mod courier;
mod refusal;

mod email;
mod slack;
mod task;
mod webhook;

mod field;
mod post;
mod source;
mod template;

pub use channel::Channel;
pub use courier::Courier;
pub use email::EmailChannel;
pub use form::Alert;
pub use memory::Memory;
pub use notice::{Notice, NoticeKind};
pub use refusal::Refusal;
pub use rule::Rule;
pub use slack::SlackChannel;
pub use task::TaskChannel;
pub use webhook::WebhookChannel;

/// What refusals call it.
const NOUN: &str = "alert";
