//! Certificates of servers: whose are accepted, what is told of others, and when one is near its end.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use serde_json::{Value, json};
use taskq_scheduler::health::Cause;
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, net::TcpListener};
use tokio_rustls::TlsAcceptor;

use crate::{
    server::{Play, Server},
    world::{NOW, World, poor},
};

const DAY: i64 = 86_400_000;

/// An authority with its file, and how to be a server by it. Everything of it is valid from 2029 to 2030-01-20, 20 days
/// after [`NOW`] minus one.
pub(crate) struct Authority {
    folder: TempDir,
    params: CertificateParams,
    key: KeyPair,
}

pub(crate) fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.not_before = date_time_ymd(2029, 1, 1);
    params.not_after = date_time_ymd(2030, 1, 20);
    params
}

impl Authority {
    pub(crate) fn new() -> Self {
        let (mut params, key) = (params(&[]), KeyPair::generate().expect("a key"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = date_time_ymd(2040, 1, 1);
        let folder = tempfile::tempdir().expect("a folder");
        let pem = params.self_signed(&key).expect("signs").pem();
        std::fs::write(folder.path().join("ca.pem"), pem).expect("writes");
        Self { folder, params, key }
    }

    pub(crate) fn path(&self) -> Value {
        self.folder.path().join("ca.pem").display().to_string().into()
    }

    pub(crate) fn server(&self, names: &[&str]) -> TlsAcceptor {
        let key = KeyPair::generate().expect("a key");
        let issuer = Issuer::from_params(&self.params, &self.key);
        acceptor(params(names).signed_by(&key, &issuer).expect("signs"), &key)
    }
}

pub(crate) fn acceptor(certificate: rcgen::Certificate, key: &KeyPair) -> TlsAcceptor {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("fits");
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(acceptor: TlsAcceptor) -> Server {
    Server::with_tls(Play::answer("200 OK", &[], "ok"), acceptor).await
}

fn https(server: &Server, ca: Value) -> Value {
    json!({ "http": { "url": format!("https://127.0.0.1:{}/", server.port), "ca": ca } })
}

#[tokio::test]
async fn a_server_of_ones_own_authority_is_well_and_others_are_not() {
    let ours = Authority::new();
    let server = serve(ours.server(&["127.0.0.1", "shop.example"])).await;
    let world = World::new();
    world.is_well(https(&server, ours.path())).await;
    world.names.put("shop.example", &[&["127.0.0.1"]]);
    let by_name =
        json!({ "url": format!("https://shop.example:{}/", server.port), "ca": ours.path(), "contains": "ok" });
    world.is_well(json!({ "http": by_name })).await;

    let unknown = "its certificate is signed by nobody who is trusted; name the authority with ca";
    let told = world.is_bad(https(&server, Authority::new().path())).await;
    assert_eq!(told, (Cause::Certificate, unknown.to_owned()));
    let told = world.is_bad(https(&server, Value::Null)).await;
    assert_eq!(told, (Cause::Certificate, unknown.to_owned()), "by the system's authorities");
}

#[tokio::test]
async fn a_self_signed_certificate_is_not_accepted() {
    let key = KeyPair::generate().expect("a key");
    let server = serve(acceptor(params(&["127.0.0.1"]).self_signed(&key).expect("signs"), &key)).await;
    let (cause, told) = World::new().is_bad(https(&server, Authority::new().path())).await;
    assert_eq!(cause, Cause::Certificate);
    assert!(told.contains("signed by nobody who is trusted"), "{told}");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_accepted() {
    let ours = Authority::new();
    let server = serve(ours.server(&["other.example"])).await;
    let told = World::new().is_bad(https(&server, ours.path())).await;
    assert_eq!(told, (Cause::Certificate, "its certificate is for another name".to_owned()));
}

#[tokio::test]
async fn certificates_expire_by_the_clock_of_the_program() {
    let ours = Authority::new();
    let server = serve(ours.server(&["127.0.0.1"])).await;
    let told = World::at(NOW + 30 * DAY).is_bad(https(&server, ours.path())).await;
    assert_eq!(told, (Cause::Certificate, "its certificate expired on 2030-01-20".to_owned()));
    let told = World::at(NOW - 366 * DAY).is_bad(https(&server, ours.path())).await;
    assert_eq!(told, (Cause::Certificate, "its certificate is not valid before 2029-01-01".to_owned()));
}

#[tokio::test]
async fn a_certificate_near_its_end_is_a_warning() {
    let ours = Authority::new();
    let server = serve(ours.server(&["127.0.0.1"])).await;
    let warn_before = |days: u32| {
        let mut probe = https(&server, ours.path());
        probe["http"]["certificate_days"] = days.into();
        probe
    };
    let world = World::new();
    world.is_well(warn_before(19)).await;
    let told = poor(world.look(warn_before(20)).await);
    assert_eq!(told, (Cause::Certificate, "its certificate expires on 2030-01-20, in 19 days".to_owned()));
    // The connection of the look before is not gone on with: a day later there is a day less.
    let told = poor(World::at(NOW + 17 * DAY + DAY / 2).look(warn_before(14)).await);
    assert_eq!(told, (Cause::Certificate, "its certificate expires on 2030-01-20, in 1 day".to_owned()));
}

#[tokio::test]
async fn a_certificate_is_looked_at_again_each_time() {
    let ours = Authority::new();
    let server = serve(ours.server(&["127.0.0.1"])).await;
    let world = World::new();
    world.is_well(https(&server, ours.path())).await;
    world.simulation.advance(std::time::Duration::from_secs(30 * 86_400)).await;
    let (_, told) = world.is_bad(https(&server, ours.path())).await;
    assert_eq!(told, "its certificate expired on 2030-01-20");
}

#[tokio::test]
async fn a_file_of_authorities_that_is_none_is_told_without_what_is_in_it() {
    let ours = Authority::new();
    let server = serve(ours.server(&["127.0.0.1"])).await;
    let odd = ours.folder.path().join("odd.pem");
    std::fs::write(&odd, "-----BEGIN canary-1\ncanary-2\n-----END canary-3-----\n").expect("writes");
    let damaged = ours.folder.path().join("damaged.pem");
    std::fs::write(&damaged, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").expect("writes");
    let missing = ours.folder.path().join("missing.pem");
    for (path, expected) in [(odd, "has no certificate"), (damaged, "is damaged"), (missing, "cannot read ca")] {
        let (cause, told) = World::new().is_bad(https(&server, path.display().to_string().into())).await;
        assert_eq!(cause, Cause::Setup);
        assert!(told.contains(expected) && !told.contains("canary"), "{expected}: {told}");
    }
}

#[tokio::test]
async fn tls_never_falls_to_plain_http() {
    let ours = Authority::new();
    let plain = Server::saying("ok").await;
    let redirect = Play::redirect(302, &format!("http://127.0.0.1:{}/canary", plain.port));
    let server = Server::with_tls(redirect, ours.server(&["127.0.0.1"])).await;
    let mut probe = https(&server, ours.path());
    probe["http"]["redirects"] = 1.into();
    probe["http"]["redirect_to"] = json!(["127.0.0.1"]);
    let (cause, told) = World::new().is_bad(probe).await;
    assert_eq!(cause, Cause::Forbidden);
    assert!(told.contains("it redirects from HTTPS to http://127.0.0.1:") && !told.contains("canary"), "{told}");
    assert!(plain.requests().is_empty());

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("https://{}/", listener.local_addr().expect("bound"));
    let answers_plainly = async {
        let (mut stream, _) = listener.accept().await.expect("accepts");
        stream.write_all(b"HTTP/1.1 400 Speak Plainly\r\n\r\n").await.expect("writes");
        stream
    };
    let world = World::new();
    let (told, _open) =
        tokio::join!(world.is_bad(json!({ "http": { "url": url, "ca": ours.path() } })), answers_plainly);
    assert_eq!(told.0, Cause::Connection);
    assert!(told.1.starts_with("TLS failed: "), "{}", told.1);
}
