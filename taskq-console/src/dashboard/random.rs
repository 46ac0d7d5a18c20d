//! Secrets that nobody can guess, and their hashes.

use std::fmt::Write;

use sha2::{Digest, Sha256};

/// 64 hexadecimal digits from the system's random numbers.
///
/// # Panics
/// If the system has none: then nothing here could be safe.
pub(super) fn secret() -> String {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("without random numbers no session is safe");
    hex(&bytes)
}

/// What is kept in place of a secret, or follows from two texts: 64 hexadecimal digits.
pub(super) fn digest(one: &str, other: &str) -> String {
    let mut hasher = Sha256::new();
    // The length keeps ("ab", "c") and ("a", "bc") apart.
    hasher.update(one.len().to_be_bytes());
    hasher.update(one);
    hasher.update(other);
    hex(&hasher.finalize())
}

/// Whether two texts are the same, in a time that does not tell where they differ.
pub(super) fn same(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().zip(other.bytes()).fold(0, |seen, (a, b)| seen | (a ^ b)) == 0
}

/// Two hexadecimal digits for each byte.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a text takes everything");
        text
    })
}
