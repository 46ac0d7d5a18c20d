//! The tasks that are enqueued: small arguments, a body that does nothing but say that it ran.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bench_driver::Ledger;
use taskq::prelude::*;

use crate::stamps::{Stamps, monotonic};

/// The queue of all tasks here.
pub(crate) const QUEUE: &str = "bench";

/// What the text of a task says if nothing else.
pub(crate) const TEXT: &str = "somebody@example.org";

/// What the bodies write down.
#[derive(Clone, Debug)]
pub(crate) struct App {
    /// Which tasks ran.
    pub(crate) ledger: Ledger,
    /// When they started, or how long that took.
    pub(crate) stamps: Stamps,
    /// How many started before they were due.
    pub(crate) early: Arc<AtomicU64>,
}

impl App {
    /// For tasks 0 to `tasks - 1`.
    pub(crate) fn new(tasks: u64) -> Self {
        Self { ledger: Ledger::new(tasks), stamps: Stamps::new(tasks), early: Arc::default() }
    }
}

/// Gives its number as the result.
#[task(queue = QUEUE)]
pub(crate) async fn noop(ctx: &Context<App>, n: u64, text: String) -> u64 {
    drop(text);
    ctx.app().ledger.ran(n);
    n
}

/// The same without a result. The names are equally long, for bytes are compared.
#[task(queue = QUEUE, no_result)]
pub(crate) async fn mute(ctx: &Context<App>, n: u64, text: String) {
    drop(text);
    ctx.app().ledger.ran(n);
}

/// Notes when it started, first of all.
#[task(queue = QUEUE)]
pub(crate) async fn stamped(ctx: &Context<App>, n: u64, text: String) -> u64 {
    ctx.app().stamps.note(n, monotonic());
    ctx.app().ledger.ran(n);
    drop(text);
    n
}

/// Notes how long ago it was enqueued, perhaps by another process: the text is that process's monotonic clock, which is
/// the same for all processes of a machine.
#[task(queue = QUEUE)]
pub(crate) async fn crossed(ctx: &Context<App>, n: u64, text: String) -> Result<u64, std::num::ParseIntError> {
    let now = monotonic();
    let enqueued = Duration::from_nanos(text.parse()?);
    ctx.app().stamps.note(n, now.saturating_sub(enqueued));
    ctx.app().ledger.ran(n);
    Ok(n)
}

/// Checks that it is not early: the text is when it is due, in milliseconds of the wall clock.
#[task(queue = QUEUE)]
pub(crate) async fn punctual(ctx: &Context<App>, n: u64, text: String) -> Result<u64, std::num::ParseIntError> {
    let due = Duration::from_millis(text.parse()?);
    if wall() < due {
        ctx.app().early.fetch_add(1, Ordering::Relaxed);
    }
    ctx.app().ledger.ran(n);
    Ok(n)
}

/// Time since 1970, by this machine, whose clock the broker has too.
pub(crate) fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
