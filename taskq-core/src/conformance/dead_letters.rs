//! Dead letters: kept with everything that happened, until somebody replays or drops them, or they age out.

use std::{sync::Arc, time::Duration};

use crate::{
    broker::{Ending, Settled},
    clock::Timestamp,
    conformance::Stage,
    id::TaskId,
    inspect::DeadLetter,
    limits,
    state::{DeadReason, State},
    task_error::TaskError,
};

async fn die(stage: &Stage, reason: DeadReason) -> TaskId {
    let id = stage.enqueue_one().await;
    let owner = stage.worker().await;
    let mut claimed = stage.claim_one(owner).await;
    for (at, error) in [(1, "first"), (2, "second")] {
        Arc::make_mut(&mut claimed.envelope).record_failure(Timestamp::from_millis(at), &TaskError::from(error));
    }
    assert_eq!(stage.settle(owner, &claimed, Ending::Dead(reason)).await, Settled::Applied);
    stage.connection.broker().leave(owner, &stage.queue).await.expect("leaves");
    id
}

async fn letters(stage: &Stage) -> Vec<DeadLetter> {
    stage.connection.inspect().dead_letters(&stage.queue, None, 100).await.expect("lists")
}

/// The reason, every attempt's error and time, and the arguments are kept.
pub async fn a_dead_letter_keeps_reason_and_errors(stage: Stage) {
    let id = die(&stage, DeadReason::Failed).await;
    let snapshot = stage.find(&id).await.expect("kept");
    assert_eq!((snapshot.state, snapshot.reason, snapshot.attempts), (State::Dead, Some(DeadReason::Failed), 2));
    assert_eq!(snapshot.last_error.as_deref(), Some("second"));
    let letters = letters(&stage).await;
    assert_eq!((letters.len(), &letters[0].id, letters[0].reason), (1, &id, DeadReason::Failed));
    let history: Vec<_> = letters[0].history().iter().map(|failed| (failed.attempt, failed.error.as_str())).collect();
    assert_eq!(history, [(1, "first"), (2, "second")]);
    assert_eq!(letters[0].envelope.as_ref().expect("decodes").payload.as_str(), r#"{"number":0}"#);
    assert_eq!(stage.connection.inspect().counts(&stage.queue).await.expect("counts").dead, 1);
}

/// A replayed dead letter is ready with all its attempts, and only once.
pub async fn a_dead_letter_can_be_replayed(stage: Stage) {
    let id = die(&stage, DeadReason::Fatal).await;
    let control = stage.connection.control();
    assert!(control.replay(&id).await.expect("replays"));
    assert!(!control.replay(&id).await.expect("answers"));
    assert_eq!(stage.state(&id).await, Some(State::Ready));
    let owner = stage.worker().await;
    let claimed = stage.claim_one(owner).await;
    assert_eq!((&claimed.envelope.id, claimed.envelope.attempts, claimed.deliveries), (&id, 0, 1));
    assert_eq!(stage.succeed(owner, &claimed, 1).await, Settled::Applied);
    assert_eq!(stage.state(&id).await, Some(State::Succeeded));
    assert!(letters(&stage).await.is_empty());
}

/// A dropped dead letter is forgotten.
pub async fn a_dead_letter_can_be_dropped(stage: Stage) {
    let id = die(&stage, DeadReason::Fatal).await;
    let control = stage.connection.control();
    assert!(control.drop_dead(&id).await.expect("drops"));
    assert!(!control.drop_dead(&id).await.expect("answers"));
    assert_eq!(stage.state(&id).await, None);
    assert!(!control.replay(&id).await.expect("answers"));
}

/// Pages follow one another without gap or repetition, oldest first.
pub async fn dead_letters_come_in_pages(stage: Stage) {
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(die(&stage, DeadReason::Failed).await);
        stage.advance(Duration::from_millis(5)).await;
    }
    let mut seen: Vec<TaskId> = Vec::new();
    loop {
        let after = seen.last().map(|id| id.key.clone());
        let page = stage.connection.inspect().dead_letters(&stage.queue, after.as_ref(), 2).await.expect("lists");
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        seen.extend(page.into_iter().map(|letter| letter.id));
    }
    assert_eq!(seen, ids);
}

/// A dead letter is dropped when it is older than anybody will look at.
pub async fn dead_letters_age_out(stage: Stage) {
    let id = die(&stage, DeadReason::Failed).await;
    stage.advance(limits::DEAD_LETTER_TTL - Duration::from_secs(60)).await;
    stage.sweep().await;
    assert_eq!(stage.state(&id).await, Some(State::Dead));
    stage.advance(Duration::from_secs(120)).await;
    stage.sweep().await;
    assert_eq!(stage.state(&id).await, None);
}

/// Each reason reads back as itself.
pub async fn every_reason_is_kept(stage: Stage) {
    for reason in DeadReason::ALL {
        let id = die(&stage, reason).await;
        assert_eq!(stage.find(&id).await.expect("kept").reason, Some(reason));
        let letters = letters(&stage).await;
        assert_eq!(letters.last().map(|letter| (&letter.id, letter.reason)), Some((&id, reason)));
        stage.advance(Duration::from_millis(5)).await;
    }
}
