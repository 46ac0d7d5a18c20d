//! The keys of a program: one signs now, one encrypts now, and all of them verify and decrypt.
//!
//! So keys are changed without waiting for queues to be empty: a new key is first known everywhere, then used, and the old
//! one is taken out when nothing sealed with it is left. The algorithm is always that of the key; a task only names the id.

use super::{EncryptionKey, Keys, Seal, Signature, SigningKey, VerifyingKey, bound, sealed_result, untrusted};
use crate::{
    codec::Payload,
    envelope::Envelope,
    error::{Error, ErrorKind, Result},
    id::TaskId,
    invocation::fingerprint_in,
    limits,
};

/// Signs and encrypts with the newest keys; verifies and decrypts with all of them.
///
/// ```
/// use taskq_core::seal::{EncryptionKey, KeyBytes, KeyRing, SigningKey};
///
/// # fn example() -> taskq_core::Result<()> {
/// let keys = KeyRing::new()
///     .sign_with(SigningKey::hmac_sha256("2026-11", KeyBytes::from_file("/run/secrets/taskq-signing")?)?)
///     .encrypt_with(EncryptionKey::xchacha20_poly1305("2026-11", KeyBytes::from_env("TASKQ_ENCRYPTION_KEY")?)?)
///     .decrypt_with(EncryptionKey::xchacha20_poly1305("2026-05", KeyBytes::from_env("TASKQ_OLD_KEY")?)?)
///     .require_signature();
/// # drop(keys);
/// # Ok(()) }
/// ```
///
/// Ids of signing and of encryption keys are apart. Two keys of one id are both tried.
#[derive(Clone, Debug, Default)]
pub struct KeyRing {
    signing: Option<SigningKey>,
    verifying: Vec<VerifyingKey>,
    encrypting: Option<EncryptionKey>,
    decrypting: Vec<EncryptionKey>,
    requires_signature: bool,
    requires_encryption: bool,
}

impl KeyRing {
    /// No keys: it seals nothing and opens everything that is not encrypted.
    pub fn new() -> Self {
        Self::default()
    }

    /// Signs every task with this key from now on, and verifies with it.
    #[must_use]
    pub fn sign_with(mut self, key: SigningKey) -> Self {
        self.verifying.push(key.verifying_key());
        self.signing = Some(key);
        self
    }

    /// Verifies with this key too: an earlier one, the next one, or that of another program.
    #[must_use]
    pub fn verify_with(mut self, key: impl Into<VerifyingKey>) -> Self {
        self.verifying.push(key.into());
        self
    }

    /// Encrypts the arguments of every task, and every result, with this key from now on, and decrypts with it.
    #[must_use]
    pub fn encrypt_with(mut self, key: EncryptionKey) -> Self {
        self.decrypting.push(key.clone());
        self.encrypting = Some(key);
        self
    }

    /// Decrypts with this key too: an earlier one, the next one, or that of another program.
    #[must_use]
    pub fn decrypt_with(mut self, key: EncryptionKey) -> Self {
        self.decrypting.push(key);
        self
    }

    /// Tasks without a signature that these keys verify become dead letters `untrusted`, unrun.
    #[must_use]
    pub fn require_signature(mut self) -> Self {
        self.requires_signature = true;
        self
    }

    /// Tasks whose arguments are not encrypted become dead letters `untrusted`, unrun, and results that are not
    /// encrypted are refused.
    #[must_use]
    pub fn require_encryption(mut self) -> Self {
        self.requires_encryption = true;
        self
    }

    fn check_signature(&self, envelope: &Envelope) -> Result<()> {
        let refused = |why| Err(untrusted("open", &envelope.id, why));
        let Some(Signature { key, text }) = envelope.seal.as_ref().and_then(|seal| seal.signature.as_ref()) else {
            return match self.requires_signature {
                true => refused("it is not signed, and this key ring requires signatures".to_owned()),
                false => Ok(()),
            };
        };
        let mut candidates = self.verifying.iter().filter(|candidate| candidate.id() == key).peekable();
        if candidates.peek().is_none() {
            return match self.requires_signature {
                true => refused(format!("it is signed by key \"{key}\", which this key ring does not have; add it")),
                // Who takes unsigned tasks gains nothing by refusing those whose signature somebody could have left out.
                false => Ok(()),
            };
        }
        let signed = bound::signed(envelope, key);
        match candidates.any(|candidate| candidate.verifies(&signed, text)) {
            true => Ok(()),
            false => {
                refused(format!("its signature by key \"{key}\" is wrong: it was altered, or the key is another one"))
            }
        }
    }

    fn arguments(&self, envelope: &Envelope) -> Result<Option<Payload>> {
        let Envelope { id, task, payload, seal, .. } = envelope;
        let Some(key) = seal.as_ref().and_then(|seal| seal.encryption.as_ref()) else {
            return match self.requires_encryption {
                true => {
                    Err(untrusted("open", id, "it is not encrypted, and this key ring requires encryption".to_owned()))
                }
                false => Ok(None),
            };
        };
        let text = payload.as_str().trim_matches('"');
        let open = |key: &EncryptionKey| key.decrypt(text, &bound::arguments(id, task, key.id()));
        let opened = self.opened("open", id, key.as_str(), open)?;
        Payload::from_json("open", &opened, limits::MAX_PAYLOAD).map(Some)
    }

    /// Tries the keys of one id.
    fn opened<V>(
        &self,
        operation: &'static str,
        id: &TaskId,
        key: &str,
        open: impl Fn(&EncryptionKey) -> Option<V>,
    ) -> Result<V> {
        let mut candidates = self.decrypting.iter().filter(|candidate| candidate.id().as_str() == key).peekable();
        let shown = key.escape_debug();
        let why = match candidates.peek() {
            None => format!("it is encrypted with key \"{shown}\", which this key ring does not have; add it"),
            Some(_) => {
                format!("it does not open with key \"{shown}\": it was altered or moved, or the key is another one")
            }
        };
        candidates.find_map(open).ok_or_else(|| untrusted(operation, id, why))
    }
}

impl Keys for KeyRing {
    fn seal(&self, envelope: &mut Envelope) -> Result<()> {
        // Told here, or every worker with the same requirement would refuse the task later.
        if self.requires_signature && self.signing.is_none() {
            return Err(missing(
                "sign",
                &envelope.id,
                "requires signatures and has no key that signs; give it sign_with",
            ));
        }
        if self.requires_encryption && self.encrypting.is_none() {
            return Err(missing("encrypt", &envelope.id, NO_ENCRYPTION));
        }
        if self.signing.is_none() && self.encrypting.is_none() {
            return Ok(());
        }
        let mut seal = Seal::default();
        if let Some(key) = &self.encrypting {
            encrypt_arguments(key, envelope)?;
            seal.encryption = Some(key.id().clone());
        }
        envelope.seal = Some(Box::new(seal));
        if let Some(key) = &self.signing {
            let text = key.sign(&bound::signed(envelope, key.id()));
            envelope.seal.get_or_insert_default().signature = Some(Signature { key: key.id().clone(), text });
        }
        Ok(())
    }

    /// The signature is checked first: what fails it is not even decrypted.
    fn open(&self, envelope: &Envelope) -> Result<Option<Payload>> {
        self.check_signature(envelope)?;
        self.arguments(envelope)
    }

    fn seal_result(&self, id: &TaskId, result: Payload) -> Result<Payload> {
        let key = match &self.encrypting {
            Some(key) => key,
            // Rather no result than one that anybody can read.
            None if self.requires_encryption => return Err(missing("encrypt result of", id, NO_ENCRYPTION)),
            None => return Ok(result),
        };
        match key.encrypt(result.as_str(), &bound::result(id, key.id())) {
            Ok(text) => Ok(Payload::text(&format!("taskq-sealed:{}:{text}", key.id()))),
            Err(error) => Err(Error::new(ErrorKind::Codec, "encrypt result of", id).because(error)),
        }
    }

    fn open_result(&self, id: &TaskId, stored: Payload) -> Result<Payload> {
        let Some(sealed) = sealed_result(&stored) else {
            return match self.requires_encryption {
                true => {
                    let why = "it is not encrypted, and this key ring requires encryption".to_owned();
                    Err(untrusted("open result of", id, why))
                }
                false => Ok(stored),
            };
        };
        let open = |key: &EncryptionKey| key.decrypt(sealed.text, &bound::result(id, key.id()));
        let opened = self.opened("open result of", id, sealed.key, open)?;
        Payload::from_json("open result of", &opened, limits::MAX_RESULT)
    }
}

const NO_ENCRYPTION: &str = "requires encryption and has no key that encrypts; give it encrypt_with";

fn missing(operation: &'static str, id: &TaskId, what: &str) -> Error {
    Error::new(ErrorKind::Config, operation, id).because(format!("this key ring {what}"))
}

fn encrypt_arguments(key: &EncryptionKey, envelope: &mut Envelope) -> Result<()> {
    let Envelope { id, task, payload, unique, .. } = envelope;
    let encrypted = key.encrypt(payload.as_str(), &bound::arguments(id, task, key.id()));
    let failed = |error| Error::new(ErrorKind::Codec, "encrypt arguments of", &*task).because(error);
    *payload = Payload::text(&encrypted.map_err(failed)?);
    // A fingerprint of the arguments in the clear could be compared with that of guessed ones.
    if let Some(unique) = unique
        && let Some(fingerprint) = fingerprint_in(&unique.key, task)
    {
        unique.key = format!("{task}#{}", key.blinded(fingerprint));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        id::{QueueName, TaskKey, TaskName},
        invocation::{Invocation, Unique},
        retry::Retry,
        seal::KeyBytes,
    };

    fn hmac(id: &str, byte: u8) -> SigningKey {
        SigningKey::hmac_sha256(id, KeyBytes::new([byte; 32])).expect("valid")
    }

    fn ed25519(id: &str, byte: u8) -> SigningKey {
        SigningKey::ed25519(id, KeyBytes::new([byte; 32])).expect("valid")
    }

    fn cipher(id: &str, byte: u8) -> EncryptionKey {
        EncryptionKey::xchacha20_poly1305(id, KeyBytes::new([byte; 32])).expect("valid")
    }

    fn fresh() -> Envelope {
        let invocation = Invocation::named("pay", &serde_json::json!({"amount": 7})).queue("money").id("order-1");
        invocation.header("traceparent", "00-1").retry(Retry::never()).into_envelope().expect("valid")
    }

    fn sealed(keys: &KeyRing) -> Envelope {
        let mut envelope = fresh();
        keys.seal(&mut envelope).expect("seals");
        // As the broker keeps it and hands it out.
        Envelope::decode(envelope.id.clone(), &envelope.encode()).expect("decodes")
    }

    fn refused(keys: &KeyRing, envelope: &Envelope) -> String {
        let error = keys.open(envelope).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Untrusted, "{error}");
        error.to_string()
    }

    #[test]
    fn what_is_signed_or_encrypted_opens_after_its_way_through_a_broker() {
        for keys in [
            KeyRing::new().sign_with(hmac("s", 1)).require_signature(),
            KeyRing::new().sign_with(ed25519("s", 1)).require_signature(),
            KeyRing::new().encrypt_with(cipher("e", 2)).require_encryption(),
            KeyRing::new()
                .sign_with(ed25519("k", 1))
                .encrypt_with(cipher("k", 1))
                .require_signature()
                .require_encryption(),
        ] {
            let envelope = sealed(&keys);
            let opened = keys.open(&envelope).expect("opens").unwrap_or_else(|| envelope.payload.clone());
            assert_eq!(opened.as_str(), r#"{"amount":7}"#);
        }
    }

    #[test]
    fn the_wire_form_of_a_sealed_task_is_this() {
        let signed = sealed(&KeyRing::new().sign_with(hmac("s", 1)));
        let expected = concat!(
            r#"{"task":"pay","args":{"amount":7},"retry":{"backoff":{"fixed":{"base":{"secs":0,"nanos":0}}},"attempts":1},"#,
            r#""own_id":true,"headers":{"traceparent":"00-1"},"#,
            r#""seal":{"sig":"s:RCnHbxp5WKleYTeMzyu+Ujx55IzT7JsY0a9zn56DYMo="}}"#
        );
        assert_eq!(String::from_utf8(signed.encode()).expect("text"), expected);
        let both = sealed(&KeyRing::new().sign_with(hmac("s", 1)).encrypt_with(cipher("e", 2)));
        let text = String::from_utf8(both.encode()).expect("text");
        assert!(text.starts_with(r#"{"task":"pay","args":""#), "{text}");
        assert!(text.contains(r#""seal":{"enc":"e","sig":"s:"#) && !text.contains("amount"), "{text}");
    }

    #[test]
    fn every_alteration_of_a_signed_task_is_noticed() {
        type Alteration = fn(&mut Envelope);
        let alterations: [(&str, Alteration); 12] = [
            ("queue", |task| task.id.queue = QueueName::new("other").expect("valid")),
            ("id", |task| task.id.key = TaskKey::own("order-2").expect("valid")),
            ("own id", |task| task.own_id = false),
            ("task", |task| task.task = TaskName::new("refund").expect("valid")),
            ("arguments", |task| task.payload = Payload::from_json("test", r#"{"amount":8}"#, 99).expect("json")),
            ("priority", |task| task.priority = 9),
            ("timeout", |task| task.timeout = Some(std::time::Duration::from_secs(1))),
            ("retry", |task| task.retry = None),
            ("deliveries", |task| task.max_deliveries = 200),
            ("unique", |task| {
                task.unique = Some(crate::invocation::UniqueKey {
                    key: "x".to_owned(),
                    until: crate::invocation::UniqueUntil::End,
                    on_conflict: crate::invocation::OnConflict::Skip,
                })
            }),
            ("result", |task| task.stores_result = false),
            ("headers", |task| drop(task.headers.insert("traceparent".to_owned(), "00-2".to_owned()))),
        ];
        for keys in [hmac("s", 1), ed25519("s", 1)].map(|key| KeyRing::new().sign_with(key)) {
            for (what, alter) in alterations {
                let mut envelope = sealed(&keys);
                alter(&mut envelope);
                assert!(refused(&keys, &envelope).contains("is wrong"), "{what}");
            }
        }
    }

    #[test]
    fn an_unsigned_task_is_refused_only_where_signatures_are_required() {
        let keys = KeyRing::new().sign_with(hmac("s", 1));
        let stranger = sealed(&KeyRing::new().sign_with(hmac("other", 2)));
        for envelope in [fresh(), stranger.clone()] {
            assert_eq!(keys.open(&envelope).expect("opens"), None);
        }
        let strict = keys.require_signature();
        assert!(refused(&strict, &fresh()).contains("not signed"));
        assert!(refused(&strict, &stranger).contains("\"other\", which this key ring does not have"));
        // The right id with another key behind it is an alteration, required or not.
        let forged = sealed(&KeyRing::new().sign_with(hmac("s", 3)));
        assert!(refused(&KeyRing::new().sign_with(hmac("s", 1)), &forged).contains("is wrong"));
    }

    #[test]
    fn a_public_key_verifies_and_takes_no_other_algorithm() {
        let private = ed25519("s", 1);
        let public = KeyRing::new().verify_with(private.verifying_key()).require_signature();
        assert_eq!(public.open(&sealed(&KeyRing::new().sign_with(private))).expect("opens"), None);
        assert!(refused(&public, &sealed(&KeyRing::new().sign_with(hmac("s", 1)))).contains("is wrong"));
    }

    #[test]
    fn an_unencrypted_task_is_refused_only_where_encryption_is_required() {
        let keys = KeyRing::new().encrypt_with(cipher("e", 1));
        assert_eq!(keys.open(&fresh()).expect("opens"), None);
        assert!(refused(&keys.require_encryption(), &fresh()).contains("not encrypted"));
    }

    #[test]
    fn encrypted_arguments_open_only_as_those_of_their_task() {
        let keys = KeyRing::new().encrypt_with(cipher("e", 1));
        let moved: [fn(&mut Envelope); 4] = [
            |task| task.id.queue = QueueName::new("other").expect("valid"),
            |task| task.id.key = TaskKey::own("order-2").expect("valid"),
            |task| task.task = TaskName::new("refund").expect("valid"),
            |task| task.payload = Payload::from_json("test", r#""AAAA""#, 99).expect("json"),
        ];
        for alter in moved {
            let mut envelope = sealed(&keys);
            alter(&mut envelope);
            assert!(refused(&keys, &envelope).contains("does not open"));
        }
        assert!(refused(&KeyRing::new(), &sealed(&keys)).contains("does not have"));
        // Nor as a result, and a result not as arguments.
        let envelope = sealed(&keys);
        let text = envelope.payload.as_str().trim_matches('"').to_owned();
        let as_result = Payload::text(&format!("taskq-sealed:e:{text}"));
        assert_eq!(keys.open_result(&envelope.id, as_result).expect_err("refused").kind(), ErrorKind::Untrusted);
    }

    #[test]
    fn a_ring_that_cannot_meet_its_own_requirement_enqueues_nothing_and_stores_no_result() {
        let told = |keys: &KeyRing| {
            let error = keys.seal(&mut fresh()).expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::Config);
            error.to_string()
        };
        let verifying = KeyRing::new().verify_with(hmac("s", 1)).require_signature();
        assert!(told(&verifying).contains("sign_with"), "{}", told(&verifying));
        let decrypting = KeyRing::new().decrypt_with(cipher("e", 1)).require_encryption();
        assert!(told(&decrypting).contains("encrypt_with"), "{}", told(&decrypting));
        let stored = decrypting.seal_result(&fresh().id, Payload::text("canary"));
        assert_eq!(stored.expect_err("refused").kind(), ErrorKind::Config);
    }

    #[test]
    fn keys_change_while_tasks_wait() {
        let (old, new) =
            (KeyRing::new().sign_with(hmac("1", 1)).encrypt_with(cipher("1", 1)), (hmac("2", 2), cipher("2", 2)));
        let waiting = sealed(&old);
        // First everybody learns the new keys, then they are used, then the old ones go.
        let learnt = old.verify_with(new.0.clone()).decrypt_with(new.1.clone()).require_signature();
        let changed = learnt.clone().sign_with(new.0.clone()).encrypt_with(new.1.clone());
        for keys in [&learnt, &changed] {
            for envelope in [&waiting, &sealed(&learnt), &sealed(&changed)] {
                assert!(keys.open(envelope).expect("opens").is_some());
            }
        }
        let without_old = KeyRing::new().sign_with(new.0).encrypt_with(new.1).require_signature();
        assert!(without_old.open(&sealed(&changed)).is_ok());
        assert!(refused(&without_old, &waiting).contains("\"1\", which this key ring does not have"));
    }

    #[test]
    fn a_result_opens_for_its_task_and_no_other() {
        let keys = KeyRing::new().encrypt_with(cipher("e", 1));
        let (id, other) = ("q/one".parse().expect("valid"), "q/two".parse().expect("valid"));
        let result = Payload::text("canary");
        let stored = keys.seal_result(&id, result.clone()).expect("seals");
        assert!(stored.as_str().starts_with("\"taskq-sealed:e:") && !stored.as_str().contains("canary"));
        assert_eq!(keys.open_result(&id, stored.clone()).expect("opens"), result);
        assert_eq!(keys.open_result(&other, stored.clone()).expect_err("moved").kind(), ErrorKind::Untrusted);
        assert!(KeyRing::new().open_result(&id, stored).expect_err("no key").to_string().contains("\"e\""));
        assert_eq!(keys.open_result(&id, result.clone()).expect("not encrypted"), result);
        let strict = keys.require_encryption();
        assert_eq!(strict.open_result(&id, result).expect_err("required").kind(), ErrorKind::Untrusted);
    }

    #[test]
    fn work_that_is_unique_by_its_arguments_does_not_show_their_fingerprint() {
        let keys = KeyRing::new().encrypt_with(cipher("e", 1));
        let unique = |keys: &KeyRing, amount: u32, unique: Unique| {
            let invocation = Invocation::named("pay", &serde_json::json!({ "amount": amount })).unique(unique);
            let mut envelope = invocation.into_envelope().expect("valid");
            keys.seal(&mut envelope).expect("seals");
            envelope.unique.expect("has one").key
        };
        let (plain, blinded) = (unique(&KeyRing::new(), 7, Unique::by_args()), unique(&keys, 7, Unique::by_args()));
        assert_ne!(blinded, plain);
        assert_eq!(blinded, unique(&keys, 7, Unique::by_args()));
        assert_ne!(blinded, unique(&keys, 8, Unique::by_args()));
        assert_ne!(blinded, unique(&KeyRing::new().encrypt_with(cipher("e", 2)), 7, Unique::by_args()));
        assert_eq!(unique(&keys, 7, Unique::key("chosen")), "chosen", "a key that somebody chose stays");
    }

    #[test]
    fn the_largest_payload_can_be_sealed() {
        let keys = KeyRing::new().sign_with(hmac("s", 1)).encrypt_with(cipher("e", 1));
        let text = "x".repeat(limits::MAX_PAYLOAD - 8);
        let mut envelope = Invocation::named("pay", &serde_json::json!({ "a": text })).into_envelope().expect("fits");
        keys.seal(&mut envelope).expect("seals");
        assert!(envelope.payload.as_str().len() <= limits::MAX_STORED_PAYLOAD);
        let read = Envelope::decode(envelope.id.clone(), &envelope.encode()).expect("decodes");
        assert!(keys.open(&read).expect("opens").is_some_and(|opened| opened.as_str().contains(&text)));
    }
}
