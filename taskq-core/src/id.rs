//! Names and ids as types: what is inside one has been checked.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    clock::Timestamp,
    error::{Error, Result},
    limits::{MAX_KEY, MAX_NAME},
    text::quoted,
};

/// Checks the alphabet and length that all names share.
pub(crate) fn check_name(what: &'static str, name: &str) -> Result<()> {
    if name.is_empty() || name.len() > MAX_NAME {
        let cure = format!("it has {} bytes; use 1 to {MAX_NAME}", name.len());
        return Err(Error::invalid(what, quoted(name), cure));
    }
    match name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))) {
        Some(bad) => {
            let cure = format!("{bad:?} is not allowed; use letters, digits, '.', '_' and '-'");
            Err(Error::invalid(what, quoted(name), cure))
        }
        None => Ok(()),
    }
}

/// A name as a type: for all modules that have names, so that there is one rule for them.
macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Checks and wraps a name: 1 to 128 of letters, digits, `.`, `_` and `-`.
            pub fn new(name: impl AsRef<str>) -> $crate::error::Result<Self> {
                $crate::id::check_name($what, name.as_ref())?;
                Ok(Self(name.as_ref().into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::error::Error;

            fn from_str(name: &str) -> $crate::error::Result<Self> {
                Self::new(name)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::error::Error;

            fn try_from(name: String) -> $crate::error::Result<Self> {
                Self::new(name)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

pub(crate) use name_type;

name_type!(
    /// The name of a queue.
    QueueName,
    "queue name"
);
name_type!(
    /// The name of a task: the identity of its definition.
    TaskName,
    "task name"
);
name_type!(
    /// The prefix that lets several apps share one broker.
    Namespace,
    "namespace"
);
name_type!(
    /// The id of a key that signs or encrypts: sealed tasks name it.
    KeyId,
    "key id"
);

/// What distinguishes a task within its queue: a UUID v7, or the caller's own id.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey(Key);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key {
    Uuid(Uuid),
    Own(Arc<str>),
}

impl TaskKey {
    /// A fresh key, unique everywhere; its first bytes are the present time.
    pub fn generate() -> Self {
        Self(Key::Uuid(Uuid::now_v7()))
    }

    /// A fresh key of a task whose state need not be kept: a UUID of version 8 with the bits of a version 7.
    ///
    /// The version makes it possible to answer `Untracked` for it, instead of a wrong `NotFound`, without storing it.
    pub fn generate_untracked() -> Self {
        let mut bytes = Uuid::now_v7().into_bytes();
        bytes[6] = bytes[6] & 0x0F | 0x80;
        Self(Key::Uuid(Uuid::from_bytes(bytes)))
    }

    /// Whether it was made by [`generate_untracked`](Self::generate_untracked).
    pub fn is_untracked(&self) -> bool {
        matches!(&self.0, Key::Uuid(uuid) if uuid.get_version_num() == 8)
    }

    /// The caller's own key: 1 to 200 printable ASCII characters without `/`.
    ///
    /// The text of an RFC 9562 UUID stands for that UUID, so that a printed key reads back as itself.
    pub fn own(key: impl AsRef<str>) -> Result<Self> {
        let key = key.as_ref();
        if let Some(uuid) = rfc_uuid(key) {
            return Ok(Self(Key::Uuid(uuid)));
        }
        if key.is_empty() || key.len() > MAX_KEY {
            let cure = format!("it has {} bytes; use 1 to {MAX_KEY}", key.len());
            return Err(Error::invalid("task id", quoted(key), cure));
        }
        match key.chars().find(|c| !c.is_ascii_graphic() || *c == '/') {
            Some(bad) => {
                let cure = format!("{bad:?} is not allowed; use printable ASCII without spaces and '/'");
                Err(Error::invalid("task id", quoted(key), cure))
            }
            None => Ok(Self(Key::Own(key.into()))),
        }
    }

    /// The 16 bytes of a UUID, or the ASCII bytes of an own key.
    ///
    /// The two never meet: an RFC UUID has a byte of 0x80 or more, ASCII has none.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Key::Uuid(uuid) => uuid.as_bytes(),
            Key::Own(key) => key.as_bytes(),
        }
    }

    /// The same, owned.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }

    /// Reads back what [`as_bytes`](Self::as_bytes) gave.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        if let (Ok(uuid), false) = (Uuid::from_slice(bytes), bytes.is_ascii()) {
            return Ok(Self(Key::Uuid(uuid)));
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::own(text),
            Err(error) => Err(Error::invalid("task id", "bytes", error)),
        }
    }

    /// Whether the caller chose it.
    pub fn is_own(&self) -> bool {
        matches!(self.0, Key::Own(_))
    }

    /// When it was made, by the clock of whoever made it; an own key does not tell.
    pub fn made_at(&self) -> Option<Timestamp> {
        let Key::Uuid(uuid) = self.0 else { return None };
        // Both versions that are made here begin with the milliseconds; others tell nothing.
        let [m0, m1, m2, m3, m4, m5, ..] = *uuid.as_bytes();
        let millis = i64::from_be_bytes([0, 0, m0, m1, m2, m3, m4, m5]);
        matches!(uuid.get_version_num(), 7 | 8).then(|| Timestamp::from_millis(millis))
    }

    /// The UUID, if it is one.
    pub fn as_uuid(&self) -> Option<Uuid> {
        match self.0 {
            Key::Uuid(uuid) => Some(uuid),
            Key::Own(_) => None,
        }
    }
}

/// Keys made together: UUIDs that differ in their last byte alone, so that a broker can keep what it knows of many of
/// them once for all. As unique everywhere as other keys.
#[derive(Debug)]
pub struct Siblings {
    first: TaskKey,
    made: u16,
    tracked: bool,
}

impl Siblings {
    /// Siblings of tasks whose state is kept, or is not.
    pub fn new(tracked: bool) -> Self {
        Self { first: Self::family(tracked), made: 0, tracked }
    }

    fn family(tracked: bool) -> TaskKey {
        if tracked { TaskKey::generate() } else { TaskKey::generate_untracked() }
    }

    /// The next sibling. After 256 of them, or when [`part`](Self::part) was called, another family begins.
    pub fn next_key(&mut self) -> TaskKey {
        if self.made == 256 {
            *self = Self::new(self.tracked);
        }
        let mut key = self.first.clone();
        if let Key::Uuid(uuid) = &mut key.0 {
            let mut bytes = uuid.into_bytes();
            bytes[15] = self.made.to_be_bytes()[1];
            *uuid = Uuid::from_bytes(bytes);
        }
        self.made += 1;
        key
    }

    /// The next key begins another family.
    pub fn part(&mut self) {
        self.made = 256;
    }
}

/// Only variants whose ninth byte is not ASCII count as UUIDs; see [`TaskKey::as_bytes`].
fn rfc_uuid(text: &str) -> Option<Uuid> {
    let uuid = Uuid::try_parse(text).ok()?;
    (uuid.as_bytes()[8] & 0xC0 == 0x80 && text.len() == 36).then_some(uuid)
}

impl fmt::Display for TaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Key::Uuid(uuid) => uuid.fmt(f),
            Key::Own(key) => f.write_str(key),
        }
    }
}

impl fmt::Debug for TaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The id of one enqueued invocation, `queue/key`: it says where the task lives.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskId {
    /// The queue it was put into.
    pub queue: QueueName,
    /// Its key within the queue.
    pub key: TaskKey,
}

impl TaskId {
    /// The id of `key` in `queue`.
    pub fn new(queue: QueueName, key: TaskKey) -> Self {
        Self { queue, key }
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.queue, self.key)
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TaskId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once('/') {
            Some((queue, key)) => Ok(Self::new(QueueName::new(queue)?, TaskKey::own(key)?)),
            None => Err(Error::invalid("task id", quoted(text), "a task id reads queue/key")),
        }
    }
}

impl TryFrom<String> for TaskId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<TaskId> for String {
    fn from(id: TaskId) -> Self {
        id.to_string()
    }
}

/// One worker process: made anew at every start, never reused, so that a name given twice confuses nobody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(Uuid);

impl WorkerId {
    /// A fresh id.
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// Its 32 hexadecimal digits.
    pub fn to_hex(self) -> String {
        self.0.simple().to_string()
    }
}

impl FromStr for WorkerId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = Uuid::try_parse(text).ok().filter(|_| text.len() == 32);
        parsed
            .map(Self)
            .ok_or_else(|| Error::invalid("worker id", quoted(text), "a worker id has 32 hexadecimal digits"))
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

impl fmt::Debug for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Who holds tasks of one queue: a worker process in one of its terms there.
///
/// A process whose lease lapsed comes back with the next term, so what it claimed before stays refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// The worker process.
    pub worker: WorkerId,
    /// How often its lease on this queue was lost before.
    pub term: u32,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.worker, self.term)
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Owner {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = text.split_once('.').and_then(|(worker, term)| {
            Some(Self { worker: WorkerId(Uuid::try_parse(worker).ok()?), term: term.parse().ok()? })
        });
        parsed.ok_or_else(|| Error::invalid("owner", quoted(text), "an owner reads <32 hex digits>.<term>"))
    }
}

/// The number of a claim among those of one owner in one queue, given by the owner: each has a greater one than the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimNumber(pub u64);

/// The number of a hand-out by the broker; it only ever grows within a queue, and it is what fences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryToken(pub u64);

/// One enqueue call, so that its repetition after a lost reply is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BatchId(Uuid);

impl BatchId {
    /// A fresh id.
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id of the only call that enqueues the task whose key was generated for it: that key is as good as another
    /// random number, and it is there.
    pub fn of_generated(key: &TaskKey) -> Self {
        key.as_uuid().map_or_else(Self::generate, Self)
    }

    /// Its 16 bytes; the first six are the milliseconds of its making.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// When it was made, in milliseconds since 1970, by the maker's clock.
    pub fn made_at_millis(&self) -> u64 {
        let bytes = self.0.as_bytes();
        bytes[..6].iter().fold(0, |millis, byte| millis << 8 | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_id_reads_back_what_it_prints() {
        for key in [TaskKey::generate(), TaskKey::own("order:42@2026-01-01").expect("valid")] {
            let id = TaskId::new(QueueName::new("mail").expect("valid"), key.clone());
            assert_eq!(id.to_string().parse::<TaskId>().expect("parses"), id);
            assert_eq!(TaskKey::from_bytes(&key.to_bytes()).expect("reads"), key);
        }
    }

    #[test]
    fn an_own_key_of_sixteen_characters_is_never_taken_for_a_uuid() {
        let key = TaskKey::own("sixteen-letters!").expect("valid");
        assert_eq!(TaskKey::from_bytes(&key.to_bytes()).expect("reads"), key);
        assert!(TaskKey::own("00000000-0000-0000-0000-000000000000").expect("valid").is_own());
    }

    #[test]
    fn siblings_differ_in_their_last_byte_and_never_repeat() {
        for tracked in [true, false] {
            let mut siblings = Siblings::new(tracked);
            let keys: Vec<TaskKey> = (0..600).map(|_| siblings.next_key()).collect();
            assert_eq!(keys.iter().collect::<std::collections::HashSet<_>>().len(), 600);
            assert!(keys.iter().all(|key| key.is_untracked() != tracked && !key.is_own()));
            let family = |key: &TaskKey| key.as_bytes()[..15].to_vec();
            assert_eq!(family(&keys[0]), family(&keys[255]));
            assert_ne!(family(&keys[0]), family(&keys[256]));
        }
    }

    #[test]
    fn bad_names_are_refused_with_the_cure() {
        assert!(QueueName::new("a:b").expect_err("colon").to_string().contains("':' is not allowed"));
        assert!(QueueName::new("x".repeat(200)).expect_err("long").to_string().contains("use 1 to 128"));
        assert!(QueueName::new("").is_err());
        assert!("mail".parse::<TaskId>().expect_err("no key").to_string().contains("queue/key"));
    }
}
