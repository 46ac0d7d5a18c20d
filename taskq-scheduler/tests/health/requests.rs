//! What is asked by HTTP, and how answers are judged.

use std::time::Duration;

use serde_json::{Value, json};
use taskq_core::limits::HEALTH_BODY;
use taskq_scheduler::health::Cause;

use crate::{
    server::{Play, Server, message},
    world::{World, poor},
};

/// Looks at a server that says `body`, which has to be as `expected` says.
async fn judged(body: &str, mut expected: Value) -> Result<(), String> {
    let server = Server::saying(body).await;
    expected["url"] = server.url().into();
    let look = World::new().look(json!({ "http": expected })).await;
    match look.finding {
        taskq_scheduler::health::Finding::Well => Ok(()),
        _ => Err(crate::world::bad(look).1),
    }
}

#[tokio::test]
async fn a_good_answer_is_well_and_comes_over_a_connection_of_its_own() {
    let server = Server::saying("ok").await;
    let world = World::new();
    for _ in 0..2 {
        world.is_well(json!({ "http": server.url() })).await;
    }
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        let request = request.to_lowercase();
        assert!(request.starts_with("get / http/1.1\r\n"), "{request}");
        assert!(request.contains("user-agent: taskq-health/") && request.contains("connection: close"), "{request}");
        assert!(!request.contains("accept-encoding"), "{request}");
    }
}

#[tokio::test]
async fn method_headers_body_and_credentials_are_sent() {
    let server = Server::saying("ok").await;
    let http = json!({
        "url": format!("http://me:pw@127.0.0.1:{}/deep?q=1#gone", server.port),
        "method": "POST", "headers": { "X-Shop": "1" }, "body": "{}",
    });
    World::new().is_well(json!({ "http": http })).await;
    let request = &server.requests()[0];
    assert!(request.starts_with("POST /deep?q=1 HTTP/1.1\r\n") && request.ends_with("\r\n\r\n{}"), "{request}");
    let request = request.to_lowercase();
    assert!(request.contains("x-shop: 1\r\n") && request.contains("authorization: basic bwu6chc=\r\n"), "{request}");
}

#[tokio::test]
async fn an_answer_is_judged_by_its_status() {
    let server = Server::with(Play::answer("503 Down", &[], "canary")).await;
    let world = World::new();
    let told = world.is_bad(json!({ "http": server.url() })).await;
    assert_eq!(told, (Cause::Answer, "it answered 503 Service Unavailable".to_owned()));
    world.is_well(json!({ "http": { "url": server.url(), "status": [200, "500-599"] } })).await;
    world.is_well(json!({ "http": { "url": server.url(), "status": ["503"] } })).await;
    world.is_bad(json!({ "http": { "url": server.url(), "status": ["200-502", "504-599"] } })).await;
}

#[tokio::test]
async fn a_redirect_is_judged_by_its_status_unless_it_is_followed() {
    let server = Server::with(Play::redirect(302, "/elsewhere")).await;
    let world = World::new();
    let (cause, told) = world.is_bad(json!({ "http": server.url() })).await;
    assert_eq!((cause, told.as_str()), (Cause::Answer, "it answered 302 Found"));
    world.is_well(json!({ "http": { "url": server.url(), "status": [302] } })).await;
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_body_has_the_text_and_matches_the_pattern() {
    assert_eq!(judged("all is ok", json!({ "contains": "is ok", "matches": "^all .* (?i)OK$" })).await, Ok(()));
    let told = judged("canary", json!({ "contains": "ok" })).await.expect_err("bad");
    assert_eq!(told, "the answer does not have the text of contains");
    let told = judged("canary", json!({ "matches": "^ok$" })).await.expect_err("bad");
    assert_eq!(told, "the answer does not match the pattern of matches");
}

#[tokio::test]
async fn a_json_body_has_the_value() {
    let body = r#"{ "status": "up", "checks": [{ "n": 1 }, null], "a/b": true }"#;
    for (pointer, equals) in [
        ("/status", json!("up")),
        ("/checks/0/n", json!(1)),
        ("/checks/0/n", json!(1.0)),
        ("/checks/0", json!({ "n": 1 })),
        ("/a~1b", json!(true)),
    ] {
        assert_eq!(judged(body, json!({ "json": { "pointer": pointer, "equals": equals } })).await, Ok(()));
    }
    assert_eq!(judged(body, json!({ "json": { "pointer": "/checks/1" } })).await, Ok(()));
    let told = judged(body, json!({ "json": { "pointer": "/missing" } })).await.expect_err("bad");
    assert_eq!(told, "the answer has no /missing");
    let told = judged(body, json!({ "json": { "pointer": "/status", "equals": "down" } })).await.expect_err("bad");
    assert_eq!(told, "the answer has another value at /status");
    let told = judged("<html>canary", json!({ "json": { "pointer": "/status" } })).await.expect_err("bad");
    assert_eq!(told, "the answer is not JSON");
    let told = judged(&"[".repeat(10_000), json!({ "json": { "pointer": "/0" } })).await.expect_err("bad");
    assert_eq!(told, "the answer is not JSON");
}

#[tokio::test]
async fn no_more_than_the_bound_of_a_body_is_read_and_that_is_told() {
    let long = format!("{}ok", "x".repeat(HEALTH_BODY));
    let told = judged(&long, json!({ "contains": "ok" })).await.expect_err("bad");
    assert_eq!(told, "the answer does not have the text of contains in its first 64 KiB");
    let told = judged(&long, json!({ "matches": "ok$" })).await.expect_err("bad");
    assert_eq!(told, "the answer does not match the pattern of matches in its first 64 KiB");
    let told = judged(&long, json!({ "json": { "pointer": "/a" } })).await.expect_err("bad");
    assert_eq!(told, "the answer is longer than 64 KiB, too long for json");
    let exactly = format!("{}ok", "x".repeat(HEALTH_BODY - 2));
    assert_eq!(judged(&exactly, json!({ "contains": "ok", "matches": "ok$" })).await, Ok(()));
}

#[tokio::test]
async fn an_endless_body_ends_the_look_at_its_bound() {
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000)).into_bytes();
    let server = Server::with(Play::Endless(head, chunk)).await;
    let world = World::new();
    let (cause, told) = world.is_bad(json!({ "http": { "url": server.url(), "contains": "ok" } })).await;
    assert_eq!(cause, Cause::Answer);
    assert!(told.ends_with("in its first 64 KiB"), "{told}");
    world.is_well(json!({ "http": server.url() })).await;
}

#[tokio::test]
async fn a_compressed_body_is_not_blown_up() {
    let server = Server::with(Play::answer("200 OK", &["Content-Encoding: gzip"], "not gzip at all, ok")).await;
    World::new().is_well(json!({ "http": { "url": server.url(), "contains": "ok" } })).await;
}

#[tokio::test]
async fn huge_headers_are_a_failure_and_no_burden() {
    let header = format!("X-Canary: {}\r\n", "x".repeat(1_000)).into_bytes();
    let server = Server::with(Play::Endless(b"HTTP/1.1 200 OK\r\n".to_vec(), header)).await;
    let (cause, told) = World::new().is_bad(json!({ "http": server.url() })).await;
    assert_eq!(cause, Cause::Connection);
    assert!(told.starts_with("the connection broke before the answer was whole: ") && !told.contains("xx"), "{told}");
}

#[tokio::test]
async fn what_is_no_http_is_a_failure() {
    let world = World::new();
    for answer in ["", "hello\r\n\r\n", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 999999 OK\r\n\r\n"] {
        let server = Server::with(Play::Answer(answer.as_bytes().to_vec())).await;
        let (cause, told) = world.is_bad(json!({ "http": server.url() })).await;
        assert_eq!(cause, Cause::Connection, "{answer:?}: {told}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_a_failure() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok".to_vec();
    let server = Server::with(Play::Answer(answer)).await;
    let (cause, told) = World::new().is_bad(json!({ "http": { "url": server.url(), "contains": "ok" } })).await;
    assert_eq!(cause, Cause::Connection, "{told}");
}

#[tokio::test]
async fn a_look_ends_at_its_timeout_whatever_it_waits_for() {
    let world = World::new();
    let stalls = [
        (b"".to_vec(), "not done within 5s: there was no answer"),
        (b"HTTP/1.1 200 OK\r\nX-Slow: ".to_vec(), "not done within 5s: there was no answer"),
    ];
    for (answer, expected) in stalls {
        let server = Server::with(Play::Stall(world.simulation.clone(), answer)).await;
        let look = world.look(json!({ "http": server.url() })).await;
        assert!(look.latency >= Duration::from_secs(5), "{look:?}");
        assert_eq!(crate::world::bad(look), (Cause::Timeout, expected.to_owned()));
    }
    let drip = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok".to_vec();
    let server = Server::with(Play::Stall(world.simulation.clone(), drip)).await;
    let (cause, told) = world.is_bad(json!({ "http": { "url": server.url(), "contains": "ok" } })).await;
    assert_eq!((cause, told.as_str()), (Cause::Timeout, "not done within 5s: the answer had begun and did not end"));
}

#[tokio::test]
async fn a_slow_answer_is_a_warning() {
    let world = World::new();
    let late = Play::Late(world.simulation.clone(), Duration::from_millis(600), message("200 OK", &[], "ok"));
    let server = Server::with(late).await;
    let look = world.look(json!({ "http": { "url": server.url(), "latency": "500ms" } })).await;
    assert_eq!(look.latency, Duration::from_millis(600));
    assert_eq!(poor(look), (Cause::Slow, "it took 600ms, more than 500ms".to_owned()));
    world.is_well(json!({ "http": { "url": server.url(), "latency": "600ms" } })).await;
}

#[tokio::test]
async fn a_slow_answer_that_is_wrong_is_bad() {
    let world = World::new();
    let late = Play::Late(world.simulation.clone(), Duration::from_millis(600), message("500 Down", &[], ""));
    let server = Server::with(late).await;
    let (cause, _) = world.is_bad(json!({ "http": { "url": server.url(), "latency": "500ms" } })).await;
    assert_eq!(cause, Cause::Answer);
}

#[tokio::test]
async fn nobody_listens() {
    let port = { Server::saying("").await.port };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let free = listener.local_addr().expect("bound").port();
    drop(listener);
    assert_ne!(port, free);
    let (cause, told) = World::new().is_bad(json!({ "http": format!("http://127.0.0.1:{free}/") })).await;
    assert_eq!((cause, told.as_str()), (Cause::Connection, "cannot connect: connection refused"));
}

#[tokio::test]
async fn a_name_without_an_address_is_told() {
    let (cause, told) = World::new().is_bad(json!({ "http": "http://nowhere.example/" })).await;
    assert_eq!((cause, told.as_str()), (Cause::Name, "nowhere.example has no address: unknown name"));
}
