//! What a webhook gets, and what is made of its answers.

use std::{fmt::Write, time::Duration};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Desk, NASTY, alert, notice, notice_of};
use crate::{
    certificates::{Authority, acceptor, params},
    server::{Play, Server, message},
};

async fn accepting() -> Server {
    Server::with(Play::answer("204 No Content", &[], "")).await
}

/// The headers in lower case, and the body.
fn parts(request: &str) -> (String, &str) {
    let (head, body) = request.split_once("\r\n\r\n").expect("a whole request");
    (head.to_lowercase(), body)
}

#[tokio::test]
async fn the_usual_object_is_posted() {
    let server = accepting().await;
    Desk::new().deliver(json!({ "webhook": server.url() }), &notice()).await.expect("taken");
    let request = &server.requests()[0];
    let (head, body) = parts(request);
    assert!(head.starts_with("post / http/1.1\r\n"), "{head}");
    for header in ["content-type: application/json", "user-agent: taskq-alert/", "connection: close"] {
        assert!(head.contains(header), "{head}");
    }
    assert!(head.contains("taskq-notice-id: shop+team-web@1893456000000"), "{head}");
    assert!(!head.contains("taskq-signature"), "{head}");
    let golden = concat!(
        r#"{"version":1,"alert":"team-web","check":"shop","event":"began","health":"unhealthy","#,
        r#""since":"2029-12-31T23:59:00Z","at":"2030-01-01T00:00:00Z","reason":"connection refused","#,
        r#""labels":{"team":"web"},"text":"shop is unhealthy: connection refused"}"#,
    );
    let in_order: Value = serde_json::from_str(golden).expect("JSON");
    assert_eq!(serde_json::from_str::<Value>(body).expect("JSON"), in_order);
}

#[tokio::test]
async fn what_a_notice_leaves_out_is_null_or_empty() {
    let server = accepting().await;
    let bare = taskq_scheduler::alert::Notice { reason: None, labels: Default::default(), ..notice() };
    Desk::new().deliver(json!({ "webhook": server.url() }), &bare).await.expect("taken");
    let request = &server.requests()[0];
    let body: Value = serde_json::from_str(parts(request).1).expect("JSON");
    assert_eq!(
        (&body["reason"], &body["labels"], &body["text"]),
        (&json!(null), &json!({}), &json!("shop is unhealthy"))
    );
}

#[tokio::test]
async fn a_nasty_reason_is_text_in_a_template_and_nothing_else() {
    let server = accepting().await;
    let template = r#"{ "title": "{{check}}: {{reason}}", "list": ["{{labels.team}}", 1, true], "all": "{{labels}}" }"#;
    let webhook = json!({ "webhook": { "url": server.url(), "template": template } });
    Desk::new().deliver(webhook.clone(), &notice_of(NASTY)).await.expect("taken");
    Desk::new().deliver(webhook, &notice()).await.expect("taken");
    let requests = server.requests();
    let body: Value = serde_json::from_str(parts(&requests[0]).1).expect("JSON");
    assert_eq!(body, json!({ "title": format!("{NASTY}: {NASTY}"), "list": ["", 1, true], "all": { NASTY: NASTY } }));
    // The key is made of the same names, and a header has none of their line ends.
    assert_eq!(parts(&requests[0]).0.matches("\r\n").count(), parts(&requests[1]).0.matches("\r\n").count());
    let body: Value = serde_json::from_str(parts(&requests[1]).1).expect("JSON");
    assert_eq!(body["list"], json!(["web", 1, true]));
}

/// HMAC as RFC 2104 has it, so that not the same code judges itself.
fn hmac(key: &[u8], text: &[u8]) -> String {
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key);
    let pad = |with: u8| block.iter().map(|byte| byte ^ with).collect::<Vec<u8>>();
    let inner = Sha256::digest([&pad(0x36)[..], text].concat());
    let outer = Sha256::digest([&pad(0x5c)[..], &inner[..]].concat());
    outer.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("infallible");
        hex
    })
}

#[tokio::test]
async fn a_request_is_signed_with_a_secret_that_is_read_each_time() {
    let server = accepting().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("secret");
    std::fs::write(&path, "first\n").expect("writes");
    let by_file = json!({ "webhook": { "url": server.url(), "secret_file": path.display().to_string() } });
    let desk = Desk::new();
    desk.deliver(by_file.clone(), &notice_of("ü")).await.expect("taken");
    std::fs::write(&path, "second").expect("writes");
    desk.deliver(by_file, &notice()).await.expect("taken");
    let by_variable = json!({ "webhook": { "url": server.url(), "secret_env": "CARGO_PKG_NAME" } });
    desk.deliver(by_variable, &notice()).await.expect("taken");
    let requests = server.requests();
    for (request, secret) in requests.iter().zip(["first", "second", "taskq-scheduler"]) {
        let (head, body) = parts(request);
        let expected = hmac(secret.as_bytes(), format!("1893456000.{body}").as_bytes());
        assert!(head.contains(&format!("taskq-signature: t=1893456000,v1={expected}")), "{head}");
    }
    assert_eq!(requests.len(), 3);
}

#[tokio::test]
async fn headers_and_credentials_are_sent() {
    let server = accepting().await;
    let webhook = json!({ "webhook": {
        "url": format!("http://me:pw@127.0.0.1:{}/deep?q=1", server.port),
        "headers": { "X-Here": "1", "Content-Type": "application/vnd.x+json" },
        "headers_env": { "X-There": "CARGO_PKG_NAME" },
    } });
    Desk::new().deliver(webhook, &notice()).await.expect("taken");
    let request = &server.requests()[0];
    let (head, _) = parts(request);
    assert!(head.starts_with("post /deep?q=1 http"), "{head}");
    for header in ["x-here: 1", "x-there: taskq-scheduler", "authorization: basic bwu6chc=", "application/vnd.x+json"] {
        assert!(head.contains(header), "{head}");
    }
    assert_eq!(head.matches("content-type").count(), 1, "{head}");
}

#[tokio::test]
async fn an_answer_says_whether_another_attempt_can_help() {
    for (status, headers, expected) in [
        ("301 Moved", "Location: /canary", ("it redirects with status 301, which is not followed", false, None)),
        ("400 Bad Request", "", ("it answered with status 400", true, None)),
        ("401 Unauthorized", "Retry-After: 5", ("it answered with status 401", true, None)),
        ("404 Not Found", "", ("it answered with status 404", true, None)),
        ("410 Gone", "", ("it answered with status 410", true, None)),
        ("408 Timeout", "", ("it answered with status 408", false, None)),
        ("425 Too Early", "Retry-After: canary", ("it answered with status 425", false, None)),
        ("429 Too Many", "Retry-After: 7", ("it answered with status 429", false, Some(7))),
        ("429 Too Many", "Retry-After: 99999999999", ("it answered with status 429", false, Some(3_600))),
        ("429 Too Many", "Retry-After: -1", ("it answered with status 429", false, None)),
        (
            "429 Too Many",
            "Retry-After: Tue, 01 Jan 2030 00:02:00 GMT",
            ("it answered with status 429", false, Some(120)),
        ),
        ("429 Too Many", "Retry-After: Tue, 01 Jan 2019 00:02:00 GMT", ("it answered with status 429", false, Some(0))),
        ("500 canary", "", ("it answered with status 500", false, None)),
        ("503 Unavailable", "Retry-After: 30", ("it answered with status 503", false, Some(30))),
        ("600 Odd", "", ("it answered with status 600", false, None)),
    ] {
        let headers: Vec<_> = Some(headers).into_iter().filter(|header| !header.is_empty()).collect();
        let server = Server::with(Play::answer(status, &headers, "canary")).await;
        let (told, is_final, retry_after) = Desk::new().refused(json!({ "webhook": server.url() })).await;
        let words = told.strip_prefix(&format!("http://127.0.0.1:{}: ", server.port)).expect("who refused");
        assert!(words.starts_with(expected.0) && !told.contains("canary"), "{told}");
        assert_eq!((is_final, retry_after), (expected.1, expected.2.map(Duration::from_secs)), "{status}");
        assert_eq!(server.requests().len(), 1, "one attempt, and no redirect followed");
    }
}

#[tokio::test]
async fn every_good_answer_is_taken_however_long_it_is() {
    for play in [
        Play::answer("200 OK", &[], "ok"),
        Play::answer("202 Accepted", &[], ""),
        Play::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; 100_000]),
        Play::answer("299 Odd", &[], &"x".repeat(1_000_000)),
    ] {
        let server = Server::with(play).await;
        Desk::new().deliver(json!({ "webhook": server.url() }), &notice()).await.expect("taken");
    }
    let desk = Desk::new();
    let stalled = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok".to_vec();
    let server = Server::with(Play::Stall(desk.simulation.clone(), stalled)).await;
    desk.deliver(json!({ "webhook": server.url() }), &notice()).await.expect("its head says all");
}

#[tokio::test]
async fn nobody_waits_longer_than_the_timeout() {
    for (timeout, words) in [(None, "not done within 10s"), (Some("2s"), "not done within 2s")] {
        let desk = Desk::new();
        let late = message("200 OK", &[], "ok");
        let server = Server::with(Play::Late(desk.simulation.clone(), Duration::from_secs(11), late)).await;
        let mut webhook = json!({ "url": server.url() });
        webhook["timeout"] = timeout.into();
        let told = desk.refused(json!({ "webhook": webhook })).await;
        assert_eq!(told, (format!("{words}: there was no answer"), false, None));
    }
}

#[tokio::test]
async fn what_cannot_be_reached_may_be_later() {
    let desk = Desk::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    drop(listener);
    let told = desk.refused(json!({ "webhook": format!("http://127.0.0.1:{port}/canary") })).await;
    assert_eq!(told, (format!("http://127.0.0.1:{port}: cannot connect: connection refused"), false, None));
    let (told, is_final, _) = desk.refused(json!({ "webhook": "http://no-such-host.invalid/canary" })).await;
    assert!(
        told.starts_with("http://no-such-host.invalid: no-such-host.invalid has no address") && !is_final,
        "{told}"
    );
    let server = Server::with(Play::Answer(b"canary".to_vec())).await;
    let (told, is_final, _) = desk.refused(json!({ "webhook": server.url() })).await;
    assert!(told.contains("the connection broke before the answer was whole") && !is_final, "{told}");
}

#[tokio::test]
async fn a_server_of_ones_own_authority_is_trusted_and_others_are_not() {
    let ours = Authority::new();
    let play = Play::answer("200 OK", &[], "ok");
    let server = Server::with_tls(play.clone(), ours.server(&["127.0.0.1"])).await;
    let webhook =
        |port: u16, ca: Value| json!({ "webhook": { "url": format!("https://127.0.0.1:{port}/"), "ca": ca } });
    let desk = Desk::new();
    desk.deliver(webhook(server.port, ours.path()), &notice()).await.expect("trusted");
    let key = rcgen::KeyPair::generate().expect("a key");
    let own_word = params(&["127.0.0.1"]).self_signed(&key).expect("signs");
    let stranger = Server::with_tls(play, acceptor(own_word, &key)).await;
    for (port, ca) in [(server.port, Value::Null), (server.port, Authority::new().path()), (stranger.port, ours.path())]
    {
        let (told, is_final, _) = desk.refused(webhook(port, ca)).await;
        assert!(told.ends_with("signed by nobody who is trusted; name the authority with ca") && !is_final, "{told}");
    }
    let (told, is_final, _) = desk.refused(webhook(server.port, "/no/such.pem".into())).await;
    assert!(told.contains("cannot read ca /no/such.pem") && !is_final, "{told}");
    assert!(stranger.requests().is_empty());
}

#[tokio::test]
async fn a_secret_that_is_not_there_is_told_by_where_it_should_be() {
    let server = accepting().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("empty"), "\n").expect("writes");
    std::fs::write(path("large"), "x".repeat(70_000)).expect("writes");
    std::fs::write(path("odd"), [0xff]).expect("writes");
    std::fs::write(path("url"), "canary://canary").expect("writes");
    std::fs::write(path("header"), "canary\u{1}").expect("writes");
    for (form, expected) in [
        (json!({ "url": server.url(), "secret_env": "NO_SUCH_VARIABLE" }), "the variable NO_SUCH_VARIABLE is not set"),
        (json!({ "url": server.url(), "secret_file": path("none") }), "none: entity not found"),
        (json!({ "url": server.url(), "secret_file": path("empty") }), "empty is empty"),
        (json!({ "url": server.url(), "secret_file": path("large") }), "large: it has more than 65536 bytes"),
        (json!({ "url": server.url(), "secret_file": path("odd") }), "odd: it is no text"),
        (json!({ "url_file": path("url") }), "url is none of http or https"),
        (json!({ "url_env": "CARGO_PKG_NAME" }), "the URL in the variable CARGO_PKG_NAME is none of http or https"),
    ] {
        let (told, is_final, _) = Desk::new().refused(json!({ "webhook": form })).await;
        assert!(told.contains(expected) && !told.contains("canary") && !is_final, "{told}");
    }
    assert!(server.requests().is_empty(), "nothing is sent unsigned");
    std::fs::write(path("url"), format!("{}deep?token=canary\n", server.url())).expect("writes");
    let by_file = alert(json!({ "webhook": { "url_file": path("url") } }));
    Desk::new().courier.deliver(&by_file.channel, &notice()).await.expect("taken");
    assert!(server.requests()[0].starts_with("POST /deep?token=canary "), "{:?}", server.requests());
}
