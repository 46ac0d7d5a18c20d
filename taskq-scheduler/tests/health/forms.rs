//! The form that people write: what is read, what is refused, and with which words.

use std::time::Duration;

use serde_json::{Value, json};
use taskq_scheduler::health::{Check, Probe};

const FULL: &str = r#"
every = "30s"
timeout = "4s"
failures = 2
successes = 5
labels = { team = "web" }

[http]
url = "https://shop.example/health"
method = "POST"
headers = { Authorization = "Bearer x" }
body = "{}"
status = ["200-299", 304]
contains = "ok"
matches = "^up"
json = { pointer = "/status", equals = "up" }
latency = "500ms"
certificate_days = 14
redirects = 2
redirect_to = ["10.0.0.0/8", "intern.example"]
ca = "path.pem"
"#;

#[test]
fn every_key_is_read_from_toml_and_written_again() {
    let check: Check = toml::from_str(FULL).expect("valid");
    assert_eq!((check.every, check.timeout), (Duration::from_secs(30), Duration::from_secs(4)));
    assert_eq!((check.failures, check.successes, check.labels["team"].as_str()), (2, 5, "web"));
    assert_eq!((check.probe.kind(), check.probe.target().as_str()), ("http", "https://shop.example/health"));
    let form = serde_json::to_value(&check).expect("encodes");
    let as_written: Value = toml::from_str(FULL).expect("valid");
    let mut expected = as_written;
    expected["http"]["headers"] = json!({ "authorization": "Bearer x" });
    assert_eq!(form, expected);
    assert_eq!(Check::read(form).expect("reads what it wrote"), check);
}

#[test]
fn what_is_left_out_has_a_default() {
    let check = Check::read(json!({ "every": "30s", "http": "http://a" })).expect("valid");
    assert_eq!((check.timeout, check.failures, check.successes), (Duration::from_secs(5), 3, 1));
    assert!(check.labels.is_empty() && matches!(check.probe, Probe::Http(_)));
    let often = Check::read(json!({ "every": "2s", "tcp": "a:1" })).expect("valid");
    assert_eq!(often.timeout, Duration::from_secs(2), "a look ends before the next one");
}

#[test]
fn every_kind_is_told_by_its_key() {
    for (kind, form) in [
        ("http", json!("http://a")),
        ("tcp", json!("a:1")),
        ("redis", json!("redis://a")),
        ("sqlite", json!("a.db")),
        ("command", json!(["true"])),
        ("task", json!({ "name": "a", "args": { "n": null }, "queue": "q" })),
    ] {
        let mut check = json!({ "every": "1m" });
        check[kind] = form.clone();
        let check = Check::read(check).expect("valid");
        assert_eq!(check.probe.kind(), kind);
        let again = serde_json::to_value(&check).expect("encodes");
        assert!(kind == "http" || again[kind] == form, "{again}");
    }
    let Probe::Task(task) =
        Check::read(json!({ "every": "1m", "task": { "name": "a", "queue": "q" } })).expect("valid").probe
    else {
        panic!("a task");
    };
    assert_eq!((task.name.as_str(), task.queue.expect("named").as_str()), ("a", "q"));
}

#[test]
fn what_is_wrong_is_refused_with_its_place_and_the_cure() {
    let http = |more: Value| {
        let mut http = json!({ "url": "https://a" });
        http.as_object_mut().expect("a table").extend(more.as_object().expect("a table").clone());
        json!({ "every": "1m", "http": http })
    };
    for (form, expected) in [
        (json!([]), "health check: invalid input: write a table with the keys every, timeout, failures, "),
        (json!({ "tcp": "a:1" }), "health check every: invalid input: it is missing; write for example \"30s\""),
        (
            json!({ "every": "1m" }),
            "health check: invalid input: it looks at nothing; give it one of http, tcp, redis, ",
        ),
        (json!({ "every": "1m", "tcp": "a:1", "sqlite": "a" }), "it has both tcp and sqlite; give it one"),
        (
            json!({ "every": "1m", "tpc": "a:1" }),
            "health check: invalid input: unknown key \"tpc\"; did you mean \"tcp\"?",
        ),
        (json!({ "every": "1m", "colour": "red" }), "unknown key \"colour\"; the keys are every, timeout, "),
        (json!({ "every": 30 }), "health check every: invalid input: write text, in quotes"),
        (json!({ "every": "soon" }), "every: invalid input: write a length of time, for example \"500ms\""),
        (json!({ "every": "999ms" }), "every: invalid input: use at least 1s and at most 1d"),
        (json!({ "every": "25h" }), "every: invalid input: use at least 1s and at most 1d"),
        (json!({ "every": "1s 1ns" }), "every: invalid input: use whole milliseconds"),
        (json!({ "every": "10s", "timeout": "11s" }), "timeout: invalid input: use at most 10s, as every has"),
        (json!({ "every": "1h", "timeout": "6m" }), "timeout: invalid input: use at least 1ms and at most 5m"),
        (json!({ "every": "1m", "failures": 0 }), "failures: invalid input: write a whole number from 1 to 1000"),
        (json!({ "every": "1m", "failures": "3" }), "failures: invalid input: write a whole number"),
        (json!({ "every": "1m", "successes": 1.5 }), "successes: invalid input: write a whole number"),
        (json!({ "every": "1m", "labels": ["web"] }), "labels: invalid input: write a table of at most 16 texts"),
        (json!({ "every": "1m", "labels": { "9": "a" } }), "labels: invalid input: names have letters, digits and _"),
        (json!({ "every": "1m", "labels": { "a": "\n" } }), "labels: invalid input: a has more than 128 bytes, or"),
        (json!({ "every": "1m", "labels": { "a": 1 } }), "labels: invalid input: write text, in quotes"),
        (json!({ "every": "1m", "http": {} }), "http.url: invalid input: it is missing; write for example \"https://"),
        (json!({ "every": "1m", "http": "" }), "http.url: invalid input: it is empty"),
        (json!({ "every": "1m", "http": "shop" }), "http.url: invalid input: relative URL without a base; write for"),
        (json!({ "every": "1m", "http": "ftp://a" }), "http.url: invalid input: write http:// or https://"),
        (json!({ "every": "1m", "http": "http://a:0" }), "http.url: invalid input: nothing listens at port 0"),
        (json!({ "every": "1m", "http": "http://a".to_owned() + &"b".repeat(9_000) }), "it has more than 8192 bytes"),
        (
            http(json!({ "methd": "GET" })),
            "health check http: invalid input: unknown key \"methd\"; did you mean \"method\"?",
        ),
        (http(json!({ "method": "get" })), "http.method: invalid input: write one of GET, HEAD, POST, "),
        (http(json!({ "method": "TRACE" })), "http.method: invalid input: write one of GET, HEAD, POST, "),
        (http(json!({ "body": "x" })), "http.body: invalid input: a body is sent with POST, PUT, PATCH or DELETE"),
        (
            http(json!({ "method": "PUT", "body": "x".repeat(65_537) })),
            "http.body: invalid input: it has more than 65536",
        ),
        (http(json!({ "headers": { "Host": "b" } })), "http.headers: invalid input: host is written by the client"),
        (http(json!({ "headers": { "a b": "c" } })), "http.headers: invalid input: \"a b\" is no name of a header"),
        (http(json!({ "headers": { "A": "c\r\nX: y" } })), "http.headers: invalid input: a has a character that no"),
        (http(json!({ "headers": { "A": "b", "a": "c" } })), "http.headers: invalid input: \"a\" is there twice"),
        (
            http(json!({ "headers": { "A": "b".repeat(8_190), "C": "d" } })),
            "http.headers: invalid input: they have more",
        ),
        (
            http(json!({ "url": "http://u:p@a", "headers": { "Authorization": "b" } })),
            "the url has credentials already",
        ),
        (http(json!({ "status": 200 })), "http.status: invalid input: write a list with 1 to 256 members"),
        (http(json!({ "status": [] })), "http.status: invalid input: write a list"),
        (http(json!({ "status": [99] })), "http.status: invalid input: list numbers and ranges from 100 to 599"),
        (http(json!({ "status": ["299-200"] })), "http.status: invalid input: list numbers and ranges"),
        (http(json!({ "status": ["2xx"] })), "http.status: invalid input: list numbers and ranges"),
        (http(json!({ "status": ["200-"] })), "http.status: invalid input: list numbers and ranges"),
        (http(json!({ "status": [200.5] })), "http.status: invalid input: list numbers and ranges"),
        (http(json!({ "matches": "(" })), "http.matches: invalid input: it is no regular expression"),
        (http(json!({ "matches": "((a{1000}){1000}){1000}" })), "http.matches: invalid input: it is too large"),
        (http(json!({ "json": { "pointer": "status" } })), "http.json.pointer: invalid input: write a JSON pointer"),
        (http(json!({ "json": { "equals": 1 } })), "http.json.pointer: invalid input: it is missing"),
        (http(json!({ "json": { "pointr": "/a" } })), "health check http.json: invalid input: unknown key \"pointr\""),
        (http(json!({ "latency": "5s" })), "http.latency: invalid input: use less than timeout"),
        (
            http(json!({ "certificate_days": 0 })),
            "http.certificate_days: invalid input: write a whole number from 1 to",
        ),
        (
            http(json!({ "url": "http://a", "certificate_days": 1 })),
            "http.certificate_days: invalid input: there is no",
        ),
        (http(json!({ "url": "http://a", "ca": "b" })), "http.ca: invalid input: there is no certificate without TLS"),
        (http(json!({ "redirects": 11 })), "http.redirects: invalid input: write a whole number from 0 to 10"),
        (
            http(json!({ "redirect_to": ["a"] })),
            "http.redirect_to: invalid input: no redirect is followed; set redirects",
        ),
        (http(json!({ "redirects": 1, "redirect_to": ["10.0.0.1/8"] })), "begins with its first address"),
        (json!({ "every": "1m", "tcp": "a" }), "health check tcp: invalid input: write host:port"),
        (json!({ "every": "1m", "tcp": "a:0" }), "health check tcp: invalid input: write host:port"),
        (json!({ "every": "1m", "tcp": "fd00::1:80:x" }), "health check tcp: invalid input: write host:port"),
        (
            json!({ "every": "1m", "redis": "http://a" }),
            "redis: invalid input: write a URL that begins with redis://, ",
        ),
        (json!({ "every": "1m", "sqlite": ":memory:" }), "sqlite: invalid input: name a file; memory is always well"),
        (json!({ "every": "1m", "sqlite": "sqlite://a" }), "sqlite: invalid input: write the path alone"),
        (json!({ "every": "1m", "command": "true" }), "command: invalid input: write a list of the program and its"),
        (json!({ "every": "1m", "command": [] }), "command: invalid input: name the program first"),
        (json!({ "every": "1m", "command": ["a", 1] }), "command: invalid input: each word is text in quotes"),
        (json!({ "every": "1m", "task": "a" }), "task: invalid input: write a table with the keys name, args, queue"),
        (json!({ "every": "1m", "task": { "name": "a b" } }), "health check task.name: invalid input: "),
        (json!({ "every": "1m", "task": { "name": "a", "queue": "" } }), "health check task.queue: invalid input: "),
        (json!({ "every": "1m", "task": { "name": "a", "args": [1] } }), "task.args: invalid input: write a table"),
    ] {
        let told = Check::read(form.clone()).expect_err(&form.to_string()).to_string();
        assert!(told.starts_with("health check") && told.contains(expected), "{form}\n{told}");
    }
}
