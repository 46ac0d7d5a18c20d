//! One look at a server for a health check: it answers, refuses, or is away, and none of that shows a password.

use std::{net::SocketAddr, time::Duration};

use taskq_brokers::redis::probe;
use taskq_core::{Clock, Error, ErrorKind, Result};
use taskq_test_support::{RedisServer, RedisService};

const LONG: Duration = Duration::from_secs(20);

async fn look(url: &str) -> Result<()> {
    probe(url, None, LONG, Clock::system()).await
}

fn told(error: &Error) -> String {
    let text = format!("{error} {error:?}");
    assert!(!text.contains("canary"), "{text}");
    text
}

#[tokio::test]
async fn a_server_that_answers_is_well_and_one_that_does_not_is_not() {
    let mut server = RedisServer::builder().password("canary").start();
    let url = server.url();
    look(&url).await.expect("it answers");
    let error = look(&url.replace("canary", "canary-2")).await.expect_err("another password");
    assert_eq!(error.kind(), ErrorKind::Refused, "{}", told(&error));
    let error = look(&format!("redis://127.0.0.1:{}", server.port())).await.expect_err("no password");
    assert_eq!(error.kind(), ErrorKind::Refused, "{}", told(&error));
    server.pause();
    let error = probe(&url, None, Duration::from_millis(200), Clock::system()).await.expect_err("it is silent");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", told(&error));
    server.resume();
    look(&url).await.expect("it answers again");
    server.kill();
    let error = look(&url).await.expect_err("it is gone");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", told(&error));
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn tls_is_told_by_the_url() {
    let server = RedisServer::builder().tls().start();
    let error = look(&server.url()).await.expect_err("nobody knows its authority");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", told(&error));
    look(&format!("{}?ca={}", server.url(), server.ca_path().display())).await.expect("trusted");
}

#[tokio::test]
async fn it_connects_to_nothing_but_the_given_addresses() {
    let server = RedisServer::start();
    let only = |address: &str| Some(vec![format!("{address}:{}", server.port()).parse::<SocketAddr>().expect("one")]);
    // Not the system but the caller says where this name leads.
    let by_name = format!("redis://db.invalid:{}", server.port());
    probe(&by_name, only("127.0.0.1"), LONG, Clock::system()).await.expect("it answers");
    for url in [by_name.as_str(), &server.url()] {
        let error = probe(url, only("127.0.0.99"), LONG, Clock::system()).await.expect_err("nobody is there");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    let error = probe("redis-sentinel://a/main", only("127.0.0.1"), LONG, Clock::system()).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
}

#[tokio::test]
async fn a_service_is_well_if_its_primary_is() {
    let service = RedisService::start();
    look(&service.url()).await.expect("it answers");
}

#[tokio::test]
async fn a_url_that_is_none_is_refused() {
    for url in ["redis://me:canary@", "redis://me:can?ary@host", "redis://host?colour=red"] {
        let error = look(url).await.expect_err(url);
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{}", told(&error));
    }
}
