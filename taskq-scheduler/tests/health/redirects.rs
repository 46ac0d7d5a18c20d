//! Redirects: off unless asked for, each one judged, and nothing of ours is sent to strangers.

use serde_json::{Value, json};
use taskq_scheduler::health::{Cause, Finding};

use crate::{
    server::{Play, Server},
    world::World,
};

/// Follows a redirect from a server to `location`; `more` is put into the check.
async fn follow(world: &World, status: u16, location: &str, more: Value) -> (Result<(), (Cause, String)>, Server) {
    let server = Server::with(Play::redirect(status, location)).await;
    let mut http = json!({ "url": server.url(), "redirects": 3 });
    for (key, value) in more.as_object().expect("a table") {
        http[key] = value.clone();
    }
    let look = world.look(json!({ "http": http })).await;
    let judged = match look.finding {
        Finding::Well => Ok(()),
        _ => Err(crate::world::bad(look)),
    };
    (judged, server)
}

#[tokio::test]
async fn none_leads_into_a_network_that_is_not_public() {
    let world = World::new();
    world.names.put("loop.example", &[&["127.0.0.1"]]);
    world.names.put("mixed.example", &[&["93.184.216.34", "10.0.0.1"]]);
    world.names.put("mapped.example", &[&["::ffff:169.254.169.254"]]);
    for (location, network) in [
        ("http://127.0.0.1:1/canary?canary", "this machine"),
        ("//127.1:1/", "this machine"),
        ("http://2130706433/", "this machine"),
        ("http://0177.0.0.1/", "this machine"),
        ("http://0x7f.0x0.0x0.0x1/", "this machine"),
        ("http://[::1]/", "this machine"),
        ("http://[::ffff:127.0.0.1]/", "this machine"),
        ("http://[::7f00:1]/", "this machine"),
        ("http://loop.example/", "this machine"),
        ("http://0.0.0.0/", "no address"),
        ("http://0/", "no address"),
        ("http://[::]/", "no address"),
        ("http://10.1.2.3/", "a private network"),
        ("http://172.16.0.1/", "a private network"),
        ("http://192.168.1.1/", "a private network"),
        ("http://100.64.0.1/", "a private network"),
        ("http://[fd12::1]/", "a private network"),
        ("http://mixed.example/", "a private network"),
        ("http://[64:ff9b::10.0.0.1]/", "a private network"),
        ("http://169.254.169.254/latest/meta-data/", "the metadata of a cloud"),
        ("http://[fd00:ec2::254]/", "the metadata of a cloud"),
        ("http://[2002:a9fe:a9fe::]/", "the metadata of a cloud"),
        ("http://mapped.example/", "the metadata of a cloud"),
        ("http://169.254.1.1/", "a link-local address"),
        ("http://[fe80::1]/", "a link-local address"),
        ("http://224.0.0.1/", "a multicast or broadcast address"),
        ("http://255.255.255.255/", "a multicast or broadcast address"),
        ("http://192.0.2.1/", "a reserved address"),
        ("http://198.18.0.1/", "a reserved address"),
    ] {
        let (judged, server) = follow(&world, 302, location, json!({})).await;
        let (cause, told) = judged.expect_err(location);
        assert_eq!(cause, Cause::Forbidden, "{location}: {told}");
        assert!(told.contains(&format!("which is {network};")) && !told.contains("canary"), "{location}: {told}");
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn one_leads_to_where_it_is_named() {
    let world = World::new();
    let other = Server::saying("ok").await;
    let location = format!("http://127.0.0.1:{}/", other.port);
    for named in ["127.0.0.1".to_owned(), "127.0.0.0/8".to_owned(), format!("127.0.0.1:{}", other.port)] {
        let (judged, _) = follow(&world, 302, &location, json!({ "redirect_to": [named], "contains": "ok" })).await;
        assert_eq!(judged, Ok(()));
    }
    world.names.put("intern.example", &[&["127.0.0.1"], &["169.254.169.254"]]);
    let by_name = format!("http://intern.example:{}/", other.port);
    let (judged, _) = follow(&world, 307, &by_name, json!({ "redirect_to": ["intern.example"] })).await;
    assert_eq!(judged, Ok(()));
    assert_eq!(world.names.asked(), ["intern.example"], "resolved once, and connected to that");
    assert_eq!(other.requests().len(), 4);
    let elsewhere = json!({ "redirect_to": ["127.0.0.1:1", "10.0.0.0/8", "other.example"] });
    assert_eq!(follow(&world, 302, &location, elsewhere).await.0.expect_err("another port").0, Cause::Forbidden);
    // Now the name leads to where no name may lead.
    let (judged, _) = follow(&world, 307, &by_name, json!({ "redirect_to": ["intern.example"] })).await;
    assert!(judged.expect_err("metadata").1.contains("the metadata of a cloud"));
}

#[tokio::test]
async fn at_home_they_are_followed_to_the_end_and_no_further() {
    let world = World::new();
    let (judged, server) = follow(&world, 301, "/again?canary", json!({ "headers": { "X-Own": "1" } })).await;
    let (cause, told) = judged.expect_err("it never ends");
    assert_eq!((cause, told.as_str()), (Cause::Answer, "it redirects more than 3 times"));
    let requests = server.requests();
    assert_eq!(requests.len(), 4);
    assert!(requests[3].starts_with("GET /again?canary ") && requests[3].contains("x-own: 1"), "{}", requests[3]);
}

#[tokio::test]
async fn a_name_at_home_is_resolved_once_for_all_hops() {
    let world = World::new();
    let server = Server::with(Play::redirect(302, "/again")).await;
    world.names.put("home.example", &[&["127.0.0.1"], &["127.0.0.9"]]);
    let url = format!("http://home.example:{}/", server.port);
    let (cause, _) = world.is_bad(json!({ "http": { "url": url, "redirects": 2 } })).await;
    assert_eq!(cause, Cause::Answer);
    assert_eq!((world.names.asked().len(), server.requests().len()), (1, 3));
}

#[tokio::test]
async fn a_stranger_gets_no_headers_no_credentials_and_no_body() {
    let world = World::new();
    let other = Server::saying("ok").await;
    let location = format!("http://you:them@127.0.0.1:{}/", other.port);
    let home = Server::with(Play::redirect(302, &location)).await;
    let http = json!({
        "url": format!("http://me:canary@127.0.0.1:{}/?canary", home.port), "method": "POST", "body": "canary",
        "headers": { "X-Canary": "canary", "Cookie": "canary" }, "redirects": 1, "redirect_to": ["127.0.0.1"],
    });
    world.is_well(json!({ "http": http })).await;
    let request = other.requests()[0].to_lowercase();
    assert!(request.starts_with("get / http/1.1"), "{request}");
    for word in ["canary", "authorization", "cookie", "referer", "you", "content-length: 6"] {
        assert!(!request.contains(word), "{word}: {request}");
    }

    let keeps_its_body = Server::with(Play::redirect(307, &location)).await;
    let http = json!({
        "url": keeps_its_body.url(), "method": "POST", "body": "canary", "redirects": 1, "redirect_to": ["127.0.0.1"],
    });
    let (cause, told) = world.is_bad(json!({ "http": http })).await;
    assert_eq!(cause, Cause::Forbidden);
    assert!(told.contains("gets none") && !told.contains("canary") && !told.contains("them"), "{told}");
    assert_eq!(other.requests().len(), 1);
}

#[tokio::test]
async fn one_that_comes_back_from_a_stranger_is_a_strangers() {
    let world = World::new();
    // The stranger sends back to the first server, which only the check itself may ask.
    let home = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = home.local_addr().expect("bound").port();
    drop(home);
    let stranger = Server::with(Play::redirect(302, &format!("http://127.0.0.1:{port}/admin"))).await;
    let home = Server::with(Play::redirect(302, &format!("http://127.0.0.1:{}/", stranger.port))).await;
    let http = json!({
        "url": home.url(), "redirects": 5, "redirect_to": [format!("127.0.0.1:{}", stranger.port)],
    });
    let (cause, told) = world.is_bad(json!({ "http": http })).await;
    assert_eq!(cause, Cause::Forbidden, "{told}");
    assert_eq!(home.requests().len(), 1);
}

#[tokio::test]
async fn one_leads_only_to_urls_of_the_web() {
    let world = World::new();
    for location in ["file:///etc/passwd", "gopher://127.0.0.1/", "http://", "http://a:0/", "ftp://a/", "\u{fc}"] {
        let (judged, _) = follow(&world, 302, location, json!({})).await;
        let (cause, told) = judged.expect_err(location);
        assert!(matches!(cause, Cause::Forbidden | Cause::Answer), "{location}: {told}");
        assert!(!told.contains("passwd"), "{told}");
    }
}

#[tokio::test]
async fn methods_change_as_in_browsers() {
    let world = World::new();
    for (status, method, then) in [
        (301, "POST", "GET"),
        (302, "PUT", "PUT"),
        (303, "DELETE", "GET"),
        (303, "HEAD", "HEAD"),
        (308, "POST", "POST"),
    ] {
        let (_, server) = follow(&world, status, "/next", json!({ "method": method })).await;
        let request = &server.requests()[1];
        assert!(request.starts_with(&format!("{then} /next ")), "{status} {method}: {request}");
    }
}
