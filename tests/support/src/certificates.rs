//! A certificate authority made for one test, and the certificates of a server and a client that it signed.
//!
//! The promise: made at run time, valid for 127.0.0.1 and localhost, trusted by nobody else, and
//! gone with its folder.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use crate::TempFolder;

/// PEM files of an authority, and of a server's and a client's certificate with their keys.
#[derive(Debug)]
pub struct Certificates {
    folder: TempFolder,
}

impl Certificates {
    /// Makes a new authority and the certificates signed by it.
    ///
    /// # Panics
    ///
    /// When the files cannot be written.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "making keys is no default value")]
    pub fn new() -> Certificates {
        let certificates = Certificates { folder: TempFolder::new() };
        certificates.make().expect("the names in the certificates are valid");
        certificates
    }

    /// The authority's certificate, which a client has to trust.
    #[must_use]
    pub fn ca_path(&self) -> PathBuf {
        self.folder.file("ca.pem")
    }

    /// The server's certificate.
    #[must_use]
    pub fn server_certificate_path(&self) -> PathBuf {
        self.folder.file("server.pem")
    }

    /// The key of the server's certificate.
    #[must_use]
    pub fn server_key_path(&self) -> PathBuf {
        self.folder.file("server.key")
    }

    /// The client's certificate.
    #[must_use]
    pub fn client_certificate_path(&self) -> PathBuf {
        self.folder.file("client.pem")
    }

    /// The key of the client's certificate.
    #[must_use]
    pub fn client_key_path(&self) -> PathBuf {
        self.folder.file("client.key")
    }

    fn make(&self) -> Result<(), rcgen::Error> {
        let ca_key = KeyPair::generate()?;
        let authority = authority()?;
        write(&self.ca_path(), &authority.self_signed(&ca_key)?.pem());

        let server_key = KeyPair::generate()?;
        let mut server = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        server.distinguished_name.push(DnType::CommonName, "taskq test server");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let issuer = Issuer::new(authority, ca_key);
        let signed = server.signed_by(&server_key, &issuer)?;
        write(&self.server_certificate_path(), &signed.pem());
        write(&self.server_key_path(), &server_key.serialize_pem());

        let client_key = KeyPair::generate()?;
        let mut client = CertificateParams::new([])?;
        client.distinguished_name.push(DnType::CommonName, "taskq test client");
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let signed = client.signed_by(&client_key, &issuer)?;
        write(&self.client_certificate_path(), &signed.pem());
        write(&self.client_key_path(), &client_key.serialize_pem());
        Ok(())
    }
}

fn authority() -> Result<CertificateParams, rcgen::Error> {
    let mut authority = CertificateParams::new([])?;
    authority.distinguished_name.push(DnType::CommonName, "taskq test authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(authority)
}

fn write(path: &Path, text: &str) {
    if let Err(err) = std::fs::write(path, text) {
        panic!("cannot write {}: {err}", path.display());
    }
}
