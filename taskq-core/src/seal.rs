//! What keeps a task from being read or altered on its way: the marks in its envelope, and who sets and checks them.
//!
//! The promise: a task whose seal does not hold never reaches a body; it becomes a dead letter `untrusted`. A task is
//! sealed once, when it is enqueued. What a broker keeps of it through all attempts is the sealed form.

#[cfg(feature = "seal")]
mod bound;
#[cfg(feature = "seal")]
mod key;
#[cfg(feature = "seal")]
mod key_bytes;
#[cfg(feature = "seal")]
mod key_ring;

#[cfg(feature = "seal")]
pub use self::{
    key::{EncryptionKey, SigningKey, VerifyingKey},
    key_bytes::KeyBytes,
    key_ring::KeyRing,
};

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    codec::Payload,
    connection::Connection,
    envelope::Envelope,
    error::{Error, ErrorKind, Result},
    id::{KeyId, TaskId},
};

/// Seals tasks and results before a broker sees them, and opens them again.
///
/// `KeyRing`, behind the feature `seal`, is the one that comes with taskq; another one can leave the work to a key
/// service. What does not hold is [`ErrorKind::Untrusted`].
pub trait Keys: fmt::Debug + Send + Sync {
    /// Encrypts and signs a task that is about to be enqueued.
    fn seal(&self, envelope: &mut Envelope) -> Result<()>;

    /// Checks the seal of a task, and gives its arguments if they were encrypted; `None` if they stand in it as they are.
    fn open(&self, envelope: &Envelope) -> Result<Option<Payload>>;

    /// The stored form of a task's result.
    fn seal_result(&self, id: &TaskId, result: Payload) -> Result<Payload>;

    /// The result of a task from its stored form.
    fn open_result(&self, id: &TaskId, stored: Payload) -> Result<Payload>;
}

/// The marks of a sealed task, in its envelope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// The key under which the arguments are encrypted; they are a text then, and no object.
    #[serde(rename = "enc", default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<KeyId>,
    /// The signature over everything that was decided when it was enqueued.
    #[serde(rename = "sig", default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
}

/// A signature as it is kept: `key:base64`. The algorithm is that of the key, never one that the task names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signature {
    /// The key that made it.
    pub key: KeyId,
    /// Its bytes in base64.
    pub text: String,
}

impl TryFrom<String> for Signature {
    type Error = Error;

    fn try_from(kept: String) -> Result<Self> {
        match kept.split_once(':') {
            Some((key, text)) => Ok(Self { key: KeyId::new(key)?, text: text.to_owned() }),
            None => Err(Error::invalid("signature", "", "a signature reads key:base64")),
        }
    }
}

impl From<Signature> for String {
    fn from(signature: Signature) -> Self {
        format!("{}:{}", signature.key, signature.text)
    }
}

/// How the stored form of an encrypted result begins: a JSON text `taskq-sealed:key:base64`.
const SEALED_RESULT: &str = "\"taskq-sealed:";

/// Something encrypted, as it is kept.
struct Sealed<'a> {
    key: &'a str,
    #[cfg_attr(not(feature = "seal"), expect(dead_code, reason = "nobody could open it"))]
    text: &'a str,
}

/// The parts of an encrypted result; `None` if it is not encrypted.
fn sealed_result(stored: &Payload) -> Option<Sealed<'_>> {
    let (key, text) = stored.as_str().strip_prefix(SEALED_RESULT)?.strip_suffix('"')?.split_once(':')?;
    Some(Sealed { key, text })
}

impl Connection {
    /// Encrypts and signs a task that is about to be enqueued, as this connection's keys say.
    pub fn seal_task(&self, envelope: &mut Envelope) -> Result<()> {
        match self.keys() {
            Some(keys) => keys.seal(envelope),
            None => Ok(()),
        }
    }

    /// Checks the seal of a task, and gives its arguments if they were encrypted; `None` if they stand in it as they are.
    ///
    /// Workers do this before every attempt. It also reads the arguments of a dead letter.
    ///
    /// # Errors
    /// [`ErrorKind::Untrusted`] if the seal does not hold, or if it takes keys and this connection has none.
    pub fn open_task(&self, envelope: &Envelope) -> Result<Option<Payload>> {
        let encryption = || envelope.seal.as_ref()?.encryption.as_ref();
        match (self.keys(), encryption()) {
            (Some(keys), _) => keys.open(envelope),
            (None, Some(key)) => Err(no_keys("open", &envelope.id, key.as_str())),
            // A signature that nobody here can check is as good as none, and none is required.
            (None, None) => Ok(None),
        }
    }

    /// The form of a result that the broker is to keep.
    pub fn seal_result(&self, id: &TaskId, result: Payload) -> Result<Payload> {
        match self.keys() {
            Some(keys) => keys.seal_result(id, result),
            None => Ok(result),
        }
    }

    pub(crate) fn open_result(&self, id: &TaskId, stored: Payload) -> Result<Payload> {
        match (self.keys(), sealed_result(&stored)) {
            (Some(keys), _) => keys.open_result(id, stored),
            (None, Some(sealed)) => Err(no_keys("open result of", id, sealed.key)),
            (None, None) => Ok(stored),
        }
    }
}

fn untrusted(operation: &'static str, id: &TaskId, why: String) -> Error {
    Error::new(ErrorKind::Untrusted, operation, id).because(why)
}

fn no_keys(operation: &'static str, id: &TaskId, key: &str) -> Error {
    let key = key.escape_debug();
    untrusted(
        operation,
        id,
        format!("it is encrypted with key \"{key}\", and this connection has no keys; give it Connection::with_keys"),
    )
}
