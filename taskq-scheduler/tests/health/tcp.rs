//! A connection opens, or does not.

use serde_json::json;
use taskq_scheduler::health::Cause;
use tokio::net::TcpListener;

use crate::world::World;

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
