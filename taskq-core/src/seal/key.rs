//! Keys with their ids: what signs, what verifies, what encrypts. Shown by id and algorithm, never more.

use std::fmt;

use base64ct::{Base64, Encoding};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Generate, Payload as Message},
};
use ed25519_dalek::Signer;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::KeyBytes;
use crate::{
    error::{BoxError, Error, ErrorKind, Result},
    id::KeyId,
};

/// Bytes of a nonce: long enough to be drawn at random for every message of a key's life.
const NONCE: usize = 24;

/// A key that signs tasks. It also verifies what it signed.
#[derive(Clone)]
pub struct SigningKey {
    id: KeyId,
    signer: Signing,
}

#[derive(Clone)]
enum Signing {
    Hmac(KeyBytes),
    // Wipes itself when it is dropped.
    Ed25519(Box<ed25519_dalek::SigningKey>),
}

impl SigningKey {
    /// HMAC-SHA-256: whoever can verify with it can sign with it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the id is no name.
    pub fn hmac_sha256(id: impl AsRef<str>, secret: KeyBytes) -> Result<Self> {
        Ok(Self { id: KeyId::new(id)?, signer: Signing::Hmac(secret) })
    }

    /// Ed25519, from the 32 bytes of the private key: those who verify have a public key, with which nobody can sign.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the id is no name.
    pub fn ed25519(id: impl AsRef<str>, private: KeyBytes) -> Result<Self> {
        let key = ed25519_dalek::SigningKey::from_bytes(private.as_bytes());
        Ok(Self { id: KeyId::new(id)?, signer: Signing::Ed25519(Box::new(key)) })
    }

    /// Its id.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// What verifies its signatures; for Ed25519 the public key.
    pub fn verifying_key(&self) -> VerifyingKey {
        let verifier = match &self.signer {
            Signing::Hmac(secret) => Verifying::Hmac(secret.clone()),
            Signing::Ed25519(key) => Verifying::Ed25519(key.verifying_key()),
        };
        VerifyingKey { id: self.id.clone(), verifier }
    }

    /// The signature of a message, in base64.
    pub(super) fn sign(&self, message: &[u8]) -> String {
        match &self.signer {
            Signing::Hmac(secret) => Base64::encode_string(&mac(secret.as_bytes(), message).finalize().into_bytes()),
            Signing::Ed25519(key) => Base64::encode_string(&key.sign(message).to_bytes()),
        }
    }
}

/// A key that verifies signatures.
#[derive(Clone)]
pub struct VerifyingKey {
    id: KeyId,
    verifier: Verifying,
}

#[derive(Clone)]
enum Verifying {
    Hmac(KeyBytes),
    Ed25519(ed25519_dalek::VerifyingKey),
}

impl VerifyingKey {
    /// Ed25519, from the 32 bytes of the public key.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the id is no name, [`ErrorKind::Config`] if the bytes are no public key.
    pub fn ed25519(id: impl AsRef<str>, public: KeyBytes) -> Result<Self> {
        let id = KeyId::new(id)?;
        let refused = |why: &'static str| Error::new(ErrorKind::Config, "read public key", &id).because(why);
        let key = ed25519_dalek::VerifyingKey::from_bytes(public.as_bytes());
        let key = key.map_err(|_| refused("these bytes are no point of the curve"))?;
        // Such a key takes signatures that nobody made.
        if key.is_weak() {
            return Err(refused("it is one of the few weak keys; make another one"));
        }
        Ok(Self { id, verifier: Verifying::Ed25519(key) })
    }

    /// Its id.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// Whether it made this signature of the message. Takes the same time wherever a wrong one differs.
    pub(super) fn verifies(&self, message: &[u8], signature: &str) -> bool {
        let Ok(signature) = Base64::decode_vec(signature) else { return false };
        match &self.verifier {
            Verifying::Hmac(secret) => mac(secret.as_bytes(), message).verify_slice(&signature).is_ok(),
            Verifying::Ed25519(key) => ed25519_dalek::Signature::from_slice(&signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
        }
    }
}

impl From<SigningKey> for VerifyingKey {
    fn from(key: SigningKey) -> Self {
        key.verifying_key()
    }
}

/// A key that encrypts and decrypts: XChaCha20-Poly1305.
#[derive(Clone)]
pub struct EncryptionKey {
    id: KeyId,
    secret: KeyBytes,
}

impl EncryptionKey {
    /// XChaCha20-Poly1305 under this secret.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the id is no name.
    pub fn xchacha20_poly1305(id: impl AsRef<str>, secret: KeyBytes) -> Result<Self> {
        Ok(Self { id: KeyId::new(id)?, secret })
    }

    /// Its id.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// A fresh nonce and the encrypted text, together in base64.
    pub(super) fn encrypt(&self, text: &str, bound_to: &[u8]) -> std::result::Result<String, BoxError> {
        let nonce = XNonce::try_generate().map_err(|error| format!("no random numbers: {error}"))?;
        let message = Message { msg: text.as_bytes(), aad: bound_to };
        let encrypted = self.cipher().encrypt(&nonce, message).map_err(|_| "the text is too long to encrypt")?;
        let mut sealed = Vec::with_capacity(NONCE + encrypted.len());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&encrypted);
        Ok(Base64::encode_string(&sealed))
    }

    /// The text, if this key encrypted it for exactly this.
    pub(super) fn decrypt(&self, sealed: &str, bound_to: &[u8]) -> Option<Zeroizing<String>> {
        let sealed = Base64::decode_vec(sealed).ok()?;
        let (nonce, encrypted) = sealed.split_at_checked(NONCE)?;
        let nonce = XNonce::try_from(nonce).ok()?;
        let text = self.cipher().decrypt(&nonce, Message { msg: encrypted, aad: bound_to }).ok()?;
        String::from_utf8(text).ok().map(Zeroizing::new)
    }

    /// The same text gives the same 32 digits, and tells nobody without the key what it was.
    pub(super) fn blinded(&self, text: &str) -> String {
        let own_key =
            Zeroizing::<[u8; 32]>::new(mac(self.secret.as_bytes(), b"taskq unique 1").finalize().into_bytes().into());
        let digits = mac(&own_key, text.as_bytes()).finalize().into_bytes();
        digits.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.secret.as_bytes().into())
    }
}

fn mac(secret: &[u8; 32], message: &[u8]) -> Hmac<Sha256> {
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret).expect("a key of any length will do");
    mac.chain_update(message)
}

macro_rules! shown_by_id {
    ($($name:ident $algorithm:expr;)+) => {
        $(impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let algorithm: fn(&Self) -> &'static str = $algorithm;
                write!(f, "{}({} {})", stringify!($name), algorithm(self), self.id)
            }
        })+
    };
}

shown_by_id! {
    SigningKey |key| match key.signer {
        Signing::Hmac(_) => "hmac-sha256",
        Signing::Ed25519(_) => "ed25519",
    };
    VerifyingKey |key| match key.verifier {
        Verifying::Hmac(_) => "hmac-sha256",
        Verifying::Ed25519(_) => "ed25519",
    };
    EncryptionKey |_| "xchacha20-poly1305";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
    }

    fn key_bytes(hex: &str) -> KeyBytes {
        KeyBytes::new(bytes(hex).try_into().expect("32 bytes"))
    }

    /// RFC 8032, section 7.1, test 3.
    #[test]
    fn ed25519_signs_as_its_standard_says() {
        let private = key_bytes("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7");
        let public = key_bytes("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025");
        let signature = "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a";
        let key = SigningKey::ed25519("k", private).expect("valid");
        let made = key.sign(&[0xaf, 0x82]);
        assert_eq!(Base64::decode_vec(&made).expect("base64"), bytes(signature));
        let public = VerifyingKey::ed25519("k", public).expect("valid");
        assert!(public.verifies(&[0xaf, 0x82], &made));
        assert!(!public.verifies(&[0xaf, 0x83], &made));
        assert!(!public.verifies(&[0xaf, 0x82], "AAAA") && !public.verifies(&[0xaf, 0x82], "no base64"));
    }

    #[test]
    fn a_weak_public_key_is_refused() {
        let mut point = [0; 32];
        point[0] = 1;
        assert!(VerifyingKey::ed25519("k", KeyBytes::new(point)).is_err());
    }

    /// RFC 4231 has no key of 32 bytes; this is what `openssl dgst -sha256 -mac HMAC` says.
    #[test]
    fn hmac_sha256_signs_as_others_do() {
        let key = SigningKey::hmac_sha256("k", KeyBytes::new([0x0b; 32])).expect("valid");
        let made = Base64::decode_vec(&key.sign(b"Hi There")).expect("base64");
        assert_eq!(made, bytes("198a607eb44bfbc69903a0f1cf2bbdc5ba0aa3f3d9ae3c1c7a3b1696a0b68cf7"));
        assert!(key.verifying_key().verifies(b"Hi There", &key.sign(b"Hi There")));
        assert!(!key.verifying_key().verifies(b"Hi There", ""));
    }

    /// draft-irtf-cfrg-xchacha-03, appendix A.3.1.
    #[test]
    fn xchacha20_poly1305_opens_what_its_draft_sealed() {
        let key = key_bytes("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
        let key = EncryptionKey::xchacha20_poly1305("k", key).expect("valid");
        let sealed = bytes(concat!(
            "404142434445464748494a4b4c4d4e4f5051525354555657",
            "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39",
            "ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9",
            "21f9664c97637da9768812f615c68b13b52e",
            "c0875924c1c7987947deafd8780acf49"
        ));
        let text = key.decrypt(&Base64::encode_string(&sealed), &bytes("50515253c0c1c2c3c4c5c6c7")).expect("opens");
        assert!(text.starts_with("Ladies and Gentlemen of the class of '99"), "{}", *text);
        assert!(key.decrypt(&Base64::encode_string(&sealed), b"elsewhere").is_none());
    }

    #[test]
    fn no_two_encryptions_are_the_same_and_nothing_short_or_altered_opens() {
        let key = EncryptionKey::xchacha20_poly1305("k", KeyBytes::new([1; 32])).expect("valid");
        let (one, two) = (key.encrypt("text", b"x").expect("encrypts"), key.encrypt("text", b"x").expect("encrypts"));
        assert_ne!(one, two);
        assert_eq!(key.decrypt(&one, b"x").expect("opens").as_str(), "text");
        let sealed = Base64::decode_vec(&one).expect("base64");
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(key.decrypt(&Base64::encode_string(&altered), b"x").is_none(), "byte {at}");
            assert!(key.decrypt(&Base64::encode_string(&sealed[..at]), b"x").is_none(), "cut at {at}");
        }
    }

    #[test]
    fn keys_show_their_id_and_nothing_else() {
        let secret = || KeyBytes::new([0x41; 32]);
        let signing = SigningKey::hmac_sha256("a", secret()).expect("valid");
        assert_eq!(format!("{signing:?}"), "SigningKey(hmac-sha256 a)");
        let signing = SigningKey::ed25519("b", secret()).expect("valid");
        assert_eq!(
            format!("{signing:?} {:?}", signing.verifying_key()),
            "SigningKey(ed25519 b) VerifyingKey(ed25519 b)"
        );
        let encryption = EncryptionKey::xchacha20_poly1305("c", secret()).expect("valid");
        assert_eq!(format!("{encryption:?}"), "EncryptionKey(xchacha20-poly1305 c)");
    }
}
