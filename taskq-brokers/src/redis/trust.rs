//! The certificate files of an address: whom to trust, and what to show of ourselves. They are read anew for every
//! connection, so certificates can be replaced while programs run. No error has anything of what is in them.

use std::collections::BTreeMap;

use redis::{Client, ConnectionInfo};

/// Parameters that only an address with TLS may have.
pub(super) const PARAMETERS: [&str; 3] = ["ca", "cert", "key"];

/// Which files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Trust {
    /// The authority to trust instead of the system's.
    ca: Option<String>,
    own: Option<OwnFiles>,
}

/// The client certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OwnFiles {
    cert: String,
    key: String,
}

impl Trust {
    /// Takes its parameters out; an error is the cure.
    pub(super) fn take(parameters: &mut BTreeMap<String, String>) -> Result<Self, String> {
        let mut take = |name: &str| parameters.remove(name);
        let (ca, cert, key) = (take("ca"), take("cert"), take("key"));
        let own = match (cert, key) {
            (Some(cert), Some(key)) => Some(OwnFiles { cert, key }),
            (None, None) => None,
            (Some(_), None) => {
                return Err("cert needs key: name the file with its private key, key=/path.pem".to_owned());
            }
            (None, Some(_)) => {
                return Err("key needs cert: name the file with its certificate, cert=/path.pem".to_owned());
            }
        };
        Ok(Self { ca, own })
    }

    /// Whether the address names no file: then the system's authorities are trusted, and nothing is shown.
    pub(super) fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// A client that trusts and shows what is in the files now; an error is the cure.
    pub(super) fn client(&self, info: ConnectionInfo) -> Result<Client, String> {
        match self.is_plain() {
            true => Client::open(info).map_err(|error| error.to_string()),
            false => self.client_by_files(info),
        }
    }

    #[cfg(feature = "tls")]
    fn client_by_files(&self, info: ConnectionInfo) -> Result<Client, String> {
        Client::build_with_tls(info, self.read()?).map_err(|error| error.to_string())
    }

    #[cfg(not(feature = "tls"))]
    fn client_by_files(&self, _info: ConnectionInfo) -> Result<Client, String> {
        Err("this program was built without TLS".to_owned())
    }

    /// Everything is looked at here: what the driver says of a broken file may quote it.
    #[cfg(feature = "tls")]
    fn read(&self) -> Result<redis::TlsCertificates, String> {
        let root_cert = match &self.ca {
            None => None,
            Some(path) => {
                let pem = file("ca", path)?;
                trusted(path, &pem)?;
                Some(pem)
            }
        };
        let client_tls = match &self.own {
            None => None,
            Some(OwnFiles { cert, key }) => {
                let own = redis::ClientTlsConfig { client_cert: file("cert", cert)?, client_key: file("key", key)? };
                fits(cert, key, &own)?;
                Some(own)
            }
        };
        Ok(redis::TlsCertificates { client_tls, root_cert })
    }
}

#[cfg(feature = "tls")]
fn file(name: &str, path: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot read {name} {path}: {error}"))
}

#[cfg(feature = "tls")]
fn certificates(name: &str, path: &str, pem: &[u8]) -> Result<Vec<rustls::pki_types::CertificateDer<'static>>, String> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};

    match CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>() {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) | Err(_) => Err(format!("{name} {path} has no certificate in PEM")),
    }
}

#[cfg(feature = "tls")]
fn trusted(path: &str, pem: &[u8]) -> Result<rustls::RootCertStore, String> {
    let mut trusted = rustls::RootCertStore::empty();
    for certificate in certificates("ca", path, pem)? {
        trusted.add(certificate).map_err(|_| format!("ca {path} has a certificate that is damaged"))?;
    }
    Ok(trusted)
}

/// Whether it is a certificate with its key. While both are being replaced they may not fit for a moment.
#[cfg(feature = "tls")]
fn fits(cert: &str, key: &str, own: &redis::ClientTlsConfig) -> Result<(), String> {
    use rustls::pki_types::{PrivateKeyDer, pem::PemObject};

    let chain = certificates("cert", cert, &own.client_cert)?;
    let private = PrivateKeyDer::from_pem_slice(&own.client_key)
        .map_err(|_| format!("key {key} has no private key in PEM; one with a passphrase cannot be used"))?;
    let builder = rustls::ClientConfig::builder().with_root_certificates(rustls::RootCertStore::empty());
    match builder.with_client_auth_cert(chain, private) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("key {key} is not the key of cert {cert}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(parameters: &[(&str, &str)]) -> Result<Trust, String> {
        Trust::take(&mut parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_certificate_and_its_key_are_named_together() {
        assert!(take(&[]).expect("nothing").is_plain());
        assert!(!take(&[("cert", "a"), ("key", "b")]).expect("both").is_plain());
        assert!(take(&[("cert", "a")]).expect_err("refused").contains("key=/path.pem"));
        assert!(take(&[("ca", "c"), ("key", "b")]).expect_err("refused").contains("cert=/path.pem"));
    }

    #[cfg(feature = "tls")]
    #[test]
    fn what_is_wrong_with_a_file_is_told_without_what_is_in_it() {
        drop(rustls::crypto::ring::default_provider().install_default());
        let (ours, theirs) = (taskq_test_support::Certificates::new(), taskq_test_support::Certificates::new());
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(path("odd.pem"), "-----BEGIN canary-1\ncanary-2\n-----END canary-3-----\n").expect("writes");
        std::fs::write(path("empty.pem"), "").expect("writes");
        let text = |path: std::path::PathBuf| path.display().to_string();
        let (cert, key) = (text(ours.client_certificate_path()), text(ours.client_key_path()));
        let wrong = [
            (None, path("none.pem"), key.clone(), "cannot read cert"),
            (None, cert.clone(), path("none.pem"), "cannot read key"),
            (Some(path("none.pem")), cert.clone(), key.clone(), "cannot read ca"),
            (Some(path("empty.pem")), cert.clone(), key.clone(), "has no certificate"),
            (Some(path("odd.pem")), cert.clone(), key.clone(), "has no certificate"),
            (None, path("odd.pem"), key.clone(), "has no certificate"),
            (None, key.clone(), key.clone(), "has no certificate"),
            (None, cert.clone(), path("odd.pem"), "has no private key"),
            (None, cert.clone(), cert.clone(), "has no private key"),
            (None, cert.clone(), text(theirs.client_key_path()), "is not the key of"),
        ];
        for (ca, cert, key, expected) in wrong {
            let error = Trust { ca, own: Some(OwnFiles { cert, key }) }.read().expect_err("refused");
            assert!(error.contains(expected) && !error.contains("canary"), "{expected}: {error}");
        }
        Trust { ca: Some(text(ours.ca_path())), own: Some(OwnFiles { cert, key }) }.read().expect("all is well");
    }
}
