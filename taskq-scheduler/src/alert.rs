//! Tells people that a target's health has changed. Behind the feature `health`.
//!
//! ```text
//!  Record (how a target is) --> Rule (is it worth telling?) --> Notice (what to tell)
//! ```
//!
//! A [`Rule`] decides, without a clock and a broker. What it has told before is in a [`Memory`], which is kept with the
//! record, so that every worker decides alike.

mod memory;
mod notice;
mod rule;

pub use memory::Memory;
pub use notice::{Notice, NoticeKind};
pub use rule::Rule;
