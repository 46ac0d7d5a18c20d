//! What anybody could put into a broker or type into a program: no panic, no surprise, nothing taken for what it is not.
//!
//! Each property runs over the seeds in `corpus/`, over seeds with bytes changed, and over what is made up. A seed that once
//! broke something stays in the corpus.

use std::{path::Path, str::FromStr, time::Duration};

use proptest::prelude::*;
use taskq_core::{
    DocumentName, EntryName, Envelope, FailedAttempt, Invocation, KeyId, Namespace, QueueName, Retry, TaskId, TaskKey,
    TaskName, Timestamp, Unique, limits,
    seal::{Seal, Signature},
};
use taskq_test_support::{corrupt, seeds as corpus};

/// The seeds of a folder, by name.
fn seeds(folder: &str) -> Vec<(String, Vec<u8>)> {
    corpus(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(folder))
}

/// A seed with a few bytes changed, put in or taken out.
fn mutated(folder: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let seeds: Vec<Vec<u8>> = seeds(folder).into_iter().map(|(_, seed)| seed).collect();
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0..4_u8);
    (prop::sample::select(seeds), prop::collection::vec(change, 0..8)).prop_map(|(mut bytes, changes)| {
        for (place, byte, how) in changes {
            let at = place.index(bytes.len() + 1);
            corrupt(&mut bytes, at, byte, how);
        }
        bytes
    })
}

fn id() -> TaskId {
    "default/mine".parse().expect("valid")
}

/// Whatever decodes is within its bounds and reads back as itself; whatever does not is an error in one short line.
fn read(bytes: &[u8]) {
    match Envelope::decode(id(), bytes) {
        Ok(envelope) => {
            assert!(envelope.priority <= limits::MAX_PRIORITY);
            assert!(envelope.payload.as_str().len() <= limits::MAX_STORED_PAYLOAD);
            let encoded = envelope.encode();
            let again = Envelope::decode(id(), &encoded).expect("reads what it wrote");
            assert_eq!(again, envelope);
            assert_eq!(again.encode(), encoded, "and writes the same bytes");
            drop(format!("{envelope:?}"));
        }
        Err(error) => assert!(!error.to_string().contains(char::is_control), "{error:?}"),
    }
}

#[test]
fn every_seed_of_an_envelope_is_read_or_refused() {
    let mut refused = Vec::new();
    for (name, seed) in seeds("envelope") {
        read(&seed);
        if Envelope::decode(id(), &seed).is_err() {
            refused.push(name);
        }
    }
    assert_eq!(
        refused,
        [
            "args_missing",
            "args_twice",
            "custom_retry",
            "cut",
            "deep_elsewhere",
            "empty",
            "format_too_large",
            "newer_format",
            "no_json",
            "numbers_negative",
            "retry_nanos_over",
            "seal_of_a_bad_key",
            "seal_without_colon",
            "task_empty",
            "task_long",
            "task_twice",
            "task_with_a_newline",
            "trailing",
        ]
    );
}

#[test]
fn a_body_is_never_given_arguments_that_are_too_deep_for_its_decoder() {
    let (_, deep) = seeds("envelope").into_iter().find(|(name, _)| name == "deep").expect("is there");
    let envelope = Envelope::decode(id(), &deep).expect("the envelope itself is not deep");
    assert!(envelope.payload.decode::<serde_json::Value>().is_err());
}

/// Text as it comes in names: any, mostly of the right alphabet, and nearly of the right length.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![".{0,140}", "[A-Za-z0-9._-]{0,140}", "[A-Za-z0-9._/:{}*-]{1,20}"]
}

fn is_name(text: &str) -> bool {
    (1..=limits::MAX_NAME).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// A name is taken if and only if it is one, reads back as itself, and is told in a short line without control characters.
fn names(text: &str) {
    fn one<N: FromStr<Err = taskq_core::Error> + ToString>(text: &str) {
        match text.parse::<N>() {
            Ok(name) => {
                assert!(is_name(text), "{text:?} was taken");
                assert_eq!(name.to_string(), text);
            }
            Err(error) => {
                assert!(!is_name(text), "{text:?} was refused");
                let told = error.to_string();
                assert!(!told.contains(char::is_control) && told.len() < 1_000, "{told}");
            }
        }
    }
    one::<QueueName>(text);
    one::<TaskName>(text);
    one::<Namespace>(text);
    one::<KeyId>(text);
    one::<EntryName>(text);
    one::<DocumentName>(text);
}

/// A key or id that is taken reads back as itself, from text and from bytes, and has one queue.
fn ids(text: &str) {
    if let Ok(key) = TaskKey::own(text) {
        assert!(key.to_string().bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/'), "{text:?}");
        assert_eq!(TaskKey::own(key.to_string()).expect("reads what it wrote"), key);
        assert_eq!(TaskKey::from_bytes(key.as_bytes()).expect("reads its bytes"), key);
        assert!(key.as_bytes().len() <= limits::MAX_KEY);
    }
    if let Ok(id) = text.parse::<TaskId>() {
        assert!(is_name(id.queue.as_str()));
        assert_eq!(id.to_string().parse::<TaskId>().expect("reads what it wrote"), id);
    }
}

#[test]
fn every_seed_of_a_name_is_taken_or_refused() {
    let mut taken = Vec::new();
    for (seed, bytes) in seeds("names") {
        let text = String::from_utf8_lossy(&bytes);
        names(&text);
        ids(&text);
        if QueueName::new(&text).is_ok() {
            taken.push(seed);
        }
    }
    assert_eq!(taken, ["dash", "dot", "dots", "longest", "plain", "uuid", "uuid_simple"]);
}

fn any_duration() -> impl Strategy<Value = Duration> {
    (1..1_000_000_u64).prop_map(Duration::from_millis)
}

/// An envelope such as a client, a broker and a worker make together.
fn envelope() -> impl Strategy<Value = Envelope> {
    let options = (0..=9_u8, any_duration(), prop::option::of(any_duration()), 1..=255_u8, any::<bool>());
    let texts = (".{0,40}", "[a-z]{1,8}", prop::collection::btree_map("[a-z]{1,8}", ".{0,20}", 0..4));
    let later = (prop::option::of(any::<i64>()), 0..5_u32, ".{0,60}");
    let seal = prop::option::of(("[a-z0-9]{1,8}", prop::option::of(("[a-z0-9]{1,8}", "[A-Za-z0-9+/]{0,40}"))));
    (options, texts, later, seal).prop_map(|(options, texts, later, seal)| {
        let (priority, ttl, timeout, max_deliveries, is_unique) = options;
        let (argument, task, headers) = texts;
        let (at, attempts, error) = later;
        let mut invocation = Invocation::named(&task, &serde_json::json!({ "argument": argument })).priority(priority);
        invocation = invocation.result_ttl(ttl).max_deliveries(max_deliveries).retry(Retry::linear(ttl)).id("mine");
        if let Some(timeout) = timeout {
            invocation = invocation.timeout(timeout);
        }
        if is_unique {
            invocation = invocation.unique(Unique::by_args().for_duration(ttl));
        }
        for (name, value) in headers {
            invocation = invocation.header(name, value);
        }
        let mut envelope = invocation.into_envelope().expect("valid");
        envelope.enqueued_at = at.map(Timestamp::from_millis);
        envelope.attempts = attempts;
        let failed = |attempt| FailedAttempt { attempt, at: Timestamp::from_millis(7), error: error.clone() };
        envelope.history = (1..=attempts).map(failed).collect();
        let key = |id: String| KeyId::new(id).expect("valid");
        envelope.seal = seal.map(|(encryption, signature)| {
            let signature = signature.map(|(id, text)| Signature { key: key(id), text });
            Box::new(Seal { encryption: Some(key(encryption)), signature })
        });
        envelope
    })
}

proptest! {
    #[test]
    fn an_envelope_with_bytes_changed_is_read_or_refused(bytes in mutated("envelope")) {
        read(&bytes);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read(&bytes);
    }

    #[test]
    fn whatever_is_enqueued_reads_back(envelope in envelope()) {
        prop_assert_eq!(Envelope::decode(envelope.id.clone(), &envelope.encode()).expect("decodes"), envelope);
    }

    #[test]
    fn a_name_is_taken_if_and_only_if_it_is_one(text in name()) {
        names(&text);
        ids(&text);
    }

    #[test]
    fn a_name_with_bytes_changed_is_taken_or_refused(bytes in mutated("names")) {
        names(&String::from_utf8_lossy(&bytes));
        ids(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_bytes_are_a_key_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..220)) {
        if let Ok(key) = TaskKey::from_bytes(&bytes) {
            prop_assert_eq!(TaskKey::from_bytes(key.as_bytes()).expect("reads its own bytes"), key);
        }
    }
}
