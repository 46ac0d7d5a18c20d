//! A connection opens, or does not.

use serde_json::json;
use taskq_core::Clock;
use taskq_scheduler::health::{Cause, Finding, Observer, Trust};
use tokio::net::TcpListener;

use crate::world::{World, check};

#[tokio::test]
async fn a_port_that_somebody_listens_at_is_well_and_another_is_not() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let place = listener.local_addr().expect("bound").to_string();
    let world = World::new();
    world.is_well(json!({ "tcp": place })).await;
    drop(listener);
    let told = world.is_bad(json!({ "tcp": place })).await;
    assert_eq!(told, (Cause::Connection, format!("cannot connect to {place}: connection refused")));
    let (cause, told) = world.is_bad(json!({ "tcp": "nowhere.example:1" })).await;
    assert_eq!((cause, told.as_str()), (Cause::Name, "nowhere.example has no address: unknown name"));
}

#[tokio::test]
async fn the_system_knows_names_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let check = check(json!({ "tcp": format!("localhost:{port}") }));
    let look = Observer::new(Clock::system()).look(&check, &Trust::Config).await;
    assert_eq!(look.finding, Finding::Well);
}
