//! What the floor keeps of a task: sixteen bytes of id, then the call, about as long as taskq's own.

use uuid::Uuid;

/// Bytes of the id that an element begins with.
pub(crate) const ID_BYTES: usize = 16;

/// What a task leaves behind.
pub(crate) const RESULT: &[u8] = b"{\"ok\":42}";

/// The list of what waits.
pub(crate) const READY: &str = "ready";

/// One task as it stands in the list.
pub(crate) fn element(number: u64) -> Vec<u8> {
    let mut element = Uuid::now_v7().as_bytes().to_vec();
    let call = format!(r#"{{"task":"noop","args":{{"n":{number},"text":"somebody@example.org"}}}}"#);
    element.extend_from_slice(call.as_bytes());
    element
}
