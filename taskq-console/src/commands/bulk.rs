//! Something done to many tasks, one after the other, with how far it came.

use std::{future::Future, io::IsTerminal};

use futures_util::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use taskq_core::{Result, TaskId};

use super::output::note;

/// Calls that are under way at once: enough to hide a round trip.
pub(super) const AT_ONCE: usize = 16;

/// How far it came, for people at a terminal.
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// Nothing of `whole` is done. Short work shows nothing.
    pub(super) fn new(whole: u64) -> Self {
        let is_shown = whole > 200 && std::io::stderr().is_terminal();
        let target = if is_shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(whole), target);
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {human_pos} of {human_len}, {eta} left") {
            bar.set_style(style);
        }
        Self(bar)
    }

    pub(super) fn at(&self, done: u64) {
        self.0.set_position(done);
    }

    pub(super) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

/// Does it to each; answers how many it was done to. The first error ends it.
pub(super) async fn each<Fut>(ids: Vec<TaskId>, act: impl Fn(TaskId) -> Fut) -> Result<u64>
where
    Fut: Future<Output = Result<bool>>,
{
    let count = ids.len();
    let bar = Bar::new(count as u64);
    let mut answers = stream::iter(ids).map(act).buffer_unordered(AT_ONCE);
    let (mut seen, mut done) = (0, 0);
    while let Some(answer) = answers.next().await {
        seen += 1;
        match answer {
            Ok(changed) => done += u64::from(changed),
            Err(error) => {
                bar.clear();
                note(format_args!("{done} of {count} were done before this failed; do it again to go on"));
                return Err(error);
            }
        }
        bar.at(seen);
    }
    bar.clear();
    Ok(done)
}
