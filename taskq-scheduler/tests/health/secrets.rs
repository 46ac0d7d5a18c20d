//! A canary in every secret, and a search for it in all that is told and shown.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use taskq_core::limits::MAX_HEALTH_REASON;
use taskq_scheduler::health::{Check, Finding, Probe, Trust};

use crate::{
    server::{Play, Server, message},
    world::{World, check},
};

/// A probe with secrets wherever there can be some.
fn probe(port: u16) -> Value {
    json!({ "http": {
        "url": format!("http://canary:canary@127.0.0.1:{port}/path?token=canary#canary"),
        "method": "POST", "body": "canary", "headers": { "Cookie": "canary", "X-Token": "canary" },
        "json": { "pointer": "/status", "equals": "canary" }, "contains": "canary-1", "latency": "100ms",
        "redirects": 1,
    } })
}

#[tokio::test]
async fn no_reason_holds_a_secret_and_none_is_long() {
    let world = World::new();
    let long = format!("canary{}", "x".repeat(5_000));
    let odd_status = format!("500 canary{}", "y".repeat(2_000));
    let plays = [
        Play::answer("500 canary", &["Set-Cookie: canary"], "canary"),
        Play::answer(&odd_status, &[], ""),
        Play::answer("200 OK", &["X: canary"], "canary"),
        Play::answer("200 OK", &[], "{\"status\":\"canary-1\"}"),
        Play::answer("200 canary", &[], &long),
        Play::redirect(302, "http://canary:canary@10.0.0.1/canary?canary#canary"),
        Play::redirect(307, "http://canary:canary@93.184.216.34/canary?canary#canary"),
        Play::redirect(302, "canary://canary"),
        Play::redirect(302, "/canary?canary"),
        Play::Answer(b"canary".to_vec()),
        Play::Answer(b"HTTP/1.1 200 OK\r\ncanary\r\n\r\n".to_vec()),
        Play::Answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ncanary".to_vec()),
        Play::Stall(world.simulation.clone(), b"HTTP/1.1 200 canary".to_vec()),
        Play::Late(world.simulation.clone(), Duration::from_secs(1), message("404 canary", &[], "canary")),
    ];
    for play in plays {
        let server = Server::with(play).await;
        let check = check(probe(server.port));
        let look = world.observer.look(&check, &Trust::Config).await;
        let Finding::Bad(reason) = &look.finding else { panic!("{look:?}") };
        let shown = format!("{reason} {look:?} {check:?} {check:#?} {}", check.probe.target());
        assert!(!shown.contains("canary") && reason.to_string().len() <= MAX_HEALTH_REASON, "{shown}");
        assert!(server.requests()[0].contains("canary"));
    }
}

#[test]
fn checks_are_shown_without_their_secrets() {
    for (probe, target) in [
        (probe(1), "http://127.0.0.1:1/path"),
        (json!({ "redis": "redis://canary:can?ary#canary@host:1/2?ca=canary" }), "redis://host:1/2"),
        (json!({ "redis": "redis-sentinel://canary@a,b/main?sentinel_password=canary" }), "redis-sentinel://a,b/main"),
        (json!({ "command": ["pg_isready", "canary"] }), "pg_isready"),
        (json!({ "task": { "name": "t", "args": { "token": "canary" } } }), "t"),
    ] {
        let check = check(probe);
        assert_eq!(check.probe.target(), target);
        assert!(!format!("{check:?} {check:#?}").contains("canary"), "{check:?}");
        let form = serde_json::to_string(&check).expect("encodes");
        assert!(form.contains("canary"), "what is kept has all of it");
        assert_eq!(serde_json::from_str::<Check>(&form).expect("reads what it wrote"), check);
        assert!(matches!(check.probe, Probe::Http(_) | Probe::Redis(_) | Probe::Command(_) | Probe::Task(_)));
    }
}

#[test]
fn no_refusal_of_a_form_shows_a_value() {
    for form in [
        json!({ "every": "canary", "tcp": "a:1" }),
        json!({ "every": ["canary"], "tcp": "a:1" }),
        json!({ "every": "1m", "http": "canary" }),
        json!({ "every": "1m", "http": "http://canary:canary@[/" }),
        json!({ "every": "1m", "http": ["canary"] }),
        json!({ "every": "1m", "http": { "url": "http://a", "headers": "Bearer canary" } }),
        json!({ "every": "1m", "http": { "url": "http://a", "headers": { "Authorization": ["canary"] } } }),
        json!({ "every": "1m", "http": { "url": "http://a", "headers": { "Authorization": "canary\n" } } }),
        json!({ "every": "1m", "http": { "url": "http://a", "method": "canary" } }),
        json!({ "every": "1m", "http": { "url": "http://a", "body": { "password": "canary" } } }),
        json!({ "every": "1m", "http": { "url": "http://a", "matches": "canary(" } }),
        json!({ "every": "1m", "redis": "canary@host" }),
        json!({ "every": "1m", "command": "curl canary" }),
        json!({ "every": "1m", "task": "canary" }),
    ] {
        let error = Check::read(form.clone()).expect_err("refused");
        assert!(!format!("{error} {error:?}").contains("canary"), "{form}: {error}");
        let by_serde = serde_json::from_value::<Check>(form).expect_err("refused");
        assert!(!by_serde.to_string().contains("canary"), "{by_serde}");
    }
}

#[tokio::test]
async fn a_dropped_look_closes_its_connection() {
    let world = World::new();
    let listener = Arc::new(tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port"));
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    let check = check(json!({ "http": url }));
    let mut look = Box::pin(world.observer.look(&check, &Trust::Config));
    let mut stream = tokio::select! {
        _ = &mut look => panic!("nobody answers"),
        accepted = listener.accept() => accepted.expect("accepts").0,
    };
    drop(look);
    let mut seen = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut seen).await.ok();
}
