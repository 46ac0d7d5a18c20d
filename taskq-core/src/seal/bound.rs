//! The bytes that signatures and encryptions are bound to: what may not be exchanged without breaking them.
//!
//! The promise: two different tasks never give the same bytes. Each part has its length in front of it, and each use a
//! label of its own. The labels carry a version: bytes that old and new programs make differently need a new one.

use crate::{
    envelope::Envelope,
    id::{KeyId, TaskId, TaskName},
};

/// What a signature covers: the id, the key, and the task as it was enqueued, with its arguments as they are kept.
///
/// Not what the broker decides by itself or what happens later: due time, expiry, deliveries, failed attempts.
pub(super) fn signed(envelope: &Envelope, key: &KeyId) -> Vec<u8> {
    let TaskId { queue, key: task_key } = &envelope.id;
    let mut as_enqueued = Vec::with_capacity(envelope.payload.as_str().len() + 128);
    envelope.encode_as_enqueued_into(&mut as_enqueued);
    parts("taskq task 1", &[queue.as_str().as_bytes(), task_key.as_bytes(), key.as_str().as_bytes(), &as_enqueued])
}

/// What encrypted arguments are bound to: they open as the arguments of this task in this queue, and nowhere else.
pub(super) fn arguments(id: &TaskId, task: &TaskName, key: &KeyId) -> Vec<u8> {
    let TaskId { queue, key: task_key } = id;
    let (queue, task, key) = (queue.as_str().as_bytes(), task.as_str().as_bytes(), key.as_str().as_bytes());
    parts("taskq arguments 1", &[queue, task_key.as_bytes(), task, key])
}

/// What an encrypted result is bound to. Not to the task's name, which a caller that has only the id does not know.
pub(super) fn result(id: &TaskId, key: &KeyId) -> Vec<u8> {
    let TaskId { queue, key: task_key } = id;
    parts("taskq result 1", &[queue.as_str().as_bytes(), task_key.as_bytes(), key.as_str().as_bytes()])
}

fn parts(label: &str, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len() + 4).sum();
    let mut bytes = Vec::with_capacity(label.len() + length);
    bytes.extend_from_slice(label.as_bytes());
    for part in parts {
        let length = u32::try_from(part.len()).expect("names are short and payloads under a megabyte");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{clock::Timestamp, invocation::Invocation, seal::Seal, task_error::TaskError};

    fn envelope() -> Envelope {
        let invocation = Invocation::named("add", &serde_json::json!({"a": 1})).queue("mail").id("mine").priority(9);
        let mut envelope = invocation.timeout(Duration::from_secs(3)).into_envelope().expect("valid");
        envelope.seal = Some(Box::new(Seal::default()));
        envelope
    }

    /// Old and new programs work side by side: these bytes must not change under their label.
    #[test]
    fn the_signed_bytes_of_a_task_are_these() {
        let key = KeyId::new("k1").expect("valid");
        let wire = r#"{"task":"add","args":{"a":1},"priority":9,"timeout_ms":3000,"own_id":true,"seal":{}}"#;
        let expected =
            format!("taskq task 1\0\0\0\x04mail\0\0\0\x04mine\0\0\0\x02k1\0\0\0{}{wire}", wire.len() as u8 as char);
        assert_eq!(String::from_utf8(signed(&envelope(), &key)).expect("all text"), expected);
    }

    #[test]
    fn what_happens_to_a_task_later_is_not_signed() {
        let key = KeyId::new("k1").expect("valid");
        let before = signed(&envelope(), &key);
        let mut later = envelope();
        later.record_failure(Timestamp::from_millis(5), &TaskError::from("first"));
        later.enqueued_at = Some(Timestamp::from_millis(1));
        later.due = Some(Timestamp::from_millis(3));
        later.unregistered_since = Some(Timestamp::from_millis(2));
        assert_eq!(signed(&later, &key), before);
    }

    #[test]
    fn parts_cannot_run_into_one_another() {
        assert_ne!(parts("label", &[b"ab", b"c"]), parts("label", &[b"a", b"bc"]));
    }
}
