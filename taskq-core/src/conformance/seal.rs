//! Seals: what is signed and encrypted is kept byte for byte, or it would not hold.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use crate::{
    broker::{Ending, Settled},
    clock::Timestamp,
    codec::Payload,
    conformance::Stage,
    envelope::Envelope,
    id::KeyId,
    invocation::{Invocation, Unique},
    limits,
    retry::Retry,
    seal::{Seal, Signature},
    state::DeadReason,
    task_error::TaskError,
};

/// An envelope with everything that a signature covers, and white space that only bytes know of.
fn sealed(stage: &Stage) -> Envelope {
    let invocation = Invocation::named("noop", &json!({})).queue(stage.queue.as_str()).priority(7).max_deliveries(9);
    let invocation = invocation.timeout(Duration::from_secs(7)).retry(Retry::fixed(Duration::from_millis(1_500)));
    let invocation =
        invocation.unique(Unique::key("unique é")).header("traceparent", "00-1").expires_in(Duration::from_secs(3_600));
    let mut envelope = stage.envelope(invocation.result_ttl(Duration::from_secs(99)));
    envelope.payload = Payload::from_json("seal", "{ \"number\" : 1.50,\n\"text\":\"\\u00e9\" }", 100).expect("json");
    let key = KeyId::new("2026-11.a_b").expect("a valid name");
    let signature = Signature { key: key.clone(), text: "+/8=".to_owned() };
    envelope.seal = Some(Box::new(Seal { encryption: Some(key), signature: Some(signature) }));
    envelope
}

/// What a signature covers.
fn covered(envelope: &Envelope) -> Envelope {
    let envelope = envelope.clone();
    let (start, expiry, enqueued_at) = (Default::default(), None, None);
    Envelope {
        start,
        expiry,
        enqueued_at,
        replayed_at: None,
        due: None,
        attempts: 0,
        history: Vec::new(),
        unregistered_since: None,
        ..envelope
    }
}

/// Through a delay, a crash, a retry, a release and a replay, what was sealed comes out as it went in.
pub async fn a_seal_stays_whole_through_all_attempts(stage: Stage) {
    let mut envelope = sealed(&stage);
    envelope.start = crate::invocation::Start::After(Duration::from_secs(1));
    stage.enqueue_all(std::slice::from_ref(&envelope)).await;
    stage.advance(Duration::from_secs(2)).await;
    let crashing = stage.worker().await;
    assert_eq!(covered(&stage.claim_one(crashing).await.envelope), covered(&envelope));
    stage.lapse().await;
    let owner = stage.worker().await;
    for ending in [Ending::Released, Ending::Retry(Duration::ZERO), Ending::Dead(DeadReason::Untrusted)] {
        let mut claimed = stage.claim_one(owner).await;
        assert_eq!(covered(&claimed.envelope), covered(&envelope));
        Arc::make_mut(&mut claimed.envelope).record_failure(Timestamp::from_millis(1), &TaskError::from("fails"));
        assert_eq!(stage.settle(owner, &claimed, ending).await, Settled::Applied);
        stage.advance(Duration::from_millis(1)).await;
    }
    let letters = stage.connection.inspect().dead_letters(&stage.queue, None, 9).await.expect("lists");
    assert_eq!(letters[0].envelope.as_ref().map(covered), Some(covered(&envelope)));
    assert!(stage.connection.control().replay(&envelope.id).await.expect("replays"));
    assert_eq!(covered(&stage.claim_one(owner).await.envelope), covered(&envelope));
}

/// A result is not read, so an encrypted one of the largest size is kept too.
pub async fn a_result_is_kept_as_it_was_given(stage: Stage) {
    let id = stage.enqueue_one().await;
    let owner = stage.worker().await;
    let claimed = stage.claim_one(owner).await;
    let longest = limits::MAX_STORED_PAYLOAD + limits::MAX_NAME + 16;
    let result = Payload::encode("seal", &"x".repeat(longest - 2), longest).expect("a text");
    assert_eq!(stage.settle(owner, &claimed, Ending::Succeeded(result.clone())).await, Settled::Applied);
    assert_eq!(stage.find(&id).await.and_then(|snapshot| snapshot.result), Some(result));
}
