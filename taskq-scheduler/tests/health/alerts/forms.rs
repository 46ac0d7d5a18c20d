//! The form that people write: what is read, what is refused, and with which words.

use std::time::Duration;

use serde_json::{Value, json};
use taskq_scheduler::{
    alert::{Alert, Channel, Rule},
    health::Health,
};

use super::{Desk, notice};

const FULL: &str = r#"
checks = ["shop", "db-*"]
labels = { team = "web" }
on = ["degraded", "unhealthy"]
recovery = false
repeat = "1h"
flaps = 7
flap_window = "30m"

[webhook]
url = "https://pager.example/taskq"
headers = { Authorization = "Bearer x" }
headers_env = { X-Token = "TOKEN" }
template = '{ "title": "{{summary}}" }'
secret_env = "SECRET"
ca = "path.pem"
timeout = "20s"
"#;

#[test]
fn every_key_is_read_from_toml() {
    let alert: Alert = toml::from_str(FULL).expect("valid");
    let rule = Rule {
        checks: vec!["shop".to_owned(), "db-*".to_owned()],
        labels: [("team".to_owned(), "web".to_owned())].into(),
        on: vec![Health::Degraded, Health::Unhealthy],
        recovery: false,
        repeat: Some(Duration::from_secs(3_600)),
        flaps: 7,
        flap_window: Duration::from_secs(1_800),
    };
    assert_eq!(alert.rule, rule);
    assert_eq!((alert.channel.kind(), alert.channel.target().as_str()), ("webhook", "https://pager.example"));
    assert_eq!(alert, toml::from_str(FULL).expect("valid"), "so that a reload sees what has changed");
    assert_ne!(alert, toml::from_str(&FULL.replace("SECRET", "OTHER")).expect("valid"));
}

#[test]
fn what_is_left_out_has_a_default() {
    for (kind, form, target) in [
        ("webhook", json!("http://10.0.0.1:8080/x"), "http://10.0.0.1:8080"),
        ("slack", json!("https://hooks.slack.com/services/x"), "https://hooks.slack.com"),
        ("email", json!({ "server": "smtp://mail", "from": "a@a.example", "to": ["b@localhost"] }), "smtp://mail:587"),
        ("email", json!({ "server": "smtps://[fd00::1]", "from": "a@a", "to": ["b@a"] }), "smtps://[fd00::1]:465"),
        ("task", json!({ "name": "page" }), "page"),
    ] {
        let alert = Alert::read(json!({ kind: form })).expect("valid");
        assert_eq!(alert.rule, Rule::default());
        assert_eq!((alert.channel.kind(), alert.channel.target().as_str()), (kind, target));
    }
}

#[tokio::test]
async fn a_task_is_defined_here_and_enqueued_elsewhere() {
    let form = json!({ "task": { "name": "page", "queue": "ops", "args": { "who": "night" } } });
    let Channel::Task(task) = Alert::read(form.clone()).expect("valid").channel else { panic!("a task") };
    assert_eq!((task.name().as_str(), task.queue().expect("named").as_str()), ("page", "ops"));
    let args = Value::Object(task.args(&notice()));
    assert_eq!((&args["who"], &args["notice"]), (&json!("night"), &json!(notice())));
    let told = Desk::new().refused(form).await;
    assert_eq!(told, ("a task is enqueued by whoever has a broker, not here".to_owned(), true, None));
}

#[test]
fn what_is_wrong_is_refused_with_its_place_and_the_cure() {
    let set = |mut table: Value, key: &str, value: Value| {
        table[key] = value;
        table
    };
    let any = |key: &str, value: Value| set(json!({ "webhook": "https://a" }), key, value);
    let webhook = |key: &str, value: Value| json!({ "webhook": set(json!({ "url": "https://a" }), key, value) });
    let mail = json!({ "server": "smtp://a", "from": "a@a.example", "to": ["b@a.example"] });
    let email = |key: &str, value: Value| json!({ "email": set(mail.clone(), key, value) });
    let address = "write an address, for example \"ops@shop.example\"";
    let plain = "use ASCII only in addresses, without quotes";
    for (form, expected) in [
        (json!([]), "alert: invalid input: write a table with the keys checks, labels, on, "),
        (json!({}), "alert: invalid input: it tells nobody; give it one of webhook, slack, email, task"),
        (any("slack", json!("https://a")), "alert: invalid input: it has both webhook and slack; give it one"),
        (any("recover", json!(true)), "alert: invalid input: unknown key \"recover\"; did you mean \"recovery\"?"),
        (any("colour", json!(1)), "alert: invalid input: unknown key \"colour\"; the keys are checks, labels, "),
        (any("checks", json!("shop")), "alert checks: invalid input: write a list with 1 to 256 members"),
        (any("checks", json!([])), "alert checks: invalid input: write a list with 1 to 256 members"),
        (any("checks", json!([1])), "alert checks: invalid input: write text, in quotes"),
        (any("labels", json!(["web"])), "alert labels: invalid input: write a table of at most 16 texts"),
        (any("labels", json!({ "a b": "c" })), "alert labels: invalid input: names have letters, digits and _"),
        (any("on", json!("unhealthy")), "alert on: invalid input: write a list with 1 to 256 members"),
        (any("on", json!(["healthy"])), "alert on: invalid input: healthy is no trouble; recovery = true tells"),
        (any("on", json!(["unknown"])), "alert on: invalid input: what nobody has looked at is no trouble"),
        (any("on", json!(["ill"])), "alert on: invalid input: list \"unhealthy\", or \"degraded\" and \"unhealthy\""),
        (any("on", json!(["degraded"])), "alert on: invalid input: list \"unhealthy\" too"),
        (any("recovery", json!("yes")), "alert recovery: invalid input: write true or false"),
        (any("repeat", json!(60)), "alert repeat: invalid input: write text, in quotes"),
        (any("repeat", json!("59s")), "alert repeat: invalid input: use at least 1m and at most 30d"),
        (any("repeat", json!("31d")), "alert repeat: invalid input: use at least 1m and at most 30d"),
        (any("flaps", json!(0)), "alert flaps: invalid input: write a whole number from 1 to 100"),
        (any("flaps", json!(101)), "alert flaps: invalid input: write a whole number from 1 to 100"),
        (any("flap_window", json!("30s")), "alert flap_window: invalid input: use at least 1m and at most 1d"),
        (any("flap_window", json!("25h")), "alert flap_window: invalid input: use at least 1m and at most 1d"),
        (json!({ "webhook": 1 }), "alert webhook: invalid input: write a table with the keys url, url_env, "),
        (
            json!({ "webhook": {} }),
            "alert webhook.url: invalid input: it is missing; write for example \"https://pager.",
        ),
        (json!({ "webhook": "pager" }), "alert webhook.url: invalid input: relative URL without a base; write for"),
        (json!({ "webhook": "ftp://a" }), "alert webhook.url: invalid input: write http:// or https://"),
        (json!({ "webhook": "http://a:0" }), "alert webhook.url: invalid input: nothing listens at port 0"),
        (webhook("urll", json!("a")), "alert webhook: invalid input: unknown key \"urll\"; did you mean \"url\"?"),
        (webhook("url_env", json!("A")), "alert webhook.url: invalid input: there is url_env or url_file too"),
        (
            json!({ "webhook": { "url_env": "A", "url_file": "b" } }),
            "alert webhook.url_file: invalid input: there is url_env too; give it one of them",
        ),
        (json!({ "webhook": { "url_env": "A-B" } }), "webhook.url_env: invalid input: write the name of a variable"),
        (webhook("headers", json!({ "Host": "b" })), "webhook.headers: invalid input: host is written by the client"),
        (
            webhook("headers", json!({ "Taskq-Signature": "b" })),
            "webhook.headers: invalid input: taskq-signature is one of taskq's own",
        ),
        (
            webhook("headers_env", json!({ "taskq-x": "B" })),
            "webhook.headers_env: invalid input: taskq-x is one of taskq's own",
        ),
        (webhook("headers_env", json!({ "A B": "C" })), "webhook.headers_env: invalid input: \"A B\" is no name of a"),
        (
            json!({ "webhook": { "url": "https://a", "headers": { "A": "b" }, "headers_env": { "a": "B" } } }),
            "webhook.headers_env: invalid input: a is there twice",
        ),
        (webhook("template", json!(1)), "webhook.template: invalid input: write JSON as text, or a table"),
        (
            webhook("template", json!("{ \"a\": {{check}} }")),
            "webhook.template: invalid input: it is no JSON at line 1, column 9; placeholders stand in texts, \"{{check}}\"",
        ),
        (webhook("template", json!("\"{{check\"")), "webhook.template: invalid input: a {{ has no }} after it"),
        (
            webhook("template", json!({ "a": "{{chek}}" })),
            "webhook.template: invalid input: it has an unknown placeholder; there are alert, check, event, ",
        ),
        (
            webhook("template", json!({ "{{check}}": 1 })),
            "webhook.template: invalid input: a placeholder stands in a value, not in a name",
        ),
        (
            json!({ "webhook": { "url": "https://a", "secret_env": "A", "secret_file": "b" } }),
            "alert webhook.secret_file: invalid input: there is secret_env too; give it one of them",
        ),
        (webhook("secret", json!("x")), "alert webhook: invalid input: unknown key \"secret\"; the keys are url, "),
        (
            json!({ "webhook": { "url": "http://a", "ca": "b" } }),
            "alert webhook.ca: invalid input: there is no certificate without TLS; write https:// in url",
        ),
        (webhook("timeout", json!("61s")), "alert webhook.timeout: invalid input: use at least 1ms and at most 1m"),
        (json!({ "slack": {} }), "alert slack.url: invalid input: it is missing; write for example \"https://hooks."),
        (json!({ "slack": { "url": "https://a", "room": "b" } }), "alert slack: invalid input: unknown key \"room\""),
        (json!({ "email": "a@a.example" }), "alert email: invalid input: write a table with the keys server, tls, "),
        (
            email("server", Value::Null),
            "alert email.server: invalid input: it is missing; write for example \"smtps://",
        ),
        (email("server", json!("mail:25")), "alert email.server: invalid input: write smtps://host or smtp://host"),
        (email("server", json!("smtp://")), "alert email.server: invalid input: write smtps://host or smtp://host"),
        (email("server", json!("smtp:a")), "alert email.server: invalid input: write smtps://host or smtp://host"),
        (email("server", json!("smtp://a:0")), "alert email.server: invalid input: write smtps://host or smtp://host"),
        (email("server", json!("smtp://a/b")), "alert email.server: invalid input: write smtps://host or smtp://host"),
        (email("server", json!("smtp://a?b")), "alert email.server: invalid input: write smtps://host or smtp://host"),
        (email("server", json!("smtp://u@a")), "alert email.server: invalid input: write the user in user, and where"),
        (email("tls", json!("maybe")), "alert email.tls: invalid input: write \"required\", or \"none\" for a relay"),
        (
            json!({ "email": { "server": "smtps://a", "tls": "none" } }),
            "alert email.tls: invalid input: smtps:// is TLS; write smtp:// in server, or leave it out",
        ),
        (
            json!({ "email": set(set(mail.clone(), "tls", json!("none")), "ca", json!("a.pem")) }),
            "alert email.ca: invalid input: there is no certificate without TLS; leave out tls = \"none\"",
        ),
        (email("user", json!("me")), "alert email.user: invalid input: its password is missing; set password_env or"),
        (email("password_env", json!("A")), "alert email.user: invalid input: it is missing, and there is a password"),
        (
            json!({ "email": set(set(mail.clone(), "user", json!("a\u{0}b")), "password_env", json!("A")) }),
            "alert email.user: invalid input: it has a control character",
        ),
        (email("password", json!("x")), "alert email: invalid input: unknown key \"password\"; the keys are server, "),
        (email("from", Value::Null), "alert email.from: invalid input: it is missing; write for example \"taskq <"),
        (email("from", json!("ops")), address),
        (email("from", json!("a@a.example, b@a.example")), address),
        (email("from", json!("a@a.example\r\nBcc: b@b.example")), "alert email.from: invalid input: it has a control"),
        (email("from", json!("A\n <a@a.example>")), "alert email.from: invalid input: it has a control"),
        (email("from", json!("\"a>b\"@a.example")), "alert email.from: invalid input: "),
        (email("from", json!("ä@a.example")), plain),
        (email("to", Value::Null), "alert email.to: invalid input: it is missing; write for example [\"ops@shop."),
        (email("to", json!("a@a.example")), "alert email.to: invalid input: write a list with 1 to 256 members"),
        (email("to", json!(["a@a.example", "b"])), address),
        (email("to", json!(["b@bücher.example"])), plain),
        (email("to", json!(["a@a.example> RCPT TO:<b@b.example"])), "alert email.to: invalid input: "),
        (
            email("to", json!(vec!["a@a.example"; 51])),
            "alert email.to: invalid input: list at most 50; more are a list",
        ),
        (email("subject", json!("{{shop}}")), "alert email.subject: invalid input: it has an unknown placeholder"),
        (json!({ "task": "page" }), "alert task: invalid input: write a table with the keys name, args, queue"),
        (json!({ "task": { "name": "a b" } }), "alert task.name: invalid input: "),
        (json!({ "task": { "name": "a", "args": { "notice": 1 } } }), "alert task.args: invalid input: notice is the"),
    ] {
        let told = Alert::read(form.clone()).expect_err(&form.to_string()).to_string();
        assert!(told.starts_with("alert") && told.contains(expected), "{form}\n{told}");
    }
}
