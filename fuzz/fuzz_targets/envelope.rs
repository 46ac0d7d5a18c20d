//! Whatever decodes reads back as itself, and a seal that nobody made does not open.
#![no_main]

use libfuzzer_sys::fuzz_target;
use taskq_core::{
    Envelope, Keys,
    seal::{EncryptionKey, KeyBytes, KeyRing, SigningKey},
};

fuzz_target!(|bytes: &[u8]| {
    let id = "default/mine".parse().expect("valid");
    let Ok(envelope) = Envelope::decode(id, bytes) else { return };
    let again = Envelope::decode(envelope.id.clone(), &envelope.encode()).expect("reads what it wrote");
    assert_eq!(again, envelope);
    let signing = SigningKey::hmac_sha256("k", KeyBytes::new([7; 32])).expect("valid");
    let encryption = EncryptionKey::xchacha20_poly1305("k", KeyBytes::new([7; 32])).expect("valid");
    assert!(KeyRing::new().sign_with(signing).require_signature().open(&envelope).is_err());
    assert!(KeyRing::new().encrypt_with(encryption).require_encryption().open(&envelope).is_err());
});
