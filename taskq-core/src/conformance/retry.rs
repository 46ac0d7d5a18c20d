//! Retrying: a failed task waits for its delay and keeps its errors.

use std::{sync::Arc, time::Duration};

use crate::{
    broker::{Ending, Settled},
    clock::Timestamp,
    conformance::Stage,
    state::State,
    task_error::TaskError,
};

/// The state is `retrying` until the delay is over; attempts and errors travel with the task.
pub async fn a_failed_task_waits_for_its_delay_and_keeps_its_errors(stage: Stage) {
    let id = stage.enqueue_one().await;
    let owner = stage.worker().await;
    for attempt in 1..=3u32 {
        assert!(stage.beat(owner).await);
        let mut claimed = stage.claim_one(owner).await;
        assert_eq!((claimed.envelope.attempts, claimed.deliveries), (attempt - 1, 1));
        let at = Timestamp::from_millis(i64::from(attempt));
        Arc::make_mut(&mut claimed.envelope).record_failure(at, &TaskError::from(format!("error {attempt}")));
        let retry = Ending::Retry(Duration::from_secs(2));
        assert_eq!(stage.settle(owner, &claimed, retry).await, Settled::Applied);
        let snapshot = stage.find(&id).await.expect("kept");
        assert_eq!((snapshot.state, snapshot.attempts), (State::Retrying, attempt));
        assert_eq!(snapshot.last_error.as_deref(), Some(format!("error {attempt}").as_str()));
        assert!(snapshot.due.expect("due later") > stage.now().await);
        assert!(stage.claim(owner, 1).await.is_empty());
        stage.advance(Duration::from_secs(2)).await;
    }
    assert!(stage.beat(owner).await);
    let claimed = stage.claim_one(owner).await;
    let errors: Vec<_> =
        claimed.envelope.history.iter().map(|failed| (failed.attempt, failed.error.as_str())).collect();
    assert_eq!(errors, [(1, "error 1"), (2, "error 2"), (3, "error 3")]);
}
