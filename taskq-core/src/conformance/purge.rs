//! Purging: an operator empties a queue in bounded steps, and nobody is left with a ghost.

use std::time::Duration;

use serde_json::json;

use crate::{
    broker::{Accepted, Ending, Settled},
    conformance::Stage,
    control::{ControlExt, Purge, PurgeAnswer},
    envelope::Envelope,
    id::{Owner, Siblings, TaskId},
    inspect::Counts,
    invocation::{Invocation, Unique},
    limits,
    state::{DeadReason, State},
};

/// Far longer than any of these tests may take.
const LONG: Duration = Duration::from_secs(600);

const LATER: Duration = Duration::from_secs(60);

async fn purge_step(stage: &Stage, what: Purge, limit: usize) -> PurgeAnswer {
    stage.connection.control().purge(&stage.queue, what, limit).await.expect("purges")
}

async fn purge(stage: &Stage, what: Purge) -> u64 {
    stage.connection.control().purge_all(&stage.queue, what, |_| {}).await.expect("purges")
}

async fn counts(stage: &Stage) -> Counts {
    stage.connection.inspect().counts(&stage.queue).await.expect("counts")
}

/// Tasks as one bulk call makes them: most of them share a marker.
fn siblings(stage: &Stage, count: u32) -> Vec<Envelope> {
    let mut keys = Siblings::new(true);
    let sibling = |number| {
        let mut envelope = stage.envelope(stage.invocation(number).priority((number % 3) as u8));
        envelope.id.key = keys.next_key();
        envelope
    };
    (0..count).map(sibling).collect()
}

async fn retry(stage: &Stage, owner: Owner) -> TaskId {
    let id = stage.enqueue(stage.invocation(0).priority(9)).await.0;
    let claimed = stage.claim_one(owner).await;
    assert_eq!(claimed.envelope.id, id);
    stage.settle(owner, &claimed, Ending::Retry(LATER)).await;
    id
}

async fn die(stage: &Stage, owner: Owner) -> TaskId {
    let id = stage.enqueue(stage.invocation(0).priority(9)).await.0;
    let claimed = stage.claim_one(owner).await;
    assert_eq!(claimed.envelope.id, id);
    stage.settle(owner, &claimed, Ending::Dead(DeadReason::Failed)).await;
    id
}

/// Alone or enqueued together: each reads cancelled, is never handed out, and whoever waits for it hears of it.
pub async fn purged_waiting_tasks_are_cancelled_and_their_waiters_hear_it(stage: Stage) {
    let envelopes = siblings(&stage, 60);
    stage.enqueue_all(&envelopes).await;
    let lone = stage.enqueue_one().await;
    let owned = stage.enqueue(stage.invocation(0).id("own")).await.0;
    let mut ids: Vec<TaskId> = envelopes.into_iter().map(|envelope| envelope.id).collect();
    ids.extend([lone, owned]);
    let waiting: Vec<_> = [0, 7, 59, 60, 61]
        .map(|index| {
            let (broker, id) = (stage.connection.broker().clone(), ids[index].clone());
            tokio::spawn(async move { broker.wait(&id, LONG).await.expect("waits").expect("known").state })
        })
        .into();
    assert_eq!(purge(&stage, Purge::Waiting).await, 62);
    for waiting in waiting {
        assert_eq!(stage.finish(waiting).await, State::Cancelled);
    }
    let now = stage.now().await;
    for id in &ids {
        let snapshot = stage.find(id).await.expect("kept");
        assert_eq!((snapshot.state, snapshot.attempts, snapshot.result), (State::Cancelled, 0, None));
        assert!(snapshot.ended_at.is_some_and(|at| at <= now && now.since(at) < LONG));
    }
    assert!(stage.claim(stage.worker().await, 99).await.is_empty());
    assert_eq!(counts(&stage).await, Counts::default());
}

/// What held a key is gone, so the same work can be enqueued again; but a key for a time is held for its time.
pub async fn purged_tasks_free_their_unique_keys(stage: Stage) {
    let until_end = || stage.invocation(0).unique(Unique::key("end"));
    let until_start = || stage.invocation(0).unique(Unique::key("start").until_start()).delay(LATER);
    let for_a_time = || stage.invocation(0).unique(Unique::key("time").for_duration(LATER));
    for invocation in [until_end(), until_start(), for_a_time()] {
        assert_eq!(stage.enqueue(invocation).await.1, Accepted::Created);
    }
    assert_eq!(purge(&stage, Purge::Waiting).await, 3);
    for invocation in [until_end(), until_start()] {
        assert_eq!(stage.enqueue(invocation).await.1, Accepted::Created);
    }
    assert!(matches!(stage.enqueue(for_a_time()).await.1, Accepted::Held(_)));
    stage.advance(LATER).await;
    assert_eq!(stage.enqueue(for_a_time()).await.1, Accepted::Created);
}

/// What runs goes on and can be settled, and nobody else's queue is touched.
pub async fn running_tasks_and_other_queues_are_not_purged(stage: Stage) {
    let envelopes = siblings(&stage, 30);
    stage.enqueue_all(&envelopes).await;
    let other = stage.with_queue("other");
    let elsewhere = other.enqueue_one().await;
    let owner = stage.worker().await;
    let claimed = stage.claim(owner, 7).await;
    assert_eq!(claimed.len(), 7);
    assert_eq!(purge(&stage, Purge::Waiting).await, 23);
    assert_eq!(purge(&stage, Purge::DeadLetters).await, 0);
    assert_eq!(counts(&stage).await, Counts { running: 7, ..Counts::default() });
    for claimed in &claimed {
        assert_eq!(stage.state(&claimed.envelope.id).await, Some(State::Running));
        assert_eq!(stage.succeed(owner, claimed, 1).await, Settled::Applied);
        assert_eq!(stage.state(&claimed.envelope.id).await, Some(State::Succeeded));
    }
    let ran = |envelope: &&Envelope| claimed.iter().any(|claimed| claimed.envelope.id == envelope.id);
    for envelope in envelopes.iter().filter(|envelope| !ran(envelope)) {
        assert_eq!(stage.state(&envelope.id).await, Some(State::Cancelled));
    }
    assert_eq!(other.state(&elsewhere).await, Some(State::Ready));
    assert_eq!(other.claim_one(other.worker().await).await.envelope.id, elsewhere);
}

/// What waits for its time does not come back when it is due.
pub async fn scheduled_and_retrying_tasks_are_purged(stage: Stage) {
    let owner = stage.worker().await;
    let retrying = retry(&stage, owner).await;
    let mut ids = vec![retrying];
    for number in 0..5 {
        ids.push(stage.enqueue(stage.invocation(number).delay(LATER * number)).await.0);
    }
    assert_eq!(counts(&stage).await, Counts { ready: 1, scheduled: 4, retrying: 1, ..Counts::default() });
    assert_eq!(purge(&stage, Purge::Waiting).await, 6);
    assert_eq!(counts(&stage).await, Counts::default());
    stage.advance(LATER * 6).await;
    stage.sweep().await;
    assert!(stage.claim(stage.worker().await, 99).await.is_empty());
    for id in &ids {
        assert_eq!(stage.state(id).await, Some(State::Cancelled));
    }
}

/// Dropped like any other dead letter, and what waits stays.
pub async fn purged_dead_letters_are_forgotten(stage: Stage) {
    let owner = stage.worker().await;
    let dead = [die(&stage, owner).await, die(&stage, owner).await, die(&stage, owner).await];
    let waiting = stage.enqueue_one().await;
    assert_eq!(purge(&stage, Purge::DeadLetters).await, 3);
    for id in &dead {
        assert_eq!(stage.state(id).await, None);
        assert!(!stage.connection.control().replay(id).await.expect("answers"));
    }
    let letters = stage.connection.inspect().dead_letters(&stage.queue, None, 9).await.expect("lists");
    assert!(letters.is_empty());
    assert_eq!(stage.state(&waiting).await, Some(State::Ready));
    assert_eq!(counts(&stage).await, Counts { ready: 1, ..Counts::default() });
}

/// No step takes more than it was asked to, nor more than its bound; those that would start next go first.
pub async fn a_purge_is_bounded_and_says_when_more_is_left(stage: Stage) {
    let envelopes = siblings(&stage, 30);
    stage.enqueue_all(&envelopes).await;
    assert_eq!(purge_step(&stage, Purge::Waiting, 0).await, PurgeAnswer { purged: 0, more: true });
    assert_eq!(purge_step(&stage, Purge::Waiting, 7).await, PurgeAnswer { purged: 7, more: true });
    assert_eq!(counts(&stage).await.ready, 23);
    let first = envelopes.iter().filter(|envelope| envelope.priority == 2).take(7);
    for envelope in first {
        assert_eq!(stage.state(&envelope.id).await, Some(State::Cancelled));
    }
    assert_eq!(stage.claim(stage.worker().await, 3).await.len(), 3);
    assert_eq!(purge_step(&stage, Purge::Waiting, 20).await, PurgeAnswer { purged: 20, more: false });

    let owner = stage.worker().await;
    for _ in 0..3 {
        die(&stage, owner).await;
    }
    assert_eq!(purge_step(&stage, Purge::DeadLetters, 0).await, PurgeAnswer { purged: 0, more: true });
    assert_eq!(purge_step(&stage, Purge::DeadLetters, 2).await, PurgeAnswer { purged: 2, more: true });
    assert_eq!(purge_step(&stage, Purge::DeadLetters, 2).await, PurgeAnswer { purged: 1, more: false });

    for _ in 0..2 {
        stage.enqueue_all(&siblings(&stage, 150)).await;
    }
    let answer = purge_step(&stage, Purge::Waiting, usize::MAX).await;
    assert_eq!(answer, PurgeAnswer { purged: limits::PURGE_BATCH, more: true });
    let mut heard = Vec::new();
    let control = stage.connection.control();
    let purged = control.purge_all(&stage.queue, Purge::Waiting, |purged| heard.push(purged)).await.expect("purges");
    assert_eq!((purged, heard), (100, vec![100]));
}

/// An empty queue, and one that nobody ever used, answer that nothing went.
pub async fn a_repeated_purge_is_harmless(stage: Stage) {
    let nothing = PurgeAnswer::default();
    assert_eq!(purge_step(&stage, Purge::Waiting, 9).await, nothing);
    let owner = stage.worker().await;
    die(&stage, owner).await;
    let id = stage.enqueue_one().await;
    for what in [Purge::Waiting, Purge::DeadLetters] {
        assert_eq!(purge_step(&stage, what, 9).await, PurgeAnswer { purged: 1, more: false });
        assert_eq!(purge_step(&stage, what, 9).await, nothing);
    }
    assert_eq!(stage.state(&id).await, Some(State::Cancelled));
}

/// Tasks of which nobody may ask are never started.
pub async fn untracked_tasks_are_purged(stage: Stage) {
    let envelopes: Vec<_> = (0..30).map(|number| stage.untracked(number)).collect();
    stage.enqueue_all(&envelopes).await;
    let mut scheduled = stage.untracked(30);
    scheduled.start = crate::invocation::Start::After(LATER);
    stage.enqueue_all(&[scheduled.clone()]).await;
    let waiting = tokio::spawn({
        let (broker, id) = (stage.connection.broker().clone(), scheduled.id);
        async move { broker.wait(&id, LONG).await.expect("waits").expect("untracked").state }
    });
    assert_eq!(purge(&stage, Purge::Waiting).await, 31);
    assert_eq!(stage.finish(waiting).await, State::Untracked);
    assert_eq!(counts(&stage).await, Counts::default());
    assert!(stage.claim(stage.worker().await, 99).await.is_empty());
}

/// A task whose time was over before the purge is not said to be cancelled.
pub async fn what_has_expired_is_purged_as_expired(stage: Stage) {
    let expiring = |invocation: Invocation<_>| invocation.expires_in(Duration::from_secs(5));
    let ready = stage.enqueue(expiring(stage.invocation(0))).await.0;
    let scheduled = stage.enqueue(expiring(stage.invocation(0)).delay(LATER)).await.0;
    let fresh = stage.enqueue(stage.invocation(0).expires_in(LONG)).await.0;
    stage.advance(Duration::from_secs(6)).await;
    assert_eq!(purge(&stage, Purge::Waiting).await, 3);
    assert_eq!(stage.state(&ready).await, Some(State::Expired));
    assert_eq!(stage.state(&scheduled).await, Some(State::Expired));
    assert_eq!(stage.state(&fresh).await, Some(State::Cancelled));
}

/// The end that a task has is not changed, and a purge counts what it ended itself.
pub async fn what_was_cancelled_before_is_not_counted_again(stage: Stage) {
    let envelopes = siblings(&stage, 30);
    stage.enqueue_all(&envelopes).await;
    let untracked = [stage.untracked(0), stage.untracked(1)];
    stage.enqueue_all(&untracked).await;
    let mut cancelled = Vec::new();
    for id in [&envelopes[0].id, &envelopes[29].id, &untracked[0].id] {
        stage.connection.broker().cancel(id).await.expect("cancels");
        cancelled.push(stage.find(id).await);
    }
    stage.advance(Duration::from_secs(1)).await;
    assert_eq!(purge(&stage, Purge::Waiting).await, 29);
    for (id, before) in [&envelopes[0].id, &envelopes[29].id, &untracked[0].id].into_iter().zip(cancelled) {
        assert_eq!(stage.find(id).await, before);
    }
    assert_eq!(counts(&stage).await, Counts::default());
}

/// Nothing of what was purged is in the way of what comes after it.
pub async fn a_purged_queue_goes_on_as_a_new_one(stage: Stage) {
    let owner = stage.worker().await;
    for round in 0..3 {
        let envelopes = siblings(&stage, 25);
        stage.enqueue_all(&envelopes).await;
        purge_step(&stage, Purge::Waiting, 12).await;
        assert_eq!(purge(&stage, Purge::Waiting).await, 13);
        let fresh = siblings(&stage, 25);
        stage.enqueue_all(&fresh).await;
        let claimed = stage.claim(owner, 99).await;
        assert_eq!(claimed.len(), 25, "round {round}");
        for claimed in &claimed {
            assert_eq!(stage.succeed(owner, claimed, round).await, Settled::Applied);
            assert_eq!(stage.state(&claimed.envelope.id).await, Some(State::Succeeded));
        }
        for envelope in &envelopes {
            assert_eq!(stage.state(&envelope.id).await, Some(State::Cancelled));
        }
    }
    assert_eq!(counts(&stage).await, Counts::default());
}

/// Large arguments make steps smaller, and no task is forgotten over it.
pub async fn large_tasks_are_purged(stage: Stage) {
    let text = "x".repeat(limits::MAX_PAYLOAD - 64);
    let large = || Invocation::named("noop", &json!({ "text": text })).queue(stage.queue.as_str());
    let mut ids = Vec::new();
    for number in 0..12 {
        let invocation = if number % 2 == 0 { large() } else { large().delay(LATER) };
        ids.push(stage.enqueue(invocation).await.0);
    }
    assert_eq!(purge(&stage, Purge::Waiting).await, 12);
    for id in &ids {
        assert_eq!(stage.state(id).await, Some(State::Cancelled));
    }
}
