//! Who gets in, from where, and what they may send.

use std::net::SocketAddr;

use axum::{
    body::Body,
    extract::ConnectInfo,
    http::{Method, Request, StatusCode, header},
};
use taskq_console::dashboard::{Accounts, Dashboard, Options, ProxyIdentity, Role, hash_password};
use taskq_core::{Clock, broker::memory};

use crate::stage::{Answer, Stage, pages, queue, request, send};

fn with(mut request: Request<Body>, name: &'static str, value: &str) -> Request<Body> {
    request.headers_mut().insert(name, value.parse().expect("valid"));
    request
}

fn from(mut request: Request<Body>, address: [u8; 4]) -> Request<Body> {
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from((address, 40_000))));
    request
}

fn accounts() -> Options {
    let hash = |password| hash_password(password).expect("hashes");
    let file = format!("ada:operator:{}\nbob:viewer:{}\n", hash("correct horse"), hash("battery staple"));
    Options::new().allow_actions().accounts(Accounts::read(&file).expect("valid"))
}

async fn sign_in(stage: &Stage, name: &str, password: &str) -> Answer {
    stage.post("/login", &[("name", name), ("password", password)]).await
}

fn cookie(answer: &Answer) -> String {
    answer.header("set-cookie").split(';').next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn without_accounts_only_this_machine_gets_in_under_its_own_names() {
    let stage = Stage::operator();
    for host in ["127.0.0.1:8080", "localhost:8080", "LOCALHOST", "[::1]:8080"] {
        let answer = stage.send(with(request(Method::GET, "/", &[]), "host", host)).await;
        assert_eq!(answer.status, StatusCode::OK, "{host}");
    }
    // A page elsewhere whose name was made to lead here says its own name.
    for host in [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:8080",
        "0.0.0.0:8080",
        "127.0.0.1:8080@evil",
        "",
    ] {
        let answer = stage.send(with(request(Method::GET, "/", &[]), "host", host)).await;
        assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST, "{host}");
        assert!(!answer.body.contains("memory"), "nothing of the broker is told");
    }
    let answer = stage.send(from(request(Method::GET, "/", &[]), [10, 0, 0, 9])).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let answer = stage.send(from(request(Method::GET, "/assets/x/console.css", &[]), [10, 0, 0, 9])).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "not even files");
}

#[tokio::test]
async fn a_server_that_does_not_tell_who_asks_lets_nobody_in() {
    use tower::ServiceExt;
    let stage = Stage::operator();
    let response = stage.router.clone().oneshot(request(Method::GET, "/", &[])).await.expect("answers");
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_dashboard_that_asks_nobody_who_they_are_does_not_listen_to_others() {
    let open = |options: &Options, address: &str| options.check_address(&address.parse().expect("valid")).is_ok();
    for address in ["127.0.0.1:80", "127.9.9.9:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
        assert!(open(&Options::new(), address), "{address}");
    }
    for address in ["0.0.0.0:80", "[::]:80", "10.0.0.1:80", "[::ffff:10.0.0.1]:80"] {
        assert!(!open(&Options::new(), address) && open(&accounts(), address), "{address}");
    }
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_keep_a_browser_safe() {
    let stage = Stage::operator();
    stage.fill("plain").await;
    let missing = stage.get("/nowhere").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    let refused = stage.send(with(request(Method::GET, "/", &[]), "host", "evil.example")).await;
    let page = stage.get("/").await;
    let asset = stage.get("/assets/x/console.css").await;
    for answer in [&missing, &refused, &page, &asset] {
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none';") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("data:"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "same-origin");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
    }
    assert_eq!(page.header("cache-control"), "no-store");
    let version =
        page.body.split("/assets/").nth(1).and_then(|rest| rest.split('/').next()).expect("a version").to_owned();
    let kept = stage.get(&format!("/assets/{version}/console.css")).await;
    assert!(kept.header("cache-control").contains("immutable"));
    assert!(!page.body.contains("http://") && !page.body.contains("https://"), "nothing comes from elsewhere");
}

#[tokio::test]
async fn read_only_is_the_default_and_no_page_has_a_form_that_acts() {
    let stage = Stage::new(Options::new());
    let tasks = stage.fill("plain").await;
    for path in pages(&stage, &tasks) {
        let page = stage.get(&path).await;
        assert!(!page.body.contains("method=\"post\""), "{path}");
    }
    let token = "0".repeat(64);
    let answer = stage.post("/act", &[("token", &token), ("do", "pause"), ("queue", "mail")]).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.body.contains("--allow-actions"), "{}", answer.body);
}

#[tokio::test]
async fn a_change_needs_post_our_origin_and_the_token_of_our_page() {
    let stage = Stage::operator();
    stage.fill("plain").await;
    let is_paused = async || stage.connection.inspect().queue(&queue()).await.expect("answers").paused_at.is_some();
    let token = stage.get("/queue?name=mail").await.field("token");
    let fields = [("token", token.as_str()), ("do", "pause"), ("queue", "mail")];
    let form = |fields: &[(&str, &str)]| request(Method::POST, "/act", fields);

    let refused = [
        ("no origin", form(&fields)),
        ("another origin", with(form(&fields), "origin", "https://evil.example")),
        ("another port", with(form(&fields), "origin", "http://127.0.0.1:9999")),
        ("no origin at all", with(form(&fields), "origin", "null")),
        ("another site", with(with(form(&fields), "origin", "http://127.0.0.1:8080"), "sec-fetch-site", "cross-site")),
        ("another host of the site", with(form(&fields), "sec-fetch-site", "same-site")),
        ("typed by hand", with(form(&fields), "sec-fetch-site", "none")),
    ];
    for (what, request) in refused {
        assert_eq!(stage.send(request).await.status, StatusCode::FORBIDDEN, "{what}");
    }
    for token in ["", "0", &"0".repeat(64), &token[1..]] {
        let answer = stage.post("/act", &[("token", token), ("do", "pause"), ("queue", "mail")]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "token {token:?}");
    }
    let get = stage.get(&format!("/act?token={token}&do=pause&queue=mail")).await;
    assert_eq!(get.status, StatusCode::METHOD_NOT_ALLOWED);
    for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        let mut request = request(method, "/act", &fields);
        request.headers_mut().insert("origin", "http://127.0.0.1:8080".parse().expect("valid"));
        assert_eq!(stage.send(request).await.status, StatusCode::METHOD_NOT_ALLOWED);
    }
    assert!(!is_paused().await, "nothing of all that counted");
    let answer = stage.post("/act", &fields).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    assert!(is_paused().await);
}

#[tokio::test]
async fn what_is_sent_is_bounded() {
    let stage = Stage::operator();
    let long = "x".repeat(5_000);
    assert_eq!(stage.get(&format!("/tasks?text={long}")).await.status, StatusCode::URI_TOO_LONG);
    let huge = "x".repeat(70_000);
    let answer = stage.post("/act", &[("token", &huge)]).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn with_accounts_nobody_sees_anything_before_they_sign_in() {
    let stage = Stage::new(accounts());
    let tasks = stage.fill("plain").await;
    for path in pages(&stage, &tasks) {
        let answer = stage.get(&path).await;
        assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/login"), "{path}");
    }
    assert_eq!(stage.get("/live?page=overview").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(stage.get("/login").await.status, StatusCode::OK);
    assert_eq!(stage.get("/assets/x/console.css").await.status, StatusCode::OK);

    let wrong = sign_in(&stage, "ada", "wrong").await;
    assert_eq!((wrong.status, wrong.header("set-cookie")), (StatusCode::UNAUTHORIZED, ""));
    assert!(!wrong.body.contains("wrong</"), "a password is not shown again");
    let right = sign_in(&stage, "ada", "correct horse").await;
    assert_eq!(right.status, StatusCode::SEE_OTHER);
    let set = right.header("set-cookie");
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict") && set.contains("Max-Age="), "{set}");
    let page = stage.send(with(request(Method::GET, "/queue?name=mail", &[]), "cookie", &cookie(&right))).await;
    assert!(page.body.contains(">ada<") && page.body.contains("value=\"pause\""), "{}", page.body);
}

#[tokio::test]
async fn a_viewer_looks_and_does_not_act_and_a_session_ends_when_signed_out() {
    let stage = Stage::new(accounts());
    stage.fill("plain").await;
    let cookie = cookie(&sign_in(&stage, "bob", "battery staple").await);
    let signed = |request| with(with(request, "cookie", &cookie), "origin", "http://127.0.0.1:8080");
    let page = stage.send(signed(request(Method::GET, "/queue?name=mail", &[]))).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(!page.body.contains("value=\"pause\""));
    // The form for signing out has a token; with it he may still do nothing.
    let token = page.field("token");
    let act = [("token", token.as_str()), ("do", "pause"), ("queue", "mail")];
    assert_eq!(stage.send(signed(request(Method::POST, "/act", &act))).await.status, StatusCode::FORBIDDEN);
    let forged = stage.send(signed(request(Method::POST, "/logout", &[("token", "x")]))).await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    let out = stage.send(signed(request(Method::POST, "/logout", &[("token", &token)]))).await;
    assert!(out.header("set-cookie").contains("Max-Age=0"), "{out:?}");
    let after = stage.send(signed(request(Method::GET, "/", &[]))).await;
    assert_eq!(after.header("location"), "/login");
}

#[tokio::test]
async fn one_sessions_token_is_worth_nothing_in_another() {
    let stage = Stage::new(accounts());
    stage.fill("plain").await;
    let mut tokens = Vec::new();
    let mut cookies = Vec::new();
    for _ in 0..2 {
        let cookie = cookie(&sign_in(&stage, "ada", "correct horse").await);
        let page = stage.send(with(request(Method::GET, "/queue?name=mail", &[]), "cookie", &cookie)).await;
        tokens.push(page.field("token"));
        cookies.push(cookie);
    }
    let act = |token: &str| request(Method::POST, "/act", &[("token", token), ("do", "pause"), ("queue", "mail")]);
    let act = |token: &str, cookie: &str| with(with(act(token), "cookie", cookie), "origin", "http://127.0.0.1:8080");
    assert_eq!(stage.send(act(&tokens[0], &cookies[1])).await.status, StatusCode::FORBIDDEN);
    assert_eq!(stage.send(act(&tokens[1], &cookies[1])).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn passwords_cannot_be_tried_without_end() {
    let stage = Stage::new(accounts());
    for _ in 0..5 {
        assert_eq!(sign_in(&stage, "ada", "guess").await.status, StatusCode::UNAUTHORIZED);
    }
    let answer = sign_in(&stage, "ada", "correct horse").await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "even the right one waits");
    assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds <= 60));
    let mut elsewhere =
        from(request(Method::POST, "/login", &[("name", "ada"), ("password", "correct horse")]), [10, 0, 0, 5]);
    elsewhere.headers_mut().insert(header::ORIGIN, "http://127.0.0.1:8080".parse().expect("valid"));
    assert_eq!(stage.send(elsewhere).await.status, StatusCode::SEE_OTHER, "others do not wait");
}

#[tokio::test]
async fn a_proxys_word_counts_only_from_the_proxy() {
    let proxy = ProxyIdentity::from_header("X-Forwarded-User").expect("valid");
    let proxy = proxy.peer("10.0.0.7".parse().expect("valid")).operator("ada");
    let stage = Stage::new(Options::new().allow_actions().proxy(proxy).host("tasks.example.org"));
    stage.fill("plain").await;
    let ask = |who: &str| {
        let request = with(request(Method::GET, "/queue?name=mail", &[]), "host", "tasks.example.org");
        with(request, "x-forwarded-user", who)
    };
    let page = stage.send(from(ask("ada"), [10, 0, 0, 7])).await;
    assert!(page.body.contains(">ada<") && page.body.contains("value=\"pause\""));
    let page = stage.send(from(ask("eve"), [10, 0, 0, 7])).await;
    assert!(page.body.contains(">eve<") && !page.body.contains("value=\"pause\""));
    assert_eq!(stage.send(from(ask("ada"), [10, 0, 0, 8])).await.status, StatusCode::FORBIDDEN);
    assert_eq!(stage.send(from(ask("ada"), [127, 0, 0, 1])).await.status, StatusCode::FORBIDDEN);
    let mut twice = ask("ada");
    twice.headers_mut().append("x-forwarded-user", "eve".parse().expect("valid"));
    assert_eq!(stage.send(from(twice, [10, 0, 0, 7])).await.status, StatusCode::FORBIDDEN, "two names are none");
    let nameless = with(request(Method::GET, "/", &[]), "host", "tasks.example.org");
    assert_eq!(stage.send(from(nameless, [10, 0, 0, 7])).await.status, StatusCode::FORBIDDEN);
    let elsewhere = with(ask("ada"), "host", "evil.example");
    assert_eq!(stage.send(from(elsewhere, [10, 0, 0, 7])).await.status, StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test]
async fn nested_in_an_app_every_link_leads_into_the_dashboard() {
    let connection = memory::connect(Clock::system());
    let dashboard = Dashboard::new(connection, Options::new().guarded_by_the_app(Role::Viewer));
    let app = axum::Router::new().nest("/admin/tasks", dashboard.router());
    for path in ["/admin/tasks", "/admin/tasks/", "/admin/tasks/queues"] {
        let page = send(&app, request(Method::GET, path, &[])).await;
        if page.status != StatusCode::OK {
            // Whether an app answers with a slash at the end is the app's.
            assert_eq!((path, page.status), ("/admin/tasks/", StatusCode::NOT_FOUND));
            continue;
        }
        let links = page.body.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
        for link in links.filter(|link| !link.starts_with('#')) {
            assert!(link.starts_with("/admin/tasks/"), "{path}: {link}");
        }
    }
}

#[test]
fn accounts_that_cannot_be_read_are_refused_with_their_line_and_without_their_hash() {
    let hash = hash_password("x").expect("hashes");
    for (text, words) in [
        ("", "at least one"),
        ("ada", "line 1"),
        (&*format!("\n# x\nada:boss:{hash}"), "line 3"),
        ("ada:viewer:plain-password", "argon2"),
        (&*format!("ada:viewer:{hash}\nada:operator:{hash}"), "line 2"),
    ] {
        let error = Accounts::read(text).expect_err("refused").to_string();
        assert!(error.contains(words) && !error.contains("plain-password") && !error.contains("$argon2"), "{error}");
    }
    assert!(hash_password("").is_err() && hash_password(&"x".repeat(2_000)).is_err());
    assert!(format!("{:?}", accounts()).contains("accounts") && !format!("{:?}", accounts()).contains("argon2"));
}
