//! Opening: servers that would lose tasks, that cannot be reached, or that do not let us in are refused with the cure.

use std::time::Instant;

use taskq_core::{
    ErrorKind,
    conformance::{documents::documents_of_namespaces_do_not_mix, schedules::schedules_of_namespaces_do_not_mix},
};
use taskq_test_support::{Certificates, RedisServer};

use crate::{BOUND, claim, connect, connect_shifted, enqueue, invocation, join, queue, state, try_connect};

#[tokio::test]
async fn a_server_that_evicts_keys_is_refused_with_the_cure() {
    for policy in ["allkeys-lru", "volatile-lru", "allkeys-random"] {
        let server = RedisServer::builder().max_memory("64mb", policy).start();
        let error = try_connect(&server.url()).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Refused);
        let text = error.to_string();
        assert!(text.contains(policy) && text.contains("CONFIG SET maxmemory-policy noeviction"), "{text}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_never_shown() {
    let server = RedisServer::builder().password("the-right-one").start();
    let address = format!("127.0.0.1:{}", server.port());
    for credentials in ["shop:canary-1@", ":canary-2@", ""] {
        let error = try_connect(&format!("redis://{credentials}{address}")).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("canary") && shown.contains(&address), "{shown}");
    }
    let connection = connect(&server).await;
    assert!(!format!("{connection:?} {:?}", connection.broker()).contains("the-right-one"));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let mut server = RedisServer::start();
    server.kill();
    let error = try_connect(&server.url()).await.expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains(&server.url()), "{error}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_unavailable_within_a_bound() {
    let server = RedisServer::start();
    server.pause();
    let begun = Instant::now();
    let error = try_connect(&server.url()).await.expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    server.resume();
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn a_tls_server_is_trusted_through_its_own_authority_only() {
    let server = RedisServer::builder().tls().password("pw").start();
    let connection = try_connect(&format!("{}?ca={}", server.url(), server.ca_path().display())).await.expect("opens");
    let id = enqueue(&connection, invocation()).await;
    let owner = join(&connection).await;
    assert_eq!(claim(&connection, owner, 1).await[0].envelope.id, id);

    let stranger = Certificates::new();
    for parameters in [String::new(), format!("?ca={}", stranger.ca_path().display())] {
        let error = try_connect(&format!("{}{parameters}", server.url())).await.expect_err("not trusted");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    let error = try_connect(&format!("{}?ca=/no/such.pem", server.url())).await.expect_err("no such file");
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
}

#[tokio::test]
async fn namespaces_do_not_mix() {
    let server = RedisServer::start();
    let one = try_connect(&format!("{}?namespace=one", server.url())).await.expect("opens");
    let other = try_connect(&format!("{}?namespace=other", server.url())).await.expect("opens");
    let id = enqueue(&one, invocation().id("the-same")).await;
    assert_eq!(state(&other, &id).await, None);
    assert!(other.inspect().queues().await.expect("lists").is_empty());
    enqueue(&other, invocation().id("the-same")).await;
    let owner = join(&one).await;
    assert_eq!(claim(&one, owner, 9).await.len(), 1);
    assert_eq!(other.inspect().counts(&queue()).await.expect("counts").ready, 1);
    schedules_of_namespaces_do_not_mix(&one, &other).await;
    documents_of_namespaces_do_not_mix(&one, &other).await;
}

#[tokio::test]
async fn a_newer_layout_that_this_version_cannot_work_with_is_refused() {
    let server = RedisServer::start();
    server.command(&["SET", "taskq:layout", "99 99 0"]);
    let error = try_connect(&server.url()).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Layout);
    assert!(error.to_string().contains("99") && error.to_string().contains("upgrade"), "{error}");
    server.command(&["SET", "taskq:layout", "99 1 0 and what a newer one adds"]);
    connect_shifted(&server).await;
}
