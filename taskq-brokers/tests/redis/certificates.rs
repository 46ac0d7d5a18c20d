//! TLS on both sides: who is let in, who is told why not, and certificates that are replaced under running programs.

use std::path::{Path, PathBuf};

use taskq_core::{Connection, Error, ErrorKind};
use taskq_test_support::{Certificates, RedisServer, Reply};
use tempfile::TempDir;

use crate::{enqueue, invocation, persist, queue, state, try_connect};

/// The files that an address names, in a folder where they can be replaced.
struct Files(TempDir);

impl Files {
    fn of(certificates: &Certificates) -> Self {
        let files = Self(tempfile::tempdir().expect("a folder"));
        files.replace("ca.pem", &certificates.ca_path());
        files.replace("client.pem", &certificates.client_certificate_path());
        files.replace("client.key", &certificates.client_key_path());
        files
    }

    fn replace(&self, name: &str, by: &Path) {
        std::fs::copy(by, self.path(name)).expect("copies");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn url(&self, server: &RedisServer) -> String {
        let path = |name| self.path(name).display().to_string();
        format!("{}?ca={}&cert={}&key={}", server.url(), path("ca.pem"), path("client.pem"), path("client.key"))
    }
}

/// Everything that an error says, which is never anything out of a file.
fn told(error: &Error) -> String {
    let text = format!("{error} {error:?}");
    assert!(!text.contains("BEGIN"), "{text}");
    text
}

#[tokio::test]
async fn a_client_is_let_in_by_its_certificate_and_others_are_told_why_not() {
    lets_in_whom_it_trusts(RedisServer::builder().mutual_tls().password("pw").start()).await;
}

#[tokio::test]
async fn the_same_is_told_by_a_server_without_tls_1_3() {
    let server = RedisServer::builder().mutual_tls().password("pw").argument("--tls-protocols").argument("TLSv1.2");
    lets_in_whom_it_trusts(server.start()).await;
}

async fn lets_in_whom_it_trusts(server: RedisServer) {
    let files = Files::of(server.certificates());
    let connection = try_connect(&files.url(&server)).await.expect("opens");
    let id = enqueue(&connection, invocation()).await;
    assert!(state(&connection, &id).await.is_some());

    let ca_alone = format!("{}?ca={}", server.url(), files.path("ca.pem").display());
    let error = try_connect(&ca_alone).await.expect_err("it shows no certificate");
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(told(&error).contains("add cert=/path.pem&key=/path.pem"), "{error}");

    let stranger = Certificates::new();
    files.replace("client.pem", &stranger.client_certificate_path());
    files.replace("client.key", &stranger.client_key_path());
    let error = try_connect(&files.url(&server)).await.expect_err("of another authority");
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(told(&error).contains("does not accept the client certificate"), "{error}");

    let files = Files::of(server.certificates());
    files.replace("ca.pem", &stranger.ca_path());
    let error = try_connect(&files.url(&server)).await.expect_err("a server that we do not trust");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(told(&error).contains("certificate is not trusted; name its authority"), "{error}");

    let error = try_connect(&format!("{}#insecure", server.url())).await.expect_err("there is no way around it");
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    for parameters in ["?insecure=true", "?verify=none"] {
        let error = try_connect(&format!("{}{parameters}", server.url())).await.expect_err("nor by a parameter");
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
}

#[tokio::test]
async fn files_that_are_missing_or_do_not_fit_are_told_when_connecting() {
    let server = RedisServer::builder().mutual_tls().start();
    let files = Files::of(server.certificates());
    let stranger = Certificates::new();
    files.replace("client.key", &stranger.client_key_path());
    let error = try_connect(&files.url(&server)).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert!(told(&error).contains("is not the key of"), "{error}");
    std::fs::remove_file(files.path("client.key")).expect("removes");
    let error = try_connect(&files.url(&server)).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert!(told(&error).contains("client.key"), "{error}");
    let plain = format!("{}?cert=a&key=b", server.plain_url());
    let error = try_connect(&plain).await.expect_err("needs TLS");
    assert!(error.to_string().contains("rediss://"), "{error}");
}

/// From now on the server has other certificates, and those that were connected are connected no more.
fn rotate(server: &RedisServer, to: &Certificates) {
    let path = |path: PathBuf| path.display().to_string();
    let reply = server.command(&[
        "CONFIG",
        "SET",
        "tls-ca-cert-file",
        &path(to.ca_path()),
        "tls-cert-file",
        &path(to.server_certificate_path()),
        "tls-key-file",
        &path(to.server_key_path()),
    ]);
    assert_eq!(reply, Reply::Text("OK".to_owned()));
    server.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
}

/// Returns when a call fails with these words; until then it fails with others, and always for a while only.
async fn fails(connection: &Connection, words: &str) {
    loop {
        let error = connection.inspect().counts(&queue()).await.expect_err("it cannot connect");
        assert!(error.is_transient(), "{error}");
        if told(&error).contains(words) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn replaced_certificates_work_without_a_restart() {
    let server = RedisServer::builder().mutual_tls().start();
    let files = Files::of(server.certificates());
    let connection = try_connect(&files.url(&server)).await.expect("opens");
    enqueue(&connection, invocation()).await;

    let renewed = Certificates::new();
    rotate(&server, &renewed);
    let error = connection.inspect().counts(&queue()).await.expect_err("its files are the old ones");
    assert!(error.is_transient(), "{error}");
    // Half-way: the new certificate is there, and its key is not.
    files.replace("ca.pem", &renewed.ca_path());
    files.replace("client.pem", &renewed.client_certificate_path());
    fails(&connection, "is not the key of").await;
    files.replace("client.key", &renewed.client_key_path());
    let queue = queue();
    let counts = persist(|| connection.inspect().counts(&queue)).await;
    assert_eq!(counts.ready, 1);
    let another = persist(|| connection.open_another()).await;
    assert_eq!(another.inspect().counts(&queue).await.expect("counts").ready, 1);
}
