//! Progress: seen while the task runs, fenced like every other write, gone when it ends.

use crate::{broker::Settled, conformance::Stage, context::Progress, id::Owner};

/// A report of the holder is kept; one of a stale holder is refused.
pub async fn progress_is_seen_while_running_and_fenced(stage: Stage) {
    let id = stage.enqueue_one().await;
    let stale = stage.worker().await;
    let first = stage.claim_one(stale).await;
    let report = async |owner: Owner, token, done| {
        let progress = Progress { done, total: 10, text: "é".into() };
        stage.connection.broker().report(owner, &stage.queue, &id.key, token, &progress).await.expect("reports")
    };
    assert_eq!(stage.find(&id).await.expect("runs").progress, None);
    assert_eq!(report(stale, first.token, 3).await, Settled::Applied);
    let seen = stage.find(&id).await.expect("runs").progress.expect("reported");
    assert_eq!((seen.done, seen.total, seen.text.as_str()), (3, 10, "é"));
    stage.lapse().await;
    assert_eq!(report(stale, first.token, 4).await, Settled::Fenced);
    let living = stage.worker().await;
    let second = stage.claim_one(living).await;
    assert_eq!(stage.find(&id).await.expect("runs").progress, None, "a new attempt starts from nothing");
    assert_eq!(report(stale, first.token, 5).await, Settled::Fenced);
    assert_eq!(report(living, second.token, 1).await, Settled::Applied);
    assert_eq!(stage.find(&id).await.expect("runs").progress.expect("reported").done, 1);
    stage.succeed(living, &second, 1).await;
    assert_eq!(stage.find(&id).await.expect("kept").progress, None);
    assert_eq!(report(living, second.token, 9).await, Settled::Fenced);
}
