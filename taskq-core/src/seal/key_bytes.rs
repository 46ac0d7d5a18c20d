//! The 32 bytes of a key, read from a file or the environment; they are never shown, and wiped when they are dropped.

use std::{fmt, path::Path};

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};

/// Bytes of a key of any algorithm here.
const LENGTH: usize = 32;

/// The largest file that is read for a key, in bytes: anything larger is not what was meant.
const MAX_FILE: u64 = 4 * 1024;

/// The 32 bytes of a key. `openssl rand -base64 32` makes them in the form in which they are read.
#[derive(Clone)]
pub struct KeyBytes(Zeroizing<[u8; LENGTH]>);

impl KeyBytes {
    /// The bytes themselves.
    pub fn new(bytes: [u8; LENGTH]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Reads base64; white space around it is ignored.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if it is anything but 32 bytes in base64. The text is not shown.
    pub fn from_base64(text: &str) -> Result<Self> {
        read("given as text", text)
    }

    /// Reads base64 from a file, such as a mounted secret.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the file cannot be read or holds anything but 32 bytes in base64.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let shown = format!("in {}", path.as_ref().display());
        let failed = |error: std::io::Error| wrong(&shown).because(error);
        if std::fs::metadata(&path).map_err(failed)?.len() > MAX_FILE {
            return Err(wrong(&shown).because(CURE));
        }
        let text = Zeroizing::new(std::fs::read_to_string(&path).map_err(failed)?);
        read(&shown, &text)
    }

    /// Reads base64 from an environment variable.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the variable is not set or holds anything but 32 bytes in base64.
    pub fn from_env(variable: &str) -> Result<Self> {
        let shown = format!("in the environment variable {variable}");
        // The error would show a value that is no text.
        match std::env::var(variable).map(Zeroizing::new) {
            Ok(text) => read(&shown, &text),
            Err(std::env::VarError::NotPresent) => Err(wrong(&shown).because("it is not set")),
            Err(std::env::VarError::NotUnicode(_)) => Err(wrong(&shown).because(CURE)),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }
}

const CURE: &str = "a key is 32 bytes in base64; make one with: openssl rand -base64 32";

fn read(shown: &str, text: &str) -> Result<KeyBytes> {
    let mut bytes = Zeroizing::new([0; LENGTH]);
    // One byte more than fits would be an error too: both lengths have to agree.
    match Base64::decode(text.trim(), &mut *bytes) {
        Ok(read) if read.len() == LENGTH => Ok(KeyBytes(bytes)),
        _ => Err(wrong(shown).because(CURE)),
    }
}

fn wrong(shown: &str) -> Error {
    Error::new(ErrorKind::Config, "read key", shown)
}

impl fmt::Debug for KeyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyBytes(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_and_never_shown() {
        let text = Base64::encode_string(&[7; LENGTH]);
        let key = KeyBytes::from_base64(&format!(" {text}\n")).expect("reads");
        assert_eq!(key.as_bytes(), &[7; LENGTH]);
        assert!(!format!("{key:?}").contains('7'), "{key:?}");
    }

    #[test]
    fn anything_else_is_refused_with_the_cure_and_without_the_text() {
        for text in ["", "canary", &Base64::encode_string(&[1; 31]), &Base64::encode_string(&[1; 33])] {
            let error = KeyBytes::from_base64(text).expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains("openssl rand"), "{error}");
            assert!(!error.to_string().contains("canary"), "{error}");
        }
        let missing = KeyBytes::from_env("TASKQ_TEST_NO_SUCH_KEY").expect_err("not set").to_string();
        assert!(missing.contains("TASKQ_TEST_NO_SUCH_KEY") && missing.contains("not set"), "{missing}");
        assert!(KeyBytes::from_file("/does/not/exist").expect_err("no file").to_string().contains("/does/not/exist"));
    }
}
