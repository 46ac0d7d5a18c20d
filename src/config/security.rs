//! The table `[security]`: which keys sign, encrypt, verify and decrypt, and where each is read from.
//!
//! The promise: a key never stands in the configuration itself, so a file that is shown, logged or checked in gives none
//! away. What looks like one is refused without being shown.

use std::{collections::BTreeMap, path::PathBuf};

use taskq_core::{Connection, Error, ErrorKind, KeyId, Result};
use toml::Value;

use super::{
    settings::{Origin, Setting, Settings},
    wrong,
};

/// Keys by id, which of them are used now, and what is required of tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Security {
    /// The key that signs from now on.
    pub sign_with: Option<String>,
    /// The key that encrypts from now on.
    pub encrypt_with: Option<String>,
    /// Whether tasks without a good signature become dead letters.
    pub require_signature: bool,
    /// Whether tasks that are not encrypted become dead letters.
    pub require_encryption: bool,
    /// Every key by its id.
    pub keys: BTreeMap<String, KeySource>,
}

/// What a key is for, and where it is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeySource {
    /// What it is for.
    pub algorithm: KeyAlgorithm,
    /// Where it is read from.
    pub place: KeyPlace,
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyAlgorithm {
    /// `hmac-sha256`: signs and verifies.
    HmacSha256,
    /// `ed25519`: the private key; signs and verifies.
    Ed25519,
    /// `ed25519-public`: the public key; verifies.
    Ed25519Public,
    /// `xchacha20-poly1305`: encrypts and decrypts.
    XChaCha20Poly1305,
}

/// Where a key is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyPlace {
    /// A file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
}

const ALGORITHMS: [(&str, KeyAlgorithm); 4] = [
    ("hmac-sha256", KeyAlgorithm::HmacSha256),
    ("ed25519", KeyAlgorithm::Ed25519),
    ("ed25519-public", KeyAlgorithm::Ed25519Public),
    ("xchacha20-poly1305", KeyAlgorithm::XChaCha20Poly1305),
];

impl Security {
    /// Reads the table.
    pub(super) fn from_settings(settings: &Settings) -> Result<Self> {
        let keys = settings.iter().filter(|(key, _)| key.starts_with("security.keys."));
        let keys = keys.map(|(_, setting)| key_source(setting.name(), setting)).collect::<Result<_>>()?;
        let security = Self {
            sign_with: key_id(settings, "security.sign_with")?,
            encrypt_with: key_id(settings, "security.encrypt_with")?,
            require_signature: truth(settings, "security.require_signature")?,
            require_encryption: truth(settings, "security.require_encryption")?,
            keys,
        };
        let signs = |algorithm| matches!(algorithm, KeyAlgorithm::HmacSha256 | KeyAlgorithm::Ed25519);
        let encrypts = |algorithm| algorithm == KeyAlgorithm::XChaCha20Poly1305;
        let verifies = |algorithm| algorithm == KeyAlgorithm::Ed25519Public || signs(algorithm);
        security.check_requirement(settings, "security.require_signature", security.require_signature, verifies)?;
        let uses = |_| security.encrypt_with.is_some();
        security.check_requirement(settings, "security.require_encryption", security.require_encryption, uses)?;
        security.check_use(settings, "security.sign_with", &security.sign_with, signs)?;
        security.check_use(settings, "security.encrypt_with", &security.encrypt_with, encrypts)?;
        Ok(security)
    }

    /// Without a key that could meet it, a requirement would make a dead letter of every task.
    fn check_requirement(
        &self,
        settings: &Settings,
        key: &'static str,
        is_required: bool,
        meets: impl Fn(KeyAlgorithm) -> bool,
    ) -> Result<()> {
        match settings.get(key) {
            Some(setting) if is_required && !self.keys.values().any(|source| meets(source.algorithm)) => {
                let cure = "no key can meet it; add one to [security.keys], and use it";
                Err(wrong(&setting.origin, format!("{key}: {cure}")))
            }
            _ => Ok(()),
        }
    }

    /// The key that is to be used has to be there, and be of use.
    fn check_use(
        &self,
        settings: &Settings,
        key: &'static str,
        id: &Option<String>,
        is_of_use: impl Fn(KeyAlgorithm) -> bool,
    ) -> Result<()> {
        let (Some(id), Some(setting)) = (id, settings.get(key)) else { return Ok(()) };
        let purpose = key.trim_start_matches("security.");
        match self.keys.get(id) {
            None => {
                Err(wrong(&setting.origin, format!("{key}: there is no key of this id in [security.keys]; add it")))
            }
            Some(source) if is_of_use(source.algorithm) => Ok(()),
            Some(_) => {
                Err(wrong(&setting.origin, format!("{key}: a key of this algorithm cannot be used to {purpose}")))
            }
        }
    }

    /// Opens a broker with the configured keys, which are read first: that takes no network to fail.
    #[cfg(feature = "seal")]
    pub(super) async fn connect(&self, url: &str) -> Result<Connection> {
        if *self == Self::default() {
            return crate::connect(url).await;
        }
        let keys = self.key_ring()?;
        Ok(crate::connect(url).await?.with_keys(keys))
    }

    /// Opens a broker, if no keys are configured.
    #[cfg(not(feature = "seal"))]
    pub(super) async fn connect(&self, url: &str) -> Result<Connection> {
        match *self == Self::default() {
            true => crate::connect(url).await,
            false => {
                let cure = "this program was built without the feature \"seal\" of taskq-rs; enable it in Cargo.toml";
                Err(Error::new(ErrorKind::Unsupported, "read", "[security]").because(cure))
            }
        }
    }

    /// Reads the keys.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] with the id of the key, its place, and the cure.
    #[cfg(feature = "seal")]
    pub fn key_ring(&self) -> Result<taskq_core::seal::KeyRing> {
        use taskq_core::seal::{EncryptionKey, KeyBytes, KeyRing, SigningKey, VerifyingKey};

        let mut ring = KeyRing::new();
        for (id, source) in &self.keys {
            let bytes = match &source.place {
                KeyPlace::File(path) => KeyBytes::from_file(path),
                KeyPlace::Environment(variable) => KeyBytes::from_env(variable),
            };
            let failed = |error: Error| Error::new(ErrorKind::Config, "read key", format!("\"{id}\"")).because(error);
            let bytes = bytes.map_err(failed)?;
            let signing = match source.algorithm {
                KeyAlgorithm::HmacSha256 => SigningKey::hmac_sha256(id, bytes)?,
                KeyAlgorithm::Ed25519 => SigningKey::ed25519(id, bytes)?,
                KeyAlgorithm::Ed25519Public => {
                    ring = ring.verify_with(VerifyingKey::ed25519(id, bytes)?);
                    continue;
                }
                KeyAlgorithm::XChaCha20Poly1305 => {
                    let key = EncryptionKey::xchacha20_poly1305(id, bytes)?;
                    let is_used = self.encrypt_with.as_ref() == Some(id);
                    ring = if is_used { ring.encrypt_with(key) } else { ring.decrypt_with(key) };
                    continue;
                }
            };
            let is_used = self.sign_with.as_ref() == Some(id);
            ring = if is_used { ring.sign_with(signing) } else { ring.verify_with(signing) };
        }
        if self.require_signature {
            ring = ring.require_signature();
        }
        if self.require_encryption {
            ring = ring.require_encryption();
        }
        Ok(ring)
    }
}

/// A key's table. The values in it are not shown in errors: somebody may have written the key itself.
fn key_source(id: &str, Setting { value, origin, .. }: &Setting) -> Result<(String, KeySource)> {
    let cure = || {
        let algorithms: Vec<_> = ALGORITHMS.iter().map(|(name, _)| *name).collect();
        let form = "{ algorithm = \"hmac-sha256\", file = \"/run/secrets/taskq\" }, or with env = \"NAME\"";
        wrong(
            origin,
            format!(
                "a key in [security.keys] reads {form}; algorithms are {}. The key itself stands in the file or the \
                 environment variable, never here",
                algorithms.join(", ")
            ),
        )
    };
    KeyId::new(id)?;
    let table = value.as_table().ok_or_else(cure)?;
    let text = |name: &str| table.get(name).and_then(Value::as_str);
    let algorithm = text("algorithm").and_then(|wanted| ALGORITHMS.iter().find(|(name, _)| *name == wanted));
    let place = match (text("file"), text("env")) {
        (Some(path), None) => KeyPlace::File(path.into()),
        (None, Some(variable)) => KeyPlace::Environment(variable.to_owned()),
        _ => return Err(cure()),
    };
    match algorithm {
        Some((_, algorithm)) if table.len() == 2 => Ok((id.to_owned(), KeySource { algorithm: *algorithm, place })),
        _ => Err(cure()),
    }
}

fn key_id(settings: &Settings, key: &'static str) -> Result<Option<String>> {
    match settings.get(key) {
        None => Ok(None),
        Some(Setting { value: Value::String(id), .. }) => Ok(Some(id.clone())),
        // An environment variable of digits reads as a number.
        Some(Setting { value: Value::Integer(id), origin: Origin::Environment(_), .. }) => Ok(Some(id.to_string())),
        Some(Setting { origin, .. }) => Err(wrong(origin, format!("{key} is the id of a key, in quotes"))),
    }
}

fn truth(settings: &Settings, key: &'static str) -> Result<bool> {
    settings.get(key).map_or(Ok(false), Setting::truth)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn config(file: &str) -> Result<Config> {
        Config::from_parts(Some(("taskq.toml".into(), file.to_owned())), [])
    }

    const FILE: &str = "[security]\nsign_with = \"web\"\nencrypt_with = \"e1\"\nrequire_signature = true\n\
        [security.keys]\nweb = { algorithm = \"ed25519\", file = \"web.key\" }\n\
        e1 = { algorithm = \"xchacha20-poly1305\", env = \"TASKQ_E1\" }\n";

    #[test]
    fn the_table_says_which_keys_are_used_and_where_they_are() {
        let security = config(FILE).expect("valid").security;
        assert_eq!(security.sign_with.as_deref(), Some("web"));
        assert!(security.require_signature && !security.require_encryption);
        let place = KeyPlace::Environment("TASKQ_E1".to_owned());
        assert_eq!(security.keys["e1"], KeySource { algorithm: KeyAlgorithm::XChaCha20Poly1305, place });
        assert_eq!(config("").expect("valid").security, Security::default());
    }

    #[test]
    fn a_key_in_the_file_itself_is_refused_and_not_shown() {
        for line in [
            "a = \"canary\"",
            "a = { algorithm = \"hmac-sha256\", secret = \"canary\" }",
            "a = { algorithm = \"hmac-sha256\", file = \"a.key\", secret = \"canary\" }",
            "a = { algorithm = \"canary\", file = \"a.key\" }",
        ] {
            let error = config(&format!("[security.keys]\n{line}\n")).expect_err(line).to_string();
            assert!(error.contains("taskq.toml:2:1") && error.contains("never here"), "{error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn a_key_that_is_to_be_used_has_to_be_there_and_of_use() {
        let told = |file: &str| config(file).expect_err("refused").to_string();
        assert!(told("[security]\nsign_with = \"a\"\n").contains("taskq.toml:2:1"));
        let public = "[security]\nsign_with = \"a\"\nkeys = { a = { algorithm = \"ed25519-public\", file = \"a\" } }\n";
        assert!(told(public).contains("cannot be used to sign_with"), "{}", told(public));
        assert!(told("[security]\nrequire_signature = \"yes\"\n").contains("true or false"));
        assert!(told("[security]\nrequire_signature = true\n").contains("no key can meet it"));
        let unused = "[security]\nrequire_encryption = true\n\
            keys = { a = { algorithm = \"xchacha20-poly1305\", file = \"a\" } }\n";
        assert!(told(unused).contains("no key can meet it"), "{}", told(unused));
    }

    #[cfg(feature = "seal")]
    #[test]
    fn a_key_that_cannot_be_read_is_told_with_its_id() {
        let error = config(FILE).expect("valid").security.key_ring().expect_err("no such variable").to_string();
        assert!(error.contains("\"e1\"") && error.contains("TASKQ_E1") && error.contains("not set"), "{error}");
    }
}
