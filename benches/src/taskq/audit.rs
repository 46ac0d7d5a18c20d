//! Whether each task ran once, ended once, and left its result.

use std::time::Duration;

use bench_driver::{Audit, Ledger, Outcome};
use taskq::{Tally, TaskHandle};

use crate::{
    stage::{Sample, Stage},
    tasks::noop,
};

/// A result that is there is there at once.
const RESULT_WITHIN: Duration = Duration::from_secs(5);

/// What became of tasks 0 to `tasks - 1`, and of the results of some.
pub(crate) async fn audit(stage: &Stage, tasks: u64, tally: Tally, samples: &[Sample]) -> Outcome<Audit> {
    check_tally(tasks, &stage.app.ledger, tally)?;
    let mut results = 0;
    for (number, handle) in samples {
        results += u64::from(is_right(*number, handle).await);
    }
    let results_due = samples.len() as u64;
    Ok(Audit { results_due, results, ..Audit::of(tasks, &stage.app.ledger) })
}

/// The worker's own account: all succeeded, and none of its writes came too late.
pub(crate) fn check_tally(tasks: u64, ledger: &Ledger, tally: Tally) -> Outcome<()> {
    if tally.succeeded == tasks && tally.fenced == 0 && tally.retried == 0 && tally.dead == 0 {
        return Ok(());
    }
    let (executed, duplicates) = (ledger.executed(), ledger.duplicates());
    let ran = format!("{executed} of {tasks} tasks ran, with {duplicates} executions too many");
    Err(format!("the audit failed: {ran}; the worker counts {tally:?}").into())
}

async fn is_right(number: u64, handle: &TaskHandle<noop>) -> bool {
    matches!(handle.wait(RESULT_WITHIN).await, Ok(result) if result == number)
}
