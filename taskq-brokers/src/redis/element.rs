//! Elements: an envelope with the few bytes before it that scripts read. `scripts/prelude.lua` has the layout.

use std::time::Duration;

use taskq_core::{
    Envelope, Error, ErrorKind, QueueName, Result, TaskId, TaskKey, Timestamp, UniqueUntil,
    invocation::{Expiry, UniqueKey},
};

use super::reply;

/// The version of the head; another one is not understood.
const VERSION: u8 = 2;

const TRACKED: u8 = 1;
const EXPIRES: u8 = 2;
const UNIQUE_UNTIL_END: u8 = 4;
const UNIQUE_UNTIL_START: u8 = 8;

/// Bytes of the head before the key.
const FIXED: usize = 11;

/// Where the head has the length of the whole element, in three bytes, and after it that of the key.
const LENGTH: usize = 7;
const KEY_LENGTH: usize = 10;

/// Milliseconds that results of each class live at least, as in `prelude.lua`.
const CLASSES: [u64; 9] =
    [60_000, 600_000, 3_600_000, 21_600_000, 86_400_000, 604_800_000, 2_592_000_000, 31_536_000_000, 315_360_000_000];

/// Buckets beside each other, for one class and one span of time.
const SHARDS: u16 = 1024;

/// The class of a time to live, 1 to 9: the shortest that is long enough.
pub(super) fn class(ttl: Duration) -> u8 {
    let millis = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
    let index = CLASSES.iter().position(|class| *class >= millis).unwrap_or(CLASSES.len() - 1);
    u8::try_from(index + 1).unwrap_or(u8::MAX)
}

/// The shard of a key, as in `prelude.lua`: neighbouring tasks end in the same bucket.
pub(super) fn shard(key: &[u8]) -> u16 {
    match key {
        [_, _, _, _, high, low, _, _, ninth, ..] if key.len() == 16 && *ninth >= 128 => {
            (u16::from_be_bytes([*high, *low]) / 16) % SHARDS
        }
        key => key.iter().fold(0, |hash, byte| (hash * 31 + u16::from(*byte)) % SHARDS),
    }
}

/// Whether a unique key is freed when its task starts or ends; one that is held for a time is not the element's.
fn freed_unique(envelope: &Envelope) -> Option<(&UniqueKey, u8)> {
    let unique = envelope.unique.as_ref()?;
    match unique.until {
        UniqueUntil::End => Some((unique, UNIQUE_UNTIL_END)),
        UniqueUntil::Start => Some((unique, UNIQUE_UNTIL_START)),
        UniqueUntil::After(_) => None,
    }
}

/// Whether its end needs the script that looks at each element.
pub(super) fn has_unique(envelope: &Envelope) -> bool {
    freed_unique(envelope).is_some()
}

/// The element of an envelope that has not been handed out since its last attempt ended. `expires` is in milliseconds
/// since 1970; zero leaves room for a script to fill it in.
pub(super) fn encode(envelope: &Envelope, expires: Option<i64>) -> Vec<u8> {
    let key = envelope.id.key.as_bytes();
    let unique = freed_unique(envelope);
    let mut flags = if envelope.is_tracked() { TRACKED } else { 0 };
    flags |= if expires.is_some() { EXPIRES } else { 0 };
    flags |= unique.map_or(0, |(_, flag)| flag);
    let mut element = Vec::with_capacity(FIXED + key.len() + envelope.payload.as_str().len() + 64);
    element.extend_from_slice(&[
        0,
        VERSION,
        flags,
        b'0' + envelope.priority,
        envelope.max_deliveries,
        class(envelope.result_ttl),
        u8::try_from(envelope.attempts).unwrap_or(u8::MAX),
        0,
        0,
        0,
        u8::try_from(key.len()).expect("keys have at most 200 bytes"),
    ]);
    element.extend_from_slice(key);
    if let Some(expires) = expires {
        element.extend_from_slice(format!("{:014}", expires.max(0)).as_bytes());
    }
    if let Some((unique, _)) = unique {
        element.push(u8::try_from(unique.key.len()).expect("unique keys have at most 200 bytes"));
        element.extend_from_slice(unique.key.as_bytes());
    }
    envelope.encode_into(&mut element);
    let length = u32::try_from(element.len()).ok().filter(|length| *length < 1 << 24);
    let length = length.expect("payloads, headers and histories are bounded").to_be_bytes();
    element[LENGTH..KEY_LENGTH].copy_from_slice(&length[1..]);
    element
}

/// Takes elements in a row apart.
pub(super) fn in_a_row(mut row: &[u8]) -> Result<Vec<&[u8]>> {
    let mut elements = Vec::new();
    while !row.is_empty() {
        let length = row.get(LENGTH..KEY_LENGTH).ok_or_else(|| reply::wrong("an element"))?;
        let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        let (element, rest) = split(row, length.max(1))?;
        elements.push(element);
        row = rest;
    }
    Ok(elements)
}

/// The key of an element, if it has one.
pub(super) fn key(element: &[u8]) -> Option<TaskKey> {
    let length = usize::from(*element.get(KEY_LENGTH)?);
    TaskKey::from_bytes(element.get(FIXED..FIXED + length)?).ok()
}

/// The same element with no hand-outs counted.
pub(super) fn undelivered(element: &[u8]) -> Vec<u8> {
    let mut element = element.to_vec();
    if let Some(deliveries) = element.first_mut() {
        *deliveries = 0;
    }
    element
}

/// An element, taken apart.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) deliveries: u8,
    /// The envelope, or why it does not decode.
    pub(super) envelope: Result<Envelope>,
}

/// Takes an element apart. An error means that not even its key can be read.
pub(super) fn decode(queue: &QueueName, element: &[u8]) -> Result<Element> {
    let [deliveries, version, flags, ..] = element else { return Err(reply::wrong("an element")) };
    let (deliveries, version, flags) = (*deliveries, *version, *flags);
    let key_length = usize::from(*element.get(KEY_LENGTH).ok_or_else(|| reply::wrong("an element"))?);
    let (key, mut rest) = split(element.get(FIXED..).unwrap_or_default(), key_length)?;
    let key = TaskKey::from_bytes(key)?;
    let mut expires = None;
    if flags & EXPIRES != 0 {
        let (digits, after) = split(rest, 14)?;
        expires = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
        rest = after;
    }
    if flags & (UNIQUE_UNTIL_END | UNIQUE_UNTIL_START) != 0 {
        let (length, after) = split(rest, 1)?;
        rest = split(after, usize::from(length[0]))?.1;
    }
    let id = TaskId::new(queue.clone(), key);
    let envelope = match version {
        VERSION => Envelope::decode(id, rest).map(|envelope| Envelope {
            // Kept with the task, so that it still holds after a retry.
            expiry: expires.map(|millis| Expiry::At(Timestamp::from_millis(millis))),
            ..envelope
        }),
        _ => {
            let cure = format!("its head has version {version}, this worker reads {VERSION}; upgrade this worker");
            Err(Error::new(ErrorKind::Layout, "decode", id).because(cure))
        }
    };
    Ok(Element { deliveries, envelope })
}

fn split(bytes: &[u8], at: usize) -> Result<(&[u8], &[u8])> {
    bytes.split_at_checked(at).ok_or_else(|| reply::wrong("an element"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskq_core::{Invocation, Unique};

    #[test]
    fn an_element_reads_back_what_it_holds() {
        let invocation = Invocation::named("add", &serde_json::json!({"a": 1})).unique(Unique::key("é")).priority(3);
        let envelope = invocation.into_envelope().expect("valid");
        for expires in [None, Some(1_800_000_000_000)] {
            let read = decode(&envelope.id.queue, &encode(&envelope, expires)).expect("reads");
            assert_eq!(read.deliveries, 0);
            let expiry = expires.map(|millis| Expiry::At(Timestamp::from_millis(millis)));
            assert_eq!(read.envelope.expect("decodes"), Envelope { expiry, ..envelope.clone() });
        }
    }

    #[test]
    fn garbage_is_an_error_and_never_a_panic() {
        let queue = QueueName::new("q").expect("valid");
        let whole = encode(&Invocation::named("add", &serde_json::json!({})).into_envelope().expect("valid"), Some(1));
        for end in 0..whole.len() {
            let read = decode(&queue, &whole[..end]);
            assert!(read.is_err() || read.is_ok_and(|element| element.envelope.is_err()), "cut at {end}");
        }
    }

    #[test]
    fn a_class_is_never_shorter_than_the_time_to_live() {
        assert_eq!(class(Duration::from_millis(1)), 1);
        assert_eq!(class(Duration::from_secs(60)), 1);
        assert_eq!(class(Duration::from_secs(61)), 2);
        assert_eq!(class(Duration::from_secs(86_400)), 5);
    }
}
