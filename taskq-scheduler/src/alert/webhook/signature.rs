//! The signature of a request: `t=<seconds since 1970>,v1=<hex of HMAC-SHA-256 over "t.body">`.

use std::fmt::Write;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use taskq_core::Timestamp;

/// The value of the header.
pub(super) fn sign(secret: &str, at: Timestamp, body: &str) -> String {
    let seconds = at.as_millis().div_euclid(1_000);
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(format!("{seconds}.{body}").as_bytes());
    let mut value = format!("t={seconds},v1=");
    for byte in mac.finalize().into_bytes() {
        let _infallible = write!(value, "{byte:02x}");
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_that_openssl_makes() {
        // printf '1893456000.{}' | openssl dgst -sha256 -hmac whsec
        let expected = "t=1893456000,v1=e46ae8a4ac5d49f0392b9e5e2905d28f3cb454f263e1800d90a2b8ab3ba5f882";
        assert_eq!(sign("whsec", Timestamp::from_millis(1_893_456_000_999), "{}"), expected);
    }
}
