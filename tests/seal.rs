//! Signed and encrypted tasks through client, broker and worker: what holds runs, what does not hold is never run.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use taskq::propagator::{Processing, Propagator, Sending};
use taskq::{
    Connection, DeadReason, EncryptionKey, ErrorKind, KeyBytes, KeyRing, Keys, QueueName, SigningKey, State,
    WorkerHandle, prelude::*,
};
use taskq_core::{Envelope, broker::Accepted, id::BatchId};
use tracing::Span;

const LONG: Duration = Duration::from_secs(30);

/// What the worker lends: how often a body ran, and what was kept of its task meanwhile.
#[derive(Clone, Default)]
struct Ran(Arc<AtomicU32>, Arc<Mutex<Vec<String>>>);

impl Ran {
    fn times(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

#[task]
async fn shout(ctx: &Context<Ran>, text: String) -> TaskResult<String> {
    ctx.app().0.fetch_add(1, Ordering::SeqCst);
    Ok(text.to_uppercase())
}

#[task(retry = Retry::fixed(Duration::ZERO).attempts(3))]
async fn fails(ctx: &Context<Ran>, text: String) -> TaskResult<()> {
    ctx.app().0.fetch_add(1, Ordering::SeqCst);
    Err(format!("{} letters are too few", text.len()).into())
}

#[task]
async fn has_a_child(ctx: &Context<Ran>, text: String) -> TaskResult<String> {
    ctx.app().0.fetch_add(1, Ordering::SeqCst);
    Ok(ctx.client().enqueue(shout::with(text)).await?.id().to_string())
}

#[task]
async fn unlimited(ctx: &Context<Ran>, value: serde_json::Value) -> TaskResult<usize> {
    ctx.app().0.fetch_add(1, Ordering::SeqCst);
    Ok(value.to_string().len())
}

#[task]
fn nests(levels: usize) -> serde_json::Value {
    (0..levels).fold(serde_json::Value::Null, |inner, _| serde_json::Value::Array(vec![inner]))
}

fn bytes(byte: u8) -> KeyBytes {
    KeyBytes::new([byte; 32])
}

fn signing() -> SigningKey {
    SigningKey::ed25519("s1", bytes(1)).expect("valid")
}

fn encryption() -> EncryptionKey {
    EncryptionKey::xchacha20_poly1305("e1", bytes(2)).expect("valid")
}

fn strict() -> KeyRing {
    KeyRing::new().sign_with(signing()).encrypt_with(encryption()).require_signature().require_encryption()
}

/// A broker; a worker on it that has these keys; and what ran there.
async fn worker(keys: KeyRing) -> (Connection, WorkerHandle, Ran) {
    let plain = taskq::connect("memory://").await.expect("connects");
    let ran = Ran::default();
    let kept = ran.clone();
    let see = move |attempt: Attempt, next: Next| {
        let envelope = attempt.context().envelope();
        kept.1.lock().expect("not poisoned").push(envelope.payload.as_str().to_owned());
        async move { next.run(attempt).await }
    };
    let worker = Worker::builder(plain.clone().with_keys(keys)).app(ran.clone()).layer(see);
    (plain, worker.start().await.expect("starts"), ran)
}

/// Puts an envelope into the broker as somebody would who has its password and no keys.
async fn smuggle(connection: &Connection, envelope: &Envelope) {
    let queue = QueueName::new("default").expect("valid");
    let accepted = connection.broker().enqueue(&queue, BatchId::generate(), std::slice::from_ref(envelope)).await;
    assert_eq!(accepted.expect("enqueues"), [Accepted::Created]);
}

fn sealed(keys: &KeyRing, text: &str) -> Envelope {
    let mut envelope = shout::with(text.to_owned()).into_envelope().expect("valid");
    keys.seal(&mut envelope).expect("seals");
    envelope
}

/// The words of an untrusted dead letter.
async fn untrusted(connection: &Connection, id: &taskq::TaskId) -> String {
    match connection.client().handle::<shout>(id).wait(LONG).await {
        Err(WaitError::Dead { reason: DeadReason::Untrusted, error, .. }) => error,
        other => panic!("expected an untrusted dead letter, got {other:?}"),
    }
}

#[tokio::test]
async fn a_signed_and_encrypted_task_runs_and_its_result_is_read_only_with_the_key() {
    let (plain, _worker, ran) = worker(strict()).await;
    let client = plain.clone().with_keys(strict()).client();
    let handle = client.enqueue(shout::with("canary".to_owned())).await.expect("enqueues");
    assert_eq!(handle.wait(LONG).await.expect("succeeds"), "CANARY");
    assert_eq!(ran.times(), 1);
    assert!(ran.1.lock().expect("not poisoned").iter().all(|kept| !kept.contains("canary")));

    let stored = plain.broker().find(handle.id()).await.expect("answers").expect("known").result.expect("kept");
    assert!(stored.as_str().starts_with("\"taskq-sealed:e1:"), "{}", stored.as_str());
    let found = client.find(handle.id()).await.expect("answers").expect("known");
    assert_eq!(found.result.expect("kept").as_str(), "\"CANARY\"");
    // Without the key the state is known all the same.
    let stranger = plain.client().handle::<shout>(handle.id());
    assert_eq!(stranger.state().await.expect("answers"), Some(State::Succeeded));
    let Err(WaitError::Untrusted(error)) = stranger.wait(LONG).await else { panic!("has no keys") };
    assert!(error.to_string().contains("\"e1\"") && error.to_string().contains("with_keys"), "{error}");
}

#[tokio::test]
async fn bulk_and_child_tasks_are_sealed_too() {
    let (plain, _worker, ran) = worker(strict()).await;
    let client = plain.with_keys(strict()).client();
    let invocations = ["a", "b", "c"].map(|text| shout::with(text.to_owned()));
    let handles = client.enqueue_all(invocations).await.expect("enqueues");
    for (handle, expected) in handles.into_iter().zip(["A", "B", "C"]) {
        assert_eq!(handle.wait(LONG).await.expect("succeeds"), expected);
    }
    let parent = client.enqueue(has_a_child::with("d".to_owned())).await.expect("enqueues");
    let child = parent.wait(LONG).await.expect("succeeds").parse().expect("an id");
    assert_eq!(client.handle::<shout>(&child).wait(LONG).await.expect("succeeds"), "D");
    assert_eq!(ran.times(), 5);
}

#[tokio::test]
async fn a_task_is_sealed_once_and_not_again_for_its_retries() {
    let (plain, _worker, ran) = worker(strict()).await;
    let connection = plain.clone().with_keys(strict());
    let handle = connection.client().enqueue(fails::with("four".to_owned())).await.expect("enqueues");
    let Err(WaitError::Dead { reason, error, .. }) = handle.wait(LONG).await else { panic!("fails") };
    assert_eq!((reason, error.as_str(), ran.times()), (DeadReason::Failed, "4 letters are too few", 3));
    let mut kept = ran.1.lock().expect("not poisoned").clone();
    kept.dedup();
    assert_eq!(kept.len(), 1, "the same bytes at every attempt");

    let letters = plain.inspect().dead_letters(&handle.id().queue, None, 9).await.expect("lists");
    let envelope = letters[0].envelope.as_ref().expect("decodes");
    assert_eq!(envelope.payload.as_str(), kept[0]);
    assert_eq!(connection.open_task(envelope).expect("opens").expect("was encrypted").as_str(), r#"{"text":"four"}"#);
    assert!(connection.control().replay(handle.id()).await.expect("replays"));
    let Err(WaitError::Dead { reason, .. }) = handle.wait(LONG).await else { panic!("fails again") };
    assert_eq!((reason, ran.times()), (DeadReason::Failed, 6), "a replayed one opens too");
}

#[tokio::test]
async fn an_unsigned_task_is_quarantined_and_never_run() {
    let (plain, _worker, ran) = worker(KeyRing::new().verify_with(signing()).require_signature()).await;
    let handle = plain.client().enqueue(shout::with("a".to_owned())).await.expect("enqueues");
    assert!(untrusted(&plain, handle.id()).await.contains("it is not signed"));
    let letters = plain.inspect().dead_letters(&handle.id().queue, None, 9).await.expect("lists");
    assert_eq!((&letters[0].id, letters[0].reason), (handle.id(), DeadReason::Untrusted));
    // Replaying does not make it trusted.
    assert!(plain.control().replay(handle.id()).await.expect("replays"));
    assert!(untrusted(&plain, handle.id()).await.contains("it is not signed"));
    // A name that nobody knows is not even looked up.
    let unknown = plain.client().enqueue_named("from_the_future", &serde_json::json!({})).await.expect("enqueues");
    untrusted(&plain, unknown.id()).await;
    assert_eq!(ran.times(), 0);
}

#[tokio::test]
async fn an_altered_or_moved_task_is_quarantined_and_never_run() {
    let (plain, _worker, ran) = worker(strict()).await;
    let (mut raised, mut renamed, mut moved) = (sealed(&strict(), "a"), sealed(&strict(), "b"), sealed(&strict(), "c"));
    raised.priority = 9;
    renamed.task = taskq::TaskName::new("fails").expect("valid");
    moved.payload = sealed(&strict(), "d").payload;
    for envelope in [&raised, &renamed, &moved] {
        smuggle(&plain, envelope).await;
        assert!(untrusted(&plain, &envelope.id).await.contains("is wrong"));
    }
    // Signed with a key of the right id that somebody made up, and with none where signatures are taken out.
    let forged =
        KeyRing::new().sign_with(SigningKey::ed25519("s1", bytes(9)).expect("valid")).encrypt_with(encryption());
    let forged = sealed(&forged, "e");
    let mut stripped = sealed(&strict(), "f");
    stripped.seal.as_mut().expect("sealed").signature = None;
    for (envelope, why) in [(&forged, "is wrong"), (&stripped, "not signed")] {
        smuggle(&plain, envelope).await;
        assert!(untrusted(&plain, &envelope.id).await.contains(why));
    }
    assert_eq!(ran.times(), 0);
}

#[tokio::test]
async fn a_worker_without_the_key_does_not_run_what_it_cannot_read() {
    for (keys, why) in [
        (None, "this connection has no keys"),
        (Some(KeyRing::new()), "does not have"),
        (
            Some(KeyRing::new().decrypt_with(EncryptionKey::xchacha20_poly1305("e1", bytes(7)).expect("valid"))),
            "does not open",
        ),
    ] {
        let plain = taskq::connect("memory://").await.expect("connects");
        let of_worker = match keys {
            Some(keys) => plain.clone().with_keys(keys),
            None => plain.clone(),
        };
        let ran = Ran::default();
        let worker = Worker::builder(of_worker).app(ran.clone()).start().await.expect("starts");
        let client = plain.clone().with_keys(KeyRing::new().encrypt_with(encryption())).client();
        let handle = client.enqueue(shout::with("a".to_owned())).await.expect("enqueues");
        assert!(untrusted(&plain, handle.id()).await.contains(why));
        assert_eq!(ran.times(), 0);
        worker.abort();
        worker.ended().await;
    }
}

#[tokio::test]
async fn plain_tasks_are_still_read_while_encryption_is_being_introduced() {
    let keys = KeyRing::new().sign_with(signing()).encrypt_with(encryption());
    let (plain, worker, ran) = worker(keys.clone()).await;
    let handle = plain.client().enqueue(shout::with("a".to_owned())).await.expect("enqueues");
    let with_keys = plain.clone().with_keys(keys.clone()).client().handle::<shout>(handle.id());
    assert_eq!(with_keys.wait(LONG).await.expect("succeeds"), "A");
    assert_eq!(ran.times(), 1);
    worker.abort();
    worker.ended().await;

    // A worker that does not encrypt yet leaves results that others refuse only once encryption is required.
    let old = Worker::builder(plain.clone()).app(ran.clone()).start().await.expect("starts");
    let handle = plain.client().enqueue(shout::with("b".to_owned())).await.expect("enqueues");
    let client = |keys: KeyRing| plain.clone().with_keys(keys).client().handle::<shout>(handle.id());
    assert_eq!(client(keys.clone()).wait(LONG).await.expect("succeeds"), "B");
    let Err(WaitError::Untrusted(error)) = client(keys.require_encryption()).wait(LONG).await else {
        panic!("refused")
    };
    assert_eq!(error.kind(), ErrorKind::Untrusted);
    old.abort();
    old.ended().await;
}

#[tokio::test]
async fn what_is_too_large_or_too_deep_is_refused_by_name_with_the_cure() {
    let (plain, _worker, ran) = worker(KeyRing::new()).await;
    let refused = async |value: serde_json::Value| {
        let error = plain.client().enqueue(unlimited::with(value)).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        error.to_string()
    };
    let deep = |levels| (0..levels).fold(serde_json::Value::Null, |inner, _| serde_json::Value::Array(vec![inner]));
    let too_deep = refused(deep(64)).await;
    assert!(
        too_deep.contains("unlimited") && too_deep.contains("64 levels") && too_deep.contains("flatter"),
        "{too_deep}"
    );
    let too_large = refused("x".repeat(taskq::limits::MAX_PAYLOAD).into()).await;
    assert!(too_large.contains("unlimited") && too_large.contains("pass a reference"), "{too_large}");
    // The object of the arguments is a level too.
    let fits = plain.client().enqueue(unlimited::with(deep(63))).await.expect("enqueues");
    assert!(fits.wait(LONG).await.is_ok());

    // What comes from the broker has not passed our client's checks.
    let mut deeper = unlimited::with(deep(1)).into_envelope().expect("valid");
    let text = format!("{{\"value\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    deeper.payload = taskq::Payload::from_raw(serde_json::value::RawValue::from_string(text).expect("json"));
    smuggle(&plain, &deeper).await;
    match plain.client().handle::<unlimited>(&deeper.id).wait(LONG).await {
        Err(WaitError::Dead { reason: DeadReason::Undecodable, .. }) => {}
        other => panic!("expected a dead letter, got {other:?}"),
    }
    assert_eq!(ran.times(), 1);

    let result = plain.client().enqueue(nests::with(65)).await.expect("enqueues").wait(LONG).await;
    match result {
        Err(WaitError::Dead { reason: DeadReason::BadResult, error, .. }) => {
            assert!(error.contains("nests") && error.contains("64 levels"), "{error}");
        }
        other => panic!("expected a dead letter, got {other:?}"),
    }
}

/// Says always the same.
#[derive(Debug)]
struct SameTrace;

impl Propagator for SameTrace {
    fn sends(&self, _: &Span, _: &Sending<'_>) {}

    fn counts(&self, _: &Span, _: usize) {}

    fn headers(&self, _: &Span) -> Vec<(&'static str, String)> {
        vec![("traceparent", "00-1".to_owned())]
    }

    fn processes(&self, _: &Span, _: &Processing<'_>) {}

    fn failed(&self, _: &Span, _: &str, _: &str) {}
}

#[task]
async fn traces(ctx: &Context<Ran>) -> Option<String> {
    ctx.headers().get("traceparent").cloned()
}

#[tokio::test]
async fn the_context_of_a_trace_is_signed_with_the_task() {
    let (connection, worker, _) = worker(strict()).await;
    let client = connection.with_keys(strict()).with_propagator(SameTrace).client();
    let lone = client.enqueue(traces::with()).await.expect("enqueues");
    let many = client.enqueue_all((0..2).map(|_| traces::with())).await.expect("enqueues");
    for handle in many.into_iter().chain([lone]) {
        assert_eq!(handle.wait(LONG).await.expect("the seal holds").as_deref(), Some("00-1"));
    }
    worker.drain();
    worker.ended().await;
}
