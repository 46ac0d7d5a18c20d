//! Where looks of checks may lead that were added at run time, and how addresses are written.

use serde_json::json;
use taskq_scheduler::health::{Allow, Cause, Finding, Trust};

use crate::{
    server::{Play, Server},
    world::{World, bad, check},
};

fn listed(entries: &[&str]) -> Trust {
    Trust::Listed(Allow::list(entries).expect("valid"))
}

#[tokio::test]
async fn a_check_of_the_configuration_may_lead_anywhere_however_it_is_written() {
    let server = Server::saying("ok").await;
    let world = World::new();
    for host in ["127.0.0.1", "2130706433", "0177.0.0.1", "0x7f000001", "127.1", "[::ffff:127.0.0.1]"] {
        world.is_well(json!({ "http": format!("http://{host}:{}/", server.port) })).await;
        world.is_well(json!({ "tcp": format!("{host}:{}", server.port) })).await;
    }
    assert_eq!(world.names.asked(), [""; 0], "an address is no name");
}

#[tokio::test]
async fn an_added_check_leads_only_to_what_is_listed() {
    let server = Server::saying("ok").await;
    let world = World::new();
    world.names.put("shop.example", &[&["127.0.0.1"]]);
    world.names.put("public.example", &[&["93.184.216.34"]]);
    world.names.put("meta.example", &[&["169.254.169.254"]]);
    let port = server.port;
    let by_port = format!("127.0.0.1:{port}");
    let url = |host: &str| json!({ "http": format!("http://{host}:{port}/") });
    for (probe, entries) in [
        (url("127.0.0.1"), ["127.0.0.1"]),
        (url("0x7f.1"), [by_port.as_str()]),
        (url("[::ffff:127.0.0.1]"), ["127.0.0.0/8"]),
        (url("shop.example"), ["shop.example"]),
        (url("SHOP.example"), ["127.0.0.0/8"]),
        (json!({ "tcp": format!("shop.example:{port}") }), ["shop.example"]),
    ] {
        let look = world.observer.look(&check(probe.clone()), &listed(&entries)).await;
        assert_eq!(look.finding, Finding::Well, "{probe} {entries:?}");
    }
    let seen = server.requests().len();
    for (probe, entries) in [
        (url("127.0.0.1"), vec![]),
        (url("127.0.0.1"), vec!["127.0.0.1:1", "10.0.0.0/8"]),
        (url("2130706433"), vec!["2130706433.example"]),
        (url("public.example"), vec!["shop.example"]),
        (url("meta.example"), vec!["meta.example", "*.example"]),
        (url("shop.example"), vec!["*.example"]),
        (json!({ "tcp": format!("127.0.0.1:{port}") }), vec!["shop.example"]),
    ] {
        let look = world.observer.look(&check(probe.clone()), &listed(&entries)).await;
        let (cause, told) = bad(look);
        assert_eq!(cause, Cause::Forbidden, "{probe} {entries:?}");
        assert!(told.ends_with("is not on the list of places for added checks") && !told.contains("169."), "{told}");
    }
    assert_eq!(server.requests().len(), seen, "nothing was sent");
}

#[tokio::test]
async fn an_added_check_names_no_files_and_no_commands() {
    let world = World::new();
    for probe in [
        json!({ "sqlite": "/etc/passwd" }),
        json!({ "command": ["true"] }),
        json!({ "http": { "url": "https://127.0.0.1/", "ca": "/etc/passwd" } }),
    ] {
        let observer = world.observer.clone().run_commands().engines(std::sync::Arc::new(crate::databases::Never));
        let (cause, told) = bad(observer.look(&check(probe), &listed(&["0.0.0.0/0"])).await);
        assert_eq!(cause, Cause::Forbidden);
        assert!(told.ends_with("may only be named in the configuration file") && !told.contains("passwd"), "{told}");
    }
}

#[tokio::test]
async fn a_name_is_resolved_once_and_all_of_its_addresses_are_judged() {
    let server = Server::saying("ok").await;
    let world = World::new();
    // Harmless when it is judged; to connect by the name again would lead to the metadata.
    world.names.put("rebind.example", &[&["127.0.0.1"], &["169.254.169.254"]]);
    let probe = json!({ "http": format!("http://rebind.example:{}/", server.port) });
    let look = world.observer.look(&check(probe), &listed(&["127.0.0.1"])).await;
    assert_eq!(look.finding, Finding::Well);
    assert_eq!(world.names.asked(), ["rebind.example"]);
    assert_eq!(server.requests().len(), 1);

    world.names.put("mixed.example", &[&["127.0.0.1", "169.254.169.254"]]);
    for probe in [
        json!({ "http": format!("http://mixed.example:{}/", server.port) }),
        json!({ "tcp": format!("mixed.example:{}", server.port) }),
    ] {
        let (cause, _) = bad(world.observer.look(&check(probe), &listed(&["127.0.0.1"])).await);
        assert_eq!(cause, Cause::Forbidden);
    }
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn an_address_that_is_away_does_not_hide_another_one() {
    let server = Server::saying("ok").await;
    let world = World::new();
    // Nothing listens at the first one.
    world.names.put("two.example", &[&["127.0.0.99", "127.0.0.1"]]);
    world.is_well(json!({ "http": format!("http://two.example:{}/", server.port) })).await;
    world.is_well(json!({ "tcp": format!("two.example:{}", server.port) })).await;
}

#[tokio::test]
async fn an_added_check_cannot_name_for_itself_where_redirects_lead() {
    let world = World::new();
    let inside = Server::saying("canary").await;
    for location in [
        "http://169.254.169.254/latest".to_owned(),
        "http://93.184.216.34/".to_owned(),
        format!("http://127.0.0.2:{}/", inside.port),
    ] {
        let server = Server::with(Play::redirect(302, &location)).await;
        let named = ["169.254.169.254", "93.184.216.34", "127.0.0.0/8"];
        let probe = json!({ "http": { "url": server.url(), "redirects": 1, "redirect_to": named } });
        let (cause, told) = bad(world.observer.look(&check(probe), &listed(&["127.0.0.1"])).await);
        assert_eq!(cause, Cause::Forbidden, "{told}");
        assert!(told.ends_with("is not on the list of places for added checks"), "{told}");
    }
    // And what is listed, but not public, has to be named too.
    let server = Server::with(Play::redirect(302, &inside.url())).await;
    let probe = |named: &[&str]| json!({ "http": { "url": server.url(), "redirects": 1, "redirect_to": named } });
    let look = world.observer.look(&check(probe(&["10.0.0.0/8"])), &listed(&["127.0.0.1"])).await;
    assert_eq!(bad(look).0, Cause::Forbidden);
    let look = world.observer.look(&check(probe(&["127.0.0.1"])), &listed(&["127.0.0.1"])).await;
    assert_eq!(look.finding, Finding::Well);
}
